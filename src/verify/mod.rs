//! Checks that a value is a usable key of its provider: by its form, and by asking the provider.
//!
//! [`sanity`] refuses what is plainly no key of the provider, without asking anybody. A [`LiveProber`]
//! makes the provider's cheapest authenticated call with the key. What follows from either is not
//! decided here.

pub mod provider;
pub mod sanity;

use async_trait::async_trait;

use crate::model::Settings;
use crate::secret::Credentials;

pub use provider::LiveProber;

/// Verifies keys.
#[async_trait]
pub trait Prober: Send + Sync {
    /// Tries `credentials` where a configuration with `settings` would use them. It ends within the
    /// time of one call, and never with an error: what is no answer is [`Probe::Inconclusive`].
    async fn probe(&self, settings: &Settings, credentials: &Credentials) -> Probe;
}

/// The result of verifying a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The provider accepted it.
    Works,
    /// The provider does not know it, or no longer; with a text for people that names the provider and its answer.
    Rejected(String),
    /// The provider could not be asked or gave no clear answer; with the reason, for people.
    Inconclusive(String),
}
