//! The formats of notices. A new format is a file here and an entry in [`FORMATS`].

mod cloudevents;
mod kind;
mod slack;

pub use self::kind::Format;

/// Every format.
pub const FORMATS: &[Format] = &[slack::FORMAT, cloudevents::FORMAT];

#[cfg(test)]
mod tests;
