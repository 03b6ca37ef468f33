//! The errors of building a runtime from a configuration.

use crate::flashback::FlashbackError;
use crate::model::SourceId;
use crate::source::SourceError;

/// The reason why a part of a valid configuration cannot be built, such as a certificate file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A source cannot be built.
    #[error("source `{id}`: {error}")]
    Source {
        /// The id of the source.
        id: SourceId,
        /// The reason.
        error: SourceError,
    },
    /// The client of Flashback cannot be built.
    #[error("Flashback: {0}")]
    Flashback(FlashbackError),
}
