//! What keeps a configuration from being made real.

use crate::flashback::FlashbackError;
use crate::model::SourceId;
use crate::source::SourceError;

/// Something in a valid configuration that cannot be made: a certificate file that cannot be
/// read, say.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A source cannot be made.
    #[error("source `{id}`: {error}")]
    Source {
        /// Which.
        id: SourceId,
        /// Why.
        error: SourceError,
    },
    /// The client of Flashback cannot be made.
    #[error("Flashback: {0}")]
    Flashback(FlashbackError),
}
