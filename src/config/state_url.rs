//! Parses `[state] url`: a SQLite file or a PostgreSQL database.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::json;

use super::state::{PostgresConfig, PostgresHost, SslMode, SslRoots};
use crate::setting::suggest::list;
use crate::setting::{Input, Shape, ValueType};

/// The location in `[state] url`.
pub enum StateUrl {
    Sqlite(PathBuf),
    /// `password` and `lease` are settings of their own.
    Postgres(Box<PostgresConfig>),
}

/// `sqlite://` and a path, or a URL as libpq reads it.
pub const STATE_URL: ValueType<StateUrl> = ValueType {
    shape: Shape::Text(
        || json!({ "type": "string", "pattern": "^(sqlite|postgres|postgresql)://.", "examples": ["sqlite:///var/lib/flashback-rotator/state.db", "postgres://rotator@db.internal/rotator?sslmode=verify-full"] }),
    ),
    read: |input| {
        let text = input.text("sqlite:///var/lib/flashback-rotator/state.db")?;
        match text.split_once("://") {
            Some(("sqlite", path)) => sqlite(input, path),
            Some(("postgres" | "postgresql", rest)) => {
                let read = postgres(rest);
                let refused = |Refused { what, help }: Refused| {
                    input.wrong(&what).help(help);
                };
                let read = read.map_err(refused).ok()?;
                Some(StateUrl::Postgres(Box::new(read)))
            }
            _ => {
                input
                    .wrong("is neither a SQLite file nor a PostgreSQL database")
                    .help(format!("{SQLITE}; or {POSTGRES}"));
                None
            }
        }
    },
};

const SQLITE: &str =
    "write `sqlite://` and the file's path, such as `sqlite:///var/lib/flashback-rotator/state.db`";

const POSTGRES: &str = "write `postgres://user@host/database`, and parameters behind it such as `?sslmode=verify-full`";

fn sqlite(input: &mut Input<'_>, path: &str) -> Option<StateUrl> {
    if path.is_empty() || path.contains(['?', '#']) {
        input.wrong("names no file").help(SQLITE);
        return None;
    }
    Some(StateUrl::Sqlite(PathBuf::from(path)))
}

/// The parameters that are read, in the order they are listed to people.
const PARAMETERS: [&str; 10] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "channel_binding",
    "host",
    "target_session_attrs",
    "connect_timeout",
    "application_name",
    "options",
];

const SSL_MODES: [(&str, SslMode); 5] = [
    ("disable", SslMode::Disable),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// The reason why a URL is refused: a message that continues after the setting's name, and a remedy.
struct Refused {
    what: Cow<'static, str>,
    help: Cow<'static, str>,
}

fn refused<T>(
    what: impl Into<Cow<'static, str>>,
    help: impl Into<Cow<'static, str>>,
) -> Result<T, Refused> {
    let (what, help) = (what.into(), help.into());
    Err(Refused { what, help })
}

fn a_password<T>() -> Result<T, Refused> {
    refused(
        "has a password in it",
        "take it out and change it, it was in a readable file; then write `password = { file = \"PATH\" }` below `url`, or name a file in $PGPASSFILE",
    )
}

/// Parses the part of the URL behind the scheme.
fn postgres(rest: &str) -> Result<PostgresConfig, Refused> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, dbname) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return a_password();
    }
    let parameters = Parameters::read(query)?;
    let user = decoded(user)?;
    if user.is_empty() {
        return refused("names no user", POSTGRES);
    }
    let dbname = match decoded(dbname)? {
        name if name.is_empty() => user.clone(),
        name => name,
    };
    // A socket's directory cannot stand before the path: libpq has a parameter for it.
    let hosts = parameters.get("host").unwrap_or(hosts);
    let (sslmode, sslrootcert) = parameters.tls()?;
    Ok(PostgresConfig {
        hosts: hosts.split(',').map(host).collect::<Result<_, _>>()?,
        user,
        dbname,
        password: None,
        sslmode,
        sslrootcert,
        sslcert: parameters.client_certificate(sslmode)?,
        channel_binding: parameters.channel_binding()?,
        read_write: parameters.read_write()?,
        connect_timeout: parameters.connect_timeout()?,
        application_name: parameters.get("application_name").map(str::to_owned),
        options: parameters.get("options").map(str::to_owned),
        lease: Duration::ZERO,
    })
}

/// Parses a host: `name`, `name:port`, `[::1]:port`, or the directory of a socket.
fn host(text: &str) -> Result<PostgresHost, Refused> {
    let text = decoded(text)?;
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (&*text, None),
        },
    };
    let port = match port.map(str::parse) {
        None => 5432,
        Some(Ok(port)) => port,
        Some(Err(_)) => {
            return refused(
                "has a port that is no number from 1 to 65535",
                format!("{POSTGRES}; the port stands behind the host, as in `host:5432`"),
            );
        }
    };
    if host.is_empty() {
        return refused("names no host", POSTGRES);
    }
    let host = host.to_owned();
    Ok(PostgresHost { host, port })
}

