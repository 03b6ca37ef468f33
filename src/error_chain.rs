//! What is behind an error, where its own text may quote what was sent or received.

mod handshake;

use std::error::Error;
use std::io;

use crate::words;

/// How the standard library calls a kind that has no name.
const UNCATEGORIZED: &str = "uncategorized error";

/// Why a host name could not be looked up in time.
pub const SILENT_NAME_SERVER: &str = "the name server does not answer";

/// What broke a connection, as far as it may be shown: the meaning of a failed TLS handshake, the operating
/// system's kind of error, or the words of the innermost error (the outer ones repeat them, and show addresses).
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

/// The kind of a system's error, and what it takes; the system's own words where the kind says nothing.
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

/// Why a host name could not be looked up, in the system's words.
pub fn of_look_up(error: &io::Error) -> String {
    let text = error.to_string();
    let beginning = "failed to lookup address information: ";
    words::shown(text.strip_prefix(beginning).unwrap_or(&text), &[])
}

/// The first of an error and its causes that is a `T`.
pub fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// An error and its causes. What an `io::Error` wraps is one of them, although its `source` skips
/// over it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}
