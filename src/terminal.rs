//! The width of a terminal, and text that is wrapped to fit it.

use std::io::{self, Write};
use std::os::fd::AsFd;

use tracing_subscriber::fmt::MakeWriter;
use unicode_width::UnicodeWidthStr;

/// The number of columns by which the continuation lines of a long line are indented.
pub const INDENT: usize = 4;

/// Returns the number of columns of the terminal that a stream leads to; `None` if it leads to none or to one
/// that does not know.
pub fn columns(stream: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Returns how many columns a text takes on a terminal.
pub fn width(text: &str) -> usize {
    anstream::adapter::strip_str(text)
        .map(UnicodeWidthStr::width)
        .sum()
}

/// Wraps a text that begins in the column `start` between words, so that no line exceeds `room` columns and
/// each continuation line begins in the column `indent`. A longer word (an id, an address) is not broken.
pub fn wrapped(text: &str, start: usize, indent: usize, room: usize) -> String {
    let mut lines = String::new();
    let mut at = start;
    for (index, word) in text.split(' ').enumerate() {
        let taken = width(word);
        if index == 0 {
            at += taken;
        } else if at + 1 + taken <= room {
            lines.push(' ');
            at += 1 + taken;
        } else {
            lines.push('\n');
            lines += &" ".repeat(indent);
            at = indent + taken;
        }
        lines += word;
    }
    lines
}

/// Writes to standard error through another writer, and wraps the lines if standard error is a terminal.
pub struct Wrapped<W>(pub W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Wrapped<W> {
    type Writer = Wrapped<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Wrapped(self.0.make_writer())
    }
}

impl<W: Write> Write for Wrapped<W> {
    /// Writes whole lines: `lines` must not end within one.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        match (columns(io::stderr()), std::str::from_utf8(lines)) {
            (Some(room), Ok(text)) => {
                let line = |line| wrapped(line, 0, INDENT, room);
                let text: Vec<String> = text.split('\n').map(line).collect();
                self.0.write_all(text.join("\n").as_bytes())?;
            }
            _ => self.0.write_all(lines)?,
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_words_are_not() {
        let text = "12:00:00.000  INFO it is there key=a https://vault.internal:8200/v1/x ok";
        assert_eq!(
            wrapped(text, 0, 4, 30),
            "12:00:00.000  INFO it is there
    key=a
    https://vault.internal:8200/v1/x
    ok"
        );
        assert_eq!(wrapped(text, 0, 4, width(text)), text);
        assert_eq!(wrapped("", 0, 4, 1), "");
    }

    #[test]
    fn colour_codes_take_no_width() {
        let text = "\u{1b}[3mkey\u{1b}[0m=a 鍵鍵";
        assert_eq!(width(text), 10);
        assert_eq!(wrapped(text, 0, 4, 10), text);
        assert_eq!(wrapped(text, 0, 4, 9), text.replace(' ', "\n    "));
    }
}
