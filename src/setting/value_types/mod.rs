//! The syntaxes of single values. Each constant reads one, and describes it for the schema.

pub mod number;
pub mod place;
pub mod secret;
pub mod text;
pub mod time;
