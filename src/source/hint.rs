//! What a path or a mount looks like that has more in it than belongs there, or belongs elsewhere.
//!
//! Copied from an API's address, a policy or another tool, such a path is right in form and leads
//! nowhere. What is certain is a mistake, what is likely a warning when the configuration is read, and
//! the rest is said once the source has said that there is nothing. No hint repeats a path: it may be a
//! secret in the wrong place. Each kind of source knows its own hints.

/// A clause for people, after a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// What it looks like and, after a colon, what to write.
    pub text: String,
    /// How sure that is.
    pub certainty: Certainty,
}

/// How sure a [`Hint`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// Nothing else can be meant.
    Certain,
    /// Hardly anything else can be meant.
    Likely,
    /// It may be as it should be.
    Possible,
}

impl Hint {
    /// Makes a hint that is certain.
    pub fn certain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            certainty: Certainty::Certain,
        }
    }

    /// Makes a hint that is likely.
    pub fn likely(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            certainty: Certainty::Likely,
        }
    }

    /// Makes a hint that is possible.
    pub fn possible(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            certainty: Certainty::Possible,
        }
    }
}