fn decoded(text: &str) -> Result<String, Refused> {
    let decoded = percent_decode_str(text).decode_utf8();
    let fits = |text: &str| !text.chars().any(char::is_control) && !text.contains(' ');
    match decoded {
        Ok(text) if fits(&text) => Ok(text.into_owned()),
        _ => refused("has a `%` or a space where none can be", POSTGRES),
    }
}

/// The parameters behind the `?`.
struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    fn read(query: &str) -> Result<Self, Refused> {
        let mut read = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if matches!(name, "password" | "sslpassword") {
                return a_password();
            }
            let Some(known) = PARAMETERS.iter().find(|known| **known == name) else {
                return refused(
                    "has a parameter that is not known here",
                    format!("it can have {}", list(PARAMETERS.into_iter())),
                );
            };
            let value = percent_decode_str(value).decode_utf8();
            match value {
                Ok(value) if !value.is_empty() => read.push((*known, value.into_owned())),
                _ => {
                    return refused(
                        format!("has a `{known}` without a value"),
                        format!("write `{known}=VALUE`, or take it out"),
                    );
                }
            }
        }
        Ok(Self(read))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rfind(|(known, _)| *known == name)?;
        Some(&found.1)
    }

    /// Follows libpq, with one exception: without `sslrootcert`, `verify-full` trusts the
    /// authorities of the machine, where libpq wants a file in the home directory.
    fn tls(&self) -> Result<(SslMode, Option<SslRoots>), Refused> {
        let roots = self.get("sslrootcert").map(|value| match value {
            "system" => SslRoots::System,
            path => SslRoots::File(path.into()),
        });
        let mode = match self.get("sslmode") {
            // Otherwise any certificate of a public authority would be accepted.
            None if roots == Some(SslRoots::System) => SslMode::VerifyFull,
            None => SslMode::Prefer,
            Some(word) => match SSL_MODES.iter().find(|(known, _)| *known == word) {
                Some((_, mode)) => *mode,
                None => {
                    let words = SSL_MODES.iter().map(|(word, _)| *word);
                    return refused(
                        "has an unknown `sslmode`",
                        format!("it is one of {}", list(words)),
                    );
                }
            },
        };
        match (mode, &roots) {
            (SslMode::VerifyCa, None) => refused(
                "has `sslmode=verify-ca` without `sslrootcert`",
                "write `sslrootcert=PATH` with your authority's certificates, or `sslmode=verify-full`",
            ),
            (SslMode::VerifyFull, None) => Ok((mode, Some(SslRoots::System))),
            (SslMode::Require | SslMode::VerifyCa, Some(SslRoots::System)) => refused(
                "has `sslrootcert=system` without `sslmode=verify-full`",
                "write `sslmode=verify-full`: a public authority has signed certificates for anybody",
            ),
            (SslMode::Disable | SslMode::Prefer, Some(_)) => refused(
                "has `sslrootcert` and a `sslmode` that checks nothing",
                "write `sslmode=verify-full`, or take `sslrootcert` out",
            ),
            // A file to check against is there to be used.
            (SslMode::Require, Some(SslRoots::File(_))) => Ok((SslMode::VerifyCa, roots)),
            _ => Ok((mode, roots)),
        }
    }

    fn client_certificate(&self, mode: SslMode) -> Result<Option<(PathBuf, PathBuf)>, Refused> {
        match (self.get("sslcert"), self.get("sslkey")) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) if mode == SslMode::Disable => refused(
                "has a client certificate with `sslmode=disable`",
                "write `sslmode=verify-full`, or take `sslcert` and `sslkey` out",
            ),
            (Some(cert), Some(key)) => Ok(Some((cert.into(), key.into()))),
            _ => refused(
                "has one of `sslcert` and `sslkey` without the other",
                "write both: the client certificate's PEM file, and that of its key",
            ),
        }
    }

    fn channel_binding(&self) -> Result<Option<bool>, Refused> {
        match self.get("channel_binding") {
            None | Some("prefer") => Ok(None),
            Some("require") => Ok(Some(true)),
            Some("disable") => Ok(Some(false)),
            Some(_) => refused(
                "has an unknown `channel_binding`",
                "it is one of `disable`, `prefer` or `require`",
            ),
        }
    }

    fn read_write(&self) -> Result<bool, Refused> {
        match self.get("target_session_attrs") {
            None | Some("any") => Ok(false),
            Some("read-write" | "primary") => Ok(true),
            Some(_) => refused(
                "has a `target_session_attrs` that will not do",
                "the state is written: write `read-write`, or `any` to try the first host that answers",
            ),
        }
    }

    fn connect_timeout(&self) -> Result<Option<Duration>, Refused> {
        let Some(text) = self.get("connect_timeout") else {
            return Ok(None);
        };
        match text.parse() {
            Ok(seconds) if (1..=60).contains(&seconds) => Ok(Some(Duration::from_secs(seconds))),
            _ => refused(
                "has a `connect_timeout` that is no number of seconds from 1 to 60",
                "write `connect_timeout=5`",
            ),
        }
    }
}
