//! How a notice is written. A new format is a file here and a line in [`FORMATS`].

mod cloudevents;
mod kind;
mod slack;

pub use self::kind::Format;

/// Every format there is.
pub const FORMATS: &[Format] = &[slack::FORMAT, cloudevents::FORMAT];

#[cfg(test)]
mod tests;
