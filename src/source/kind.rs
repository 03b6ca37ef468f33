//! What a kind of source is: what `type = "…"` says in a source's table.
//!
//! A kind owns its settings, their place in the reference configuration, and the making of a source. It is a
//! folder here and a line in [`KINDS`](super::KINDS).

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

/// The kinds of source that a program knows.
pub type Kinds = &'static [Kind];

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
    /// What `init` prints for it.
    pub example: Example,
    /// What of it can be told which version is live, as a message names it: "KV 2". `None` where nothing can:
    /// then its sources have no setting `acknowledge`.
    pub acknowledges: Option<&'static str>,
    /// Settings that are likely to be written for another kind, which has nothing like them: the name of each,
    /// and what to do instead.
    pub alone: &'static [(&'static str, &'static str)],
    /// Reads its settings out of a source's table, or reports why not.
    pub read: fn(&mut Reader<'_, '_>) -> Option<Arc<dyn SourceKind>>,
}

/// A configuration to begin with.
pub struct Example {
    /// The word that `init --source` has for it.
    pub name: &'static str,
    /// What it is for, in the help of `init`.
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
    /// Returns why this source cannot be told which version is live, where it cannot, as a sentence.
    fn cannot_acknowledge(&self) -> Option<&'static str> {
        None
    }

    /// Returns what is wrong with a path in this source, or doubtful, as far as the settings alone tell.
    fn check_path(&self, path: &str) -> Option<Hint> {
        let _ = path;
        None
    }

    /// Returns the requests a second that so many checks a second take.
    fn cost(&self, checks: f64) -> f64 {
        checks
    }

    /// Returns the directory of this machine that the secrets are in, where they are in one.
    fn directory(&self) -> Option<&Path> {
        None
    }

    /// Returns the AWS region that the source is in, where the settings name one.
    fn aws_region(&self) -> Option<&str> {
        None
    }

    /// Returns where the source is, for people.
    fn place(&self) -> String;

    /// Makes the source. Nothing is read or called before it is first used.
    ///
    /// # Errors
    /// [`SourceError::Invalid`] where the settings cannot be those of a source.
    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Source>, SourceError>;
}

/// What a source is made with, beside its own settings.
pub struct Context<'a> {
    /// The name of its table.
    pub id: SourceId,
    /// Tell it which version is live.
    pub acknowledge: bool,
    /// The way to it.
    pub upstream: Upstream,
    /// Makes the digests that stand for values.
    pub fingerprinter: Fingerprinter,
    /// Says where a secret comes from.
    pub secret: &'a dyn Fn(&SecretRef) -> SharedCredential,
}

impl Context<'_> {
    /// Returns where a secret comes from.
    pub fn secret(&self, reference: &SecretRef) -> SharedCredential {
        (self.secret)(reference)
    }

    /// Returns where a text comes from that may be kept elsewhere.
    pub fn value(&self, value: &ValueRef) -> SharedCredential {
        value.resolve(self.secret)
    }
}

/// Tells whether two values are the same, where their types are not known.
pub trait Same: Any {
    /// Returns true where `other` is of the same type, and equal.
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
