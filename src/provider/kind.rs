//! The interface of a kind of provider, which `type = "…"` in a provider's table selects.
//!
//! A kind owns its settings, their place in the reference configuration, and the making of a provider. It is a
//! folder here, its `pub mod` and its place in [`KINDS`](super::KINDS).

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::contract::{Provider, ProviderError};
use crate::credential::{SecretRef, SharedCredential};
use crate::model::{AiType, ProviderId};
use crate::setting::{Reader, Settings};
use crate::source::kind::Same;
use crate::upstream::Upstream;

/// A kind of provider.
pub struct Kind {
    /// The word in `type`.
    pub name: &'static str,
    /// Its name for people: "OpenAI".
    pub title: &'static str,
    /// The settings of its table.
    pub settings: Settings,
    /// Its part of the reference configuration: a `[providers.…]` table that shows each setting, with its default.
    pub reference: &'static str,
    /// The types of key in Flashback that its keys can be.
    pub ai_types: &'static [AiType],
    /// `true` if a key is a pair, of which the id is stored, too (`fields.key`).
    pub pairs: bool,
    /// Reads its settings from a provider's table, or reports mistakes.
    pub read: fn(&mut Reader<'_, '_>) -> Option<Arc<dyn ProviderKind>>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The settings of a provider, of whatever kind.
pub trait ProviderKind: Same + fmt::Debug + Send + Sync {
    /// Returns whose keys it makes, for people: "the service account svc_acct_abc in the project proj_abc".
    fn place(&self) -> String;

    /// Builds the provider. It reads and calls nothing before it is first used.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if the settings cannot be those of a provider.
    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError>;
}

impl PartialEq for dyn ProviderKind {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other as &dyn Any)
    }
}

/// Everything a provider is built with, beside its own settings.
pub struct Context<'a> {
    /// The name of its table.
    pub id: ProviderId,
    /// The upstream through which each call goes.
    pub upstream: Upstream,
    /// Resolves a secret reference.
    pub secret: &'a dyn Fn(&SecretRef) -> SharedCredential,
}

impl Context<'_> {
    /// Resolves a secret reference.
    pub fn secret(&self, reference: &SecretRef) -> SharedCredential {
        (self.secret)(reference)
    }
}
