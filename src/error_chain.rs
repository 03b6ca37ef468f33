//! Descriptions of an error's causes. The error's own text is not shown, because it may quote what was sent
//! or received.

mod handshake;

use std::error::Error;
use std::io;

use crate::words;

/// The text of an `io::ErrorKind` for which the standard library has no name.
const UNCATEGORIZED: &str = "uncategorized error";

/// The reason given when the name server did not answer in time.
pub const SILENT_NAME_SERVER: &str = "the name server does not answer";

/// Describes what broke a connection, as far as it may be shown: by the meaning of a failed TLS handshake, by
/// the operating system's kind of error, or by the text of the innermost error (the outer ones repeat it and
/// contain addresses).
pub fn of_connection(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(tls) = find::<rustls::Error>(error) {
        let meaning = handshake::meaning(tls);
        return Some(format!("the TLS handshake failed: {meaning}"));
    }
    let systems = |cause: &&io::Error| cause.raw_os_error().is_some();
    let causes = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    match causes.filter(systems).last() {
        Some(system) => Some(of_system(system)),
        None => Some(words::shown(&chain(error).last()?.to_string(), &[])),
    }
}

/// Describes an operating system error by its kind, with advice. If the kind has no name, uses the system's
/// own text.
fn of_system(error: &io::Error) -> String {
    let kind = error.kind();
    match kind {
        io::ErrorKind::ConnectionRefused => {
            "connection refused: is the server running, and is this its port?".to_owned()
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("{kind}: is there a route to it, and does a firewall let it pass?")
        }
        _ if kind.to_string() == UNCATEGORIZED => words::shown(&error.to_string(), &[]),
        _ => kind.to_string(),
    }
}

/// Describes why a host name could not be resolved, in the system's words.
pub fn of_look_up(error: &io::Error) -> String {
    let text = error.to_string();
    let beginning = "failed to lookup address information: ";
    words::shown(text.strip_prefix(beginning).unwrap_or(&text), &[])
}

/// Returns the first `T` in the chain of an error and its causes.
pub fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// Iterates over an error and its causes, including the error that an `io::Error` wraps, which its `source`
/// skips.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}
