//! What is behind an error, where its own text may quote what was sent or received.

use std::error::Error;
use std::io;

use crate::words;

/// What broke a connection: the TLS library's words about a certificate, the operating system's kind of
/// error, or the words of the innermost error (the outer ones repeat them, and show addresses); as far as
/// they may be shown.
pub fn of_connection(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(tls) = find::<rustls::Error>(error) {
        let said = words::shown(&tls.to_string(), &[]);
        return Some(format!("the TLS handshake failed: {said}"));
    }
    let systems = |cause: &&io::Error| cause.raw_os_error().is_some();
    let causes = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    match causes.filter(systems).last() {
        Some(system) => Some(system.kind().to_string()),
        None => Some(words::shown(&chain(error).last()?.to_string(), &[])),
    }
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
