//! Places in the files of a configuration.

use std::ops::Range;

/// A place in one of the files: which one, and the bytes in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The number of the file.
    pub file: usize,
    /// The first byte.
    pub start: usize,
    /// The byte behind the last.
    pub end: usize,
}

impl Span {
    /// Makes the place of these bytes of a file.
    pub fn new(file: usize, range: &Range<usize>) -> Self {
        Self {
            file,
            start: range.start,
            end: range.end,
        }
    }
}
