//! Splits what is read into lines. However it was cut into reads, the lines are the same.

/// The longest line that is read, in bytes. Records have less than 2 KB, and lists of secrets are the longest of them:
/// `elide_list_responses` shortens those.
pub const LONGEST: usize = 1 << 20;

/// The room that is kept for the beginning of a line from one read to the next, in bytes.
const ROOM: usize = 64 << 10;

/// A line that is complete.
pub(super) enum Line<'a> {
    /// Its bytes, without the line break.
    Whole(&'a [u8]),
    /// It has more than [`LONGEST`] bytes.
    TooLong,
}

/// Bytes that come in pieces, by line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// `true` if everything up to the next line break is passed over.
    skips: bool,
}

impl Lines {
    /// Returns lines whose first one was begun before, and is passed over.
    pub fn from_within() -> Self {
        Self {
            skips: true,
            ..Self::default()
        }
    }

    /// Starts over, and returns `true` if the last line has no end.
    pub fn restart(&mut self) -> bool {
        let cut = self.skips || !self.begun.is_empty();
        self.skips = false;
        self.clear();
        cut
    }

    /// Takes the next bytes, and gives each line that has an end to `each`. Empty lines are none, and a line that is
    /// too long is given once, when it is known to be.
    pub fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if std::mem::take(&mut self.skips) {
                continue;
            }
            if self.begun.len() + line.len() > LONGEST {
                each(Line::TooLong);
            } else if self.begun.is_empty() {
                if !line.is_empty() {
                    each(Line::Whole(line));
                }
                continue;
            } else {
                self.begun.extend_from_slice(line);
                each(Line::Whole(&self.begun));
            }
            self.clear();
        }
        if self.skips {
            return;
        }
        if self.begun.len() + bytes.len() > LONGEST {
            each(Line::TooLong);
            self.skips = true;
            self.clear();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    /// Forgets the beginning of a line. With `log_raw` there are values in it.
    fn clear(&mut self) {
        self.begun.fill(0);
        self.begun.clear();
        self.begun.shrink_to(ROOM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.take(piece, |line| {
                found.push(match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::TooLong => None,
                });
            });
        }
        found
    }

    #[test]
    fn a_line_of_the_longest_length_is_read_and_a_longer_one_passed_over() {
        let just = [vec![b'a'; LONGEST], b"\nb\n".to_vec()].concat();
        let longer = [vec![b'a'; LONGEST + 1], b"\nb\n".to_vec()].concat();
        for cut in [1, 4096, LONGEST, LONGEST + 1] {
            let pieces: Vec<&[u8]> = just.chunks(cut).collect();
            let found = lines(&pieces);
            assert_eq!(found.len(), 2, "{cut}");
            assert!(
                found[0].as_ref().is_some_and(|it| it.len() == LONGEST),
                "{cut}"
            );
            let pieces: Vec<&[u8]> = longer.chunks(cut).collect();
            assert_eq!(lines(&pieces), [None, Some(b"b".to_vec())], "{cut}");
        }
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let mut lines = Lines::default();
        let mut told = 0;
        for _ in 0..40 {
            lines.take(&vec![b'a'; 100_000], |_| told += 1);
        }
        assert_eq!(told, 1, "it is told once");
        assert!(lines.begun.capacity() <= ROOM);
    }
}
