//! The definition of a format.

use std::fmt;

use crate::notify::notice::Notice;

/// An encoding of a [`Notice`].
#[derive(Clone, Copy)]
pub struct Format {
    /// The word for it in the setting `format`.
    pub name: &'static str,
    /// The body's `Content-Type`.
    pub content_type: &'static str,
    /// The most subjects of one event in one notice.
    pub most: usize,
    /// Encodes a notice as the body of a request.
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
