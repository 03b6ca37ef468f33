//! Whether a key is one: by its shape, and by asking the provider.
//!
//! [`sanity`] refuses what is plainly no key of the provider, without asking anybody. A [`Prober`]
//! makes the provider's cheapest authenticated call with the key. What follows from either is not
//! decided here.

pub mod provider;
pub mod sanity;

use async_trait::async_trait;

use crate::model::Settings;
use crate::secret::Credentials;

pub use provider::Prober;

/// Somebody who knows whether a key works.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Tries `credentials` where a configuration with `settings` would use them. It ends within the
    /// time of one call, and never with an error: what is no answer is [`Probe::Inconclusive`].
    async fn probe(&self, settings: &Settings, credentials: &Credentials) -> Probe;
}

/// What came of trying a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The provider took it.
    Works,
    /// The provider knows it not, or not any more: who said what, for people.
    Rejected(String),
    /// Nothing is known of the key: why, for people.
    Inconclusive(String),
}
