//! The interface of a kind of trigger, which `type = "…"` in `[sources.….events]` selects.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::contract::{Trigger, TriggerError};
use crate::credential::{SecretRef, SharedCredential};
use crate::model::SourceId;
use crate::setting::{Reader, Settings};
use crate::source::SourceKind;
use crate::source::kind::Same;

/// A kind of trigger.
pub struct Kind {
    /// The word in `type`.
    pub name: &'static str,
    /// The kinds of source that it can listen to.
    pub sources: &'static [&'static str],
    /// The settings of its table.
    pub settings: Settings,
    /// Its part of the reference configuration: a `[sources.….events]` table that shows each setting, with its
    /// default.
    pub reference: &'static str,
    /// Returns the trigger that a source with these settings has without an `events` table.
    pub implied: fn(&dyn SourceKind) -> Option<Arc<dyn TriggerKind>>,
    /// Reads its settings from an `events` table, or reports mistakes.
    pub read: fn(&mut Reader<'_, '_>) -> Option<Arc<dyn TriggerKind>>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The settings of a trigger, of whatever kind.
pub trait TriggerKind: Same + fmt::Debug + Send + Sync {
    /// Returns what is listened to, for people: "the audit log /var/log/openbao/audit.log".
    fn place(&self) -> String;

    /// Returns `true` if only one process can listen, so that another one that tries it is in the way.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// Builds the trigger. It opens and calls nothing before it listens.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if the settings cannot be those of a trigger.
    fn build(&self, context: Context<'_>) -> Result<Box<dyn Trigger>, TriggerError>;
}

impl PartialEq for dyn TriggerKind {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other as &dyn Any)
    }
}

/// Everything a trigger is built with, beside its own settings.
pub struct Context<'a> {
    /// The source that it listens to.
    pub id: &'a SourceId,
    /// The settings of that source. A trigger knows the kinds that it can listen to, and asks for their settings by
    /// [`settings_of`](Self::settings_of).
    pub source: &'a dyn SourceKind,
    /// Resolves a secret reference.
    pub secret: &'a dyn Fn(&SecretRef) -> SharedCredential,
}

impl Context<'_> {
    /// Returns the settings of the source if it is of this kind.
    pub fn settings_of<T: SourceKind>(&self) -> Option<&T> {
        (self.source as &dyn Any).downcast_ref()
    }
}
