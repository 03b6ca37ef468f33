//! Discovery: keys that no table names, made of what a source has below a prefix.
//!
//! A [`Rule`] says which secrets of a source are keys, and what each is in Flashback. [`plan`] turns listings into keys
//! without clock and I/O: it decides what is new, what is gone for sure, and which of two keys has a name. The daemon
//! lists, asks and puts in force what was decided; the state keeps what was found.

pub mod made;
pub mod pattern;
pub mod plan;
pub mod rule;
pub mod template;

pub use pattern::Pattern;
pub use plan::Problem;
pub use rule::{OnRemoved, Rule};
pub use template::Template;

#[cfg(test)]
mod tests;
