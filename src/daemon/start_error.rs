//! The errors that keep the daemon from starting.

use std::net::SocketAddr;

use crate::runtime::RuntimeError;
use crate::state::StateError;

/// The reason why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state cannot be used.
    #[error(transparent)]
    StateStore(#[from] StateError),
    /// A source or the target cannot be built.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The port is taken, or the process is not allowed to bind it.
    #[error("cannot listen on {address} for [http] listen: {reason}. Free it, or choose another")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error message.
        reason: String,
    },
    /// Secret references that can never resolve, each with the table it is in.
    #[error(
        "{0}. Put what is missing there, or correct the configuration; where it is written by another process, start this one again after that"
    )]
    Unresolvable(String),
    /// Signal handlers cannot be installed.
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
}
