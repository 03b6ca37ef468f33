//! The sources: where keys are rotated.
//!
//! A source answers which version is there now ([`Source::observe`], cheap, and exposing nothing
//! where it can), what is in it ([`Source::read`]) and what was there before
//! ([`Source::read_exact`], [`Source::previous`]). Where it is asked to, it notes which
//! version is live ([`Source::acknowledge`]). It decides nothing and knows nothing of Flashback.
//!
//! A new kind of source is a folder here and a line in [`KINDS`].

pub mod aws;
pub mod contract;
pub mod file;
pub mod hint;
pub mod kind;
pub mod vault;

pub use contract::{Exact, GoneVersion, Previous, Reading, Source, SourceError, why_missing};
pub use hint::{Certainty, Hint};
pub use kind::{Context, Example, Kind, Kinds, SourceKind};

/// Every kind of source.
pub const KINDS: Kinds = &[vault::KIND, aws::KIND, file::KIND];
