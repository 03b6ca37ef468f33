//! Finds the password: the secret that `[state] password` refers to, or else the entry in the password file of psql
//! (<https://www.postgresql.org/docs/current/libpq-pgpass.html>).
//!
//! It is read anew for each connection, so that a changed password is used.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::{PostgresConfig, PostgresHost};
use crate::credential::SharedCredential;
use crate::secret::Secret;
use crate::settled;

/// The mode's bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// The host name of a local connection in a password file of libpq.
const LOCAL: &str = "localhost";

/// The result of the search.
pub(super) enum Found {
    Password(Secret),
    /// None, and why where there is something to say.
    None(Option<String>),
}

/// Returns the password of a user at a host, if there is one.
///
/// # Errors
/// Returns a text for people if the configured reference cannot be resolved.
pub(super) async fn find(
    reference: Option<&SharedCredential>,
    config: &PostgresConfig,
    host: &PostgresHost,
) -> Result<Found, String> {
    if let Some(reference) = reference {
        let password = reference.fetch().await;
        return password
            .map(Found::Password)
            .map_err(|error| format!("its password: {error}"));
    }
    let Some(path) = file() else {
        return Ok(Found::None(None));
    };
    let wanted = [
        host.host.clone(),
        host.port.to_string(),
        config.dbname.clone(),
        config.user.clone(),
    ];
    let local = host.is_socket();
    let read = tokio::task::spawn_blocking(move || in_file(&path, wanted, local));
    Ok(read.await.unwrap_or(Found::None(None)))
}

fn file() -> Option<PathBuf> {
    let named = std::env::var_os("PGPASSFILE").filter(|path| !path.is_empty());
    named
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pgpass")))
}

/// Finds the password in a password file. As in libpq, a file that other users may read is ignored.
fn in_file(path: &Path, mut wanted: [String; 4], local: bool) -> Found {
    let metadata = match path.metadata() {
        Ok(metadata) if metadata.is_file() => metadata,
        _ => return Found::None(None),
    };
    let shown = path.display();
    if metadata.permissions().mode() & OTHERS != 0 {
        let why = format!("{shown} is passed over because others may read it: chmod 600 {shown}");
        return Found::None(Some(why));
    }
    let bytes = match settled::read_blocking(path) {
        Ok(bytes) => bytes,
        Err(error) => return Found::None(Some(format!("{shown} cannot be read: {error}"))),
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Found::None(Some(format!("{shown} is not UTF-8 text")));
    };
    if local {
        wanted[0] = LOCAL.to_owned();
    }
    let found = text.lines().find_map(|line| password(line, &wanted));
    match found {
        Some(password) => Found::Password(password),
        None => Found::None(Some(format!("{shown} has no line for it"))),
    }
}

/// Returns the password of a line `host:port:database:user:password` if it matches `wanted`.
fn password(line: &str, wanted: &[String; 4]) -> Option<Secret> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for wanted in wanted {
        let (field, after) = field(rest);
        if *field != "*" && *field != *wanted {
            return None;
        }
        rest = after?;
    }
    let (password, _) = field(rest);
    (!password.is_empty()).then(|| Secret::new(password.to_string()))
}

/// Returns the text up to a colon, with `\:` and `\\` unescaped, and the rest after the colon.
fn field(text: &str) -> (Zeroizing<String>, Option<&str>) {
    let mut found = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            ':' => return (found, Some(&text[at + 1..])),
            '\\' => found.extend(chars.next().map(|(_, char)| char)),
            _ => found.push(char),
        }
    }
    (found, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<String> {
        let wanted = ["db", "5432", "rotator", "us:er"].map(str::to_owned);
        password(line, &wanted).map(|found| found.expose().to_owned())
    }

    #[test]
    fn lines_are_read_as_libpq_reads_them() {
        assert_eq!(
            of(r"db:5432:rotator:us\:er:a\\b\:c").as_deref(),
            Some(r"a\b:c")
        );
        assert_eq!(of(r"*:*:*:*:all:rest").as_deref(), Some("all"));
        for other in [
            r"other:5432:rotator:us\:er:x",
            r"#db:5432:rotator:us\:er:x",
            r"db:5432:rotator:us:er",
            r"*:*:*:*:",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
