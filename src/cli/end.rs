//! The end of a command: its exit code and its output on standard error.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use super::table;
use crate::terminal;

/// The outcome of a command.
pub enum End {
    /// Exit code 0.
    Done,
    /// Exit code 1: a key failed, or the command could not do its work.
    Failed,
    /// Exit code 2: the configuration or the arguments are wrong.
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

/// Prints a line on standard error. It is no error if nothing reads it any more.
pub fn say(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints an error on standard error. Returns [`End::Failed`].
pub fn fail(error: impl Display) -> End {
    fail_on(&mut std::io::stderr(), error)
}

/// Prints an error through `stderr`, which leads to standard error. Returns [`End::Failed`].
pub fn fail_on(stderr: &mut impl Write, error: impl Display) -> End {
    let label = match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => "error".to_owned(),
        _ => table::red("error"),
    };
    put(stderr, &label, error);
    End::Failed
}

/// Prints a warning on standard error.
pub fn warn(doubt: impl Display) {
    put(&mut std::io::stderr(), "warning", doubt);
}

/// Writes a line with a label, wrapped to fit the terminal.
fn put(stderr: &mut impl Write, label: &str, text: impl Display) {
    let mut line = format!("{label}: {}", table::plain(&text.to_string()));
    if let Some(room) = terminal::columns(std::io::stderr()) {
        line = terminal::wrapped(&line, 0, terminal::INDENT, room);
    }
    let _ = stderr.write_all((line + "\n").as_bytes());
}

/// Prints an error in the arguments or the configuration on standard error. Returns [`End::Wrong`].
pub fn wrong(error: impl Display) -> End {
    fail(error);
    End::Wrong
}
