//! The interface of a kind of source, which `type = "…"` in a source's table selects.
//!
//! A kind owns its settings, their place in the reference configuration, and the making of a source. It is a
//! folder here, its `pub mod` and its place in [`KINDS`](super::KINDS).

use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::contract::{Source, SourceError};
use super::hint::Hint;
use crate::credential::{SecretRef, SharedCredential, ValueRef};
use crate::model::SourceId;
use crate::secret::Fingerprinter;
use crate::setting::{Reader, Settings};
use crate::upstream::Upstream;

/// A kind of source.
pub struct Kind {
    /// The word in `type`.
    pub name: &'static str,
    /// Its name for people: "AWS Secrets Manager".
    pub title: &'static str,
    /// The settings of its table, without those that sources of every kind have.
    pub settings: Settings,
    /// Its part of the reference configuration: `[sources.…]` tables that show each setting, with its default.
    pub reference: &'static str,
    /// The configuration that `init` prints for it.
    pub example: Example,
    /// The name, for messages, of the sources of this kind that can record which version is live, such as "KV 2".
    /// `None` if there are none; the setting `acknowledge` does not exist for this kind then.
    pub acknowledges: Option<&'static str>,
    /// Settings of other kinds that users write here by mistake, with what to do instead.
    pub alone: &'static [(&'static str, &'static str)],
    /// Reads its settings from a source's table, or reports mistakes.
    pub read: fn(&mut Reader<'_, '_>) -> Option<Arc<dyn SourceKind>>,
}

/// A configuration to begin with.
pub struct Example {
    /// The word that `init --source` has for it.
    pub name: &'static str,
    /// Its description in the help of `init`.
    pub about: &'static str,
    /// The whole configuration.
    pub text: &'static str,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The settings of a source, of whatever kind.
pub trait SourceKind: Same + fmt::Debug + Send + Sync {
    /// Returns a sentence that says why this source cannot record which version is live; `None` if it can.
    fn cannot_acknowledge(&self) -> Option<&'static str> {
        None
    }

    /// Returns a hint if a path in this source is wrong or doubtful, judged by the settings alone.
    fn check_path(&self, path: &str) -> Option<Hint> {
        let _ = path;
        None
    }

    /// Returns the number of requests per second caused by this many checks per second.
    fn cost(&self, checks: f64) -> f64 {
        checks
    }

    /// Returns the local directory that holds the secrets, if they are in one.
    fn directory(&self) -> Option<&Path> {
        None
    }

    /// Returns the AWS region of the source, if the settings name one: a Bedrock key without a region of its own is
    /// verified there.
    fn aws_region(&self) -> Option<&str> {
        None
    }

    /// Returns the location of the source, for people.
    fn place(&self) -> String;

    /// Builds the source. It reads and calls nothing before it is first used.
    ///
    /// # Errors
    /// Returns [`SourceError::Invalid`] if the settings cannot be those of a source.
    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Source>, SourceError>;
}

/// Everything a source is built with, beside its own settings.
pub struct Context<'a> {
    /// The name of its table.
    pub id: SourceId,
    /// `true` if the source is to record which version is live.
    pub acknowledge: bool,
    /// The upstream through which each call goes.
    pub upstream: Upstream,
    /// Makes the digests that stand for values.
    pub fingerprinter: Fingerprinter,
    /// Resolves a secret reference.
    pub secret: &'a dyn Fn(&SecretRef) -> SharedCredential,
}

impl Context<'_> {
    /// Resolves a secret reference.
    pub fn secret(&self, reference: &SecretRef) -> SharedCredential {
        (self.secret)(reference)
    }

    /// Resolves a text that may be a secret reference.
    pub fn value(&self, value: &ValueRef) -> SharedCredential {
        value.resolve(self.secret)
    }
}

/// Compares values whose types are not known.
pub trait Same: Any {
    /// Returns `true` if `other` is of the same type and equal.
    fn is_same(&self, other: &dyn Any) -> bool;
}

impl<T: Any + PartialEq> Same for T {
    fn is_same(&self, other: &dyn Any) -> bool {
        other.downcast_ref() == Some(self)
    }
}

impl PartialEq for dyn SourceKind {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other as &dyn Any)
    }
}
