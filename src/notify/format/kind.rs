//! What a format is.

use std::fmt;

use crate::notify::notice::Notice;

/// A way to write a [`Notice`].
#[derive(Clone, Copy)]
pub struct Format {
    /// The word in `format`.
    pub name: &'static str,
    /// The body's `Content-Type`.
    pub content_type: &'static str,
    /// How many subjects of one event are told in one notice.
    pub most: usize,
    /// Writes a notice as a body.
    pub body: fn(&Notice) -> Vec<u8>,
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
