//! The events of which a receiver can be notified, and their subjects.

use std::fmt;

use crate::model::{KeyId, SourceId};

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// An event of which a receiver can be notified.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Event {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Event {
            /// Every event, in the order in which the documentation lists them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the word used in `on`, in messages and in the state.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

events! {
    /// A state: a key cannot be kept current.
    Failing = "failing";
    /// A state: the source's version is held, so it is not pushed without a command.
    Held = "held";
    /// A state: the source has nothing to push.
    Missing = "missing";
    /// A state: the live version is older than the key's `max_age`.
    Old = "old";
    /// A state: something keeps the rotation of a key from getting on.
    RotationStuck = "rotation_stuck";
    /// A state: a source does not answer, or rejects the rotator's credentials.
    SourceDown = "source_down";
    /// A state: Flashback does not answer, or rejects the rotator's credentials.
    FlashbackDown = "flashback_down";
    /// A state: the rotator's state cannot be read or written.
    StateFailing = "state_failing";
    /// A state: a changed configuration is invalid, and the earlier one is in force.
    ConfigRejected = "config_rejected";
    /// A change: another version is live in Flashback.
    Rotated = "rotated";
    /// A change: the previous version is back in Flashback.
    RolledBack = "rolled_back";
    /// A change: a change that others had made in Flashback was undone.
    DriftRepaired = "drift_repaired";
    /// A change: an old key does not work any more, because it was disabled or deleted at its provider.
    OldKeyRevoked = "old_key_revoked";
    /// The end of a state of which the receiver was notified.
    Recovered = "recovered";
}

impl Event {
    /// Returns the event with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|event| event.as_str() == word)
    }
}

/// The subject of a state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A key, and whether it is kept current.
    Key(KeyId),
    /// The age of a key's live version.
    Age(KeyId),
    /// A key's rotation.
    Rotation(KeyId),
    /// A source.
    Source(SourceId),
    /// Flashback.
    Flashback,
    /// The state of this process.
    State,
    /// The configuration of this process.
    Configuration,
}

impl Subject {
    /// Returns the key that the subject is about, if any.
    pub fn key(&self) -> Option<&KeyId> {
        match self {
            Self::Key(key) | Self::Age(key) | Self::Rotation(key) => Some(key),
            _ => None,
        }
    }

    /// Returns `true` if what a receiver was sent of this subject is saved in the state. A state that cannot be
    /// used cannot save it, and no process starts with a configuration that is refused.
    pub fn is_kept(&self) -> bool {
        !matches!(self, Self::State | Self::Configuration)
    }

    /// Parses the text that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.split_once(':') {
            Some(("key", id)) => Self::Key(KeyId::new(id)),
            Some(("age", id)) => Self::Age(KeyId::new(id)),
            Some(("rotation", id)) => Self::Rotation(KeyId::new(id)),
            Some(("source", id)) => Self::Source(SourceId::new(id)),
            None if text == "flashback" => Self::Flashback,
            None if text == "state" => Self::State,
            None if text == "configuration" => Self::Configuration,
            _ => return None,
        })
    }
}

/// Writes the word that the state uses for the subject.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Age(id) => write!(f, "age:{id}"),
            Self::Rotation(id) => write!(f, "rotation:{id}"),
            Self::Source(id) => write!(f, "source:{id}"),
            Self::Flashback => f.write_str("flashback"),
            Self::State => f.write_str("state"),
            Self::Configuration => f.write_str("configuration"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_survives_its_text() {
        for subject in [
            Subject::Key(KeyId::new("a:b.c")),
            Subject::Age(KeyId::new("k")),
            Subject::Rotation(KeyId::new("k")),
            Subject::Source(SourceId::new("vault")),
            Subject::Flashback,
            Subject::State,
            Subject::Configuration,
        ] {
            assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
        }
        assert_eq!(Subject::parse("another"), None);
    }

    #[test]
    fn each_word_means_one_event() {
        for event in Event::ALL {
            assert_eq!(Event::of_word(event.as_str()), Some(*event));
        }
    }
}
