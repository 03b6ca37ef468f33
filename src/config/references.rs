//! The secret references of a configuration, and what each of them opens.

use std::fmt;

use super::{Config, FlashbackAuth, SecretRef, SourceKind, StateConfig};
use crate::model::{ReceiverId, SourceId};

/// What a secret reference opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Flashback.
    Flashback,
    /// The state.
    State,
    /// A source.
    Source(SourceId),
    /// A receiver of notifications.
    Receiver(ReceiverId),
}

/// The table that the reference stands in.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flashback => f.write_str("[flashback.auth]"),
            Self::State => f.write_str("[state]"),
            Self::Source(id) => write!(f, "[sources.{id}.auth]"),
            Self::Receiver(id) => write!(f, "[notify.{id}]"),
        }
    }
}

impl Config {
    /// Every secret reference, with what it opens.
    pub fn references(&self) -> Vec<(Owner, SecretRef)> {
        let mut all = Vec::new();
        let mut add = |owner: Owner, references: Vec<&SecretRef>| {
            let references = references.into_iter().cloned();
            all.extend(references.map(|reference| (owner.clone(), reference)));
        };
        if let StateConfig::Postgres(postgres) = &self.state {
            add(Owner::State, postgres.password.iter().collect());
        }
        add(Owner::Flashback, self.flashback.auth.references());
        if let FlashbackAuth::RefreshToken(path) = &self.flashback.auth {
            add(Owner::Flashback, vec![&SecretRef::File(path.clone())]);
        }
        for (id, source) in &self.sources {
            if let SourceKind::Vault(vault) = &source.kind {
                add(Owner::Source(id.clone()), vault.auth.references());
            }
        }
        for (id, receiver) in &self.notify {
            let references = std::iter::once(&receiver.url).chain(&receiver.secret);
            add(Owner::Receiver(id.clone()), references.collect());
        }
        all
    }
}
