//! How single values are written: each constant reads one syntax, and describes it for the schema.

pub mod number;
pub mod place;
pub mod secret;
pub mod text;
pub mod time;
