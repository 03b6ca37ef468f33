//! The sources, in which keys are rotated.
//!
//! A source returns the current version of a secret ([`Source::observe`], which is cheap and exposes no value if that
//! is possible), its value ([`Source::read`]), earlier versions ([`Source::read_exact`], [`Source::previous`]) and which
//! secrets there are ([`Source::list`]). If the configuration asks for it, it records which version is live
//! ([`Source::acknowledge`]). It decides nothing and does not know Flashback.
//!
//! A new kind of source is a folder here, its `pub mod` and its place in [`KINDS`].

pub mod aws;
pub mod contract;
mod entries;
pub mod file;
pub mod hint;
pub mod kind;
pub mod listing;
pub mod replacement;
pub mod vault;

pub use contract::{
    Changes, Exact, GoneVersion, Previous, Reading, Source, SourceError, why_missing,
};
pub use entries::MOST_ENTRIES;
pub use hint::{Certainty, Hint};
pub use kind::{Context, Example, Kind, SourceKind};
pub use listing::{Listed, Scope};
pub use replacement::{Replacement, StoreOutcome};

/// Every kind of source.
pub const KINDS: &[Kind] = &[vault::KIND, aws::KIND, file::KIND];
