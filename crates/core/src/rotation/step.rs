//! The steps of a rotation.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::model::{NextKey, ProviderKeyId, Rotation};

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Find something out.
    Ask(Question),
    /// Save this record. Nothing is changed elsewhere.
    Save(Box<Rotation>, Change),
    /// Save that this key is being made, make it, and save what came of it.
    Mint(NextKey),
    /// Write the value in memory into the source, and save what came of it. If the source has another version than is
    /// expected, that is a failure to save where the record is doubtful already, and where it is not, a reason to ask for
    /// the newest version and to decide again.
    Store,
    /// Remove a key whose value nobody has, and save that there is no next key.
    Discard(ProviderKeyId),
    /// Disable an old key, and save it.
    Disable(ProviderKeyId),
    /// Enable an old key again, because its value is wanted, and save it.
    Enable(ProviderKeyId),
    /// Delete an old key, and save it.
    Delete(ProviderKeyId),
    /// Nothing is to be done now.
    Rest(Rest),
}

/// Something to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which keys the provider has.
    List,
    /// Which of them has the live value.
    Find,
    /// What the source has now, not from an answer of before.
    Newest,
    /// When this key was last used.
    LastUse(ProviderKeyId),
}

/// What has changed on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The next key is live and verified everywhere: it is the current one.
    Verified,
    /// The live value is that of this key of the provider, or of none that is known.
    Adopted(Option<ProviderKeyId>),
    /// An old key is live again.
    Reinstated(ProviderKeyId),
    /// The source has the value of the next key, as a crash has left it.
    Stored,
    /// Another hand has rotated meanwhile, or a person wants another one: the next key is an old one.
    Superseded(ProviderKeyId),
    /// Nothing came of making a key.
    NotMade,
    /// An old key is to be revoked even though its successor does not work.
    Forced(ProviderKeyId),
    /// An old key is left as it is, for this reason.
    Left(ProviderKeyId, Leaving),
    /// An old key is disabled, by whomever.
    Disabled(ProviderKeyId),
    /// An old key is not there any more.
    Gone(ProviderKeyId),
    /// A person's wish cannot be carried out, for this reason.
    Refused(String),
    /// What a person has asked for is done.
    Done,
    /// The next key, or an old one, does not get on.
    Stuck,
    /// What kept one from getting on is over.
    Recovered,
    /// A wait begins again, because a clock was set back or an old key's value was live again.
    Restarted,
    /// A call is about to be made whose effect may come late.
    Begun,
}

/// The reason why an old key is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// The configuration wants it so.
    Configured,
    /// Somebody has enabled it after it was disabled here.
    EnabledAgain,
}

impl fmt::Display for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "`revoke` is \"none\"",
            Self::EnabledAgain => "somebody has enabled it again",
        })
    }
}

/// Why nothing is to be done, and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// The time at which it is decided again; `None` for the next check.
    pub until: Option<DateTime<Utc>>,
    /// What is waited for, for people.
    pub waiting: Option<String>,
}
