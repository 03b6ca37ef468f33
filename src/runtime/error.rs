//! The errors of building a runtime from a configuration.

use crate::flashback::FlashbackError;
use crate::model::{ProviderId, SourceId};
use crate::provider::ProviderError;
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
    /// A provider cannot be built.
    #[error("provider `{id}`: {error}")]
    Provider {
        /// The id of the provider.
        id: ProviderId,
        /// The reason.
        error: ProviderError,
    },
    /// The client of Flashback cannot be built.
    #[error("Flashback: {0}")]
    Flashback(FlashbackError),
}
