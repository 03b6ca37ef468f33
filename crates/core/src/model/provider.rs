//! What a provider of keys can do, and what it says of the keys that there are.

use chrono::{DateTime, Utc};

use super::ProviderKeyId;
use crate::secret::Redacted;

/// What a provider can do. The decision knows it, so that what a provider cannot do is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own about a provider
pub struct Abilities {
    /// It makes keys; `false` if only a person can, in its console.
    pub mints: bool,
    /// A key keeps the name that it was made with, so that one whose value was lost is found by it.
    pub names: bool,
    /// It says when a key was last used.
    pub last_use: bool,
    /// A key can be disabled, and enabled again.
    pub disables: bool,
    /// There are as many keys as there are slots, neither more nor fewer: a new key takes the slot of an old one, which
    /// is dead then, and deleting a key means to give its slot another one that nobody knows.
    pub slots: bool,
    /// The most keys there can be at once, disabled ones included; `None` if no limit is known.
    pub limit: Option<usize>,
}

/// A key that a provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedKey {
    /// Its id.
    pub id: ProviderKeyId,
    /// The name that it was made with, if the provider keeps names.
    pub name: Option<String>,
    /// The time at which it was made, if the provider says so.
    pub created_at: Option<DateTime<Utc>>,
    /// `false` if it is disabled.
    pub active: bool,
    /// Its last use, as far as the list tells.
    pub last_use: LastUse,
    /// What the provider shows of its value, if anything.
    pub redacted: Option<Redacted>,
}

/// The last use of a key, according to its provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastUse {
    /// The provider does not say.
    #[default]
    Unknown,
    /// It was not used yet.
    Never,
    /// It was last used at this time.
    At(DateTime<Utc>),
}
