//! How a command ends, and what it says on stderr.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use super::table;
use crate::terminal;

/// How a command ends.
pub enum End {
    /// 0.
    Done,
    /// 1: some key failed, or the command could not do its work.
    Failed,
    /// 2: the configuration or the arguments are wrong.
    Wrong,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Done => Self::SUCCESS,
            End::Failed => Self::from(1),
            End::Wrong => Self::from(2),
        }
    }
}

/// Prints one line to stderr. A reader that went away is no error.
pub fn say(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Says what went wrong on stderr; exit code 1.
pub fn fail(error: impl Display) -> End {
    fail_on(&mut std::io::stderr(), error)
}

/// The same through `stderr`, which leads there.
pub fn fail_on(stderr: &mut impl Write, error: impl Display) -> End {
    let label = match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => "error".to_owned(),
        _ => table::red("error"),
    };
    put(stderr, &label, error);
    End::Failed
}

/// Says on stderr what is doubtful.
pub fn warn(doubt: impl Display) {
    put(&mut std::io::stderr(), "warning", doubt);
}

/// Writes a line that fits the terminal.
fn put(stderr: &mut impl Write, label: &str, text: impl Display) {
    let mut line = format!("{label}: {}", table::plain(&text.to_string()));
    if let Some(room) = terminal::columns(std::io::stderr()) {
        line = terminal::wrapped(&line, 0, terminal::INDENT, room);
    }
    let _ = stderr.write_all((line + "\n").as_bytes());
}

/// Says what is wrong with the call; exit code 2.
pub fn wrong(error: impl Display) -> End {
    fail(error);
    End::Wrong
}
