//! The errors of a start.

use std::net::SocketAddr;

use crate::runtime::RuntimeError;
use crate::state::StateError;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state cannot be used.
    #[error(transparent)]
    StateStore(#[from] StateError),
    /// A source or the target cannot be made.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The port is taken, or not ours to take.
    #[error("cannot listen on {address} for [http] listen: {reason}. Free it, or choose another")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's words.
        reason: String,
    },
    /// Secret references that can never resolve, each with the table it is in.
    #[error(
        "{0}. Put what is missing there, or correct the configuration; where it is written by another process, start this one again after that"
    )]
    Unresolvable(String),
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
}
