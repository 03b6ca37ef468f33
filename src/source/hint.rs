//! Hints about paths and mounts that were probably copied from an API's address, a policy or another tool.
//!
//! Such a path is well-formed and leads nowhere. A certain hint is reported as a mistake when the configuration is
//! read, a likely one as a warning, and a possible one once the source has answered that there is no such secret.
//! No hint repeats a path, because it may be a secret in the wrong place. Each kind of source has its own hints.

/// A hint, as a clause that stands after a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// A description of the problem and, after a colon, what to write.
    pub text: String,
    /// The certainty of the hint.
    pub certainty: Certainty,
}

/// The certainty of a [`Hint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The path is certainly wrong.
    Certain,
    /// The path is probably wrong.
    Likely,
    /// The path may be right.
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
