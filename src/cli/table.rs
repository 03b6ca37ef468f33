//! Aligned tables, and colour where a terminal is there to show it: what is printed goes through
//! `anstream`, which takes the colours out for pipes and for `NO_COLOR`.

use std::fmt;

use anstyle::{AnsiColor, Style};
use tabled::builder::Builder;
use tabled::settings::Padding;
use tabled::settings::style::Style as Border;

use crate::engine::row::State;
use crate::model::Action;
use crate::words::is_invisible;

pub use crate::span::{ago, ahead};

/// A table with a header.
pub struct Table(Builder);

impl Table {
    /// With these columns.
    pub fn new(columns: &[&str]) -> Self {
        let mut builder = Builder::new();
        let bold = Style::new().bold();
        builder.push_record(columns.iter().map(|column| paint(bold, column)));
        Self(builder)
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.push_record(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = self.0.clone().build();
        table.with(Border::empty()).with(Padding::new(0, 2, 0, 0));
        let text = table.to_string();
        let mut lines = text.lines().map(str::trim_end).peekable();
        while let Some(line) = lines.next() {
            f.write_str(line)?;
            if lines.peek().is_some() {
                f.write_str("\n")?;
            }
        }
        Ok(())
    }
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn colour(colour: AnsiColor, text: &str) -> String {
    paint(Style::new().fg_color(Some(colour.into())), text)
}

/// For what went wrong.
pub fn red(text: &str) -> String {
    paint(
        Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        text,
    )
}

/// For what went well.
pub fn green(text: &str) -> String {
    colour(AnsiColor::Green, text)
}

/// For what is less important.
pub fn dim(text: &str) -> String {
    paint(Style::new().dimmed(), text)
}

/// Text of others (a server's words, a store's version) as it may stand on a terminal: what is no
/// visible character is shown by its number, so that none can move the cursor, hide a line or
/// look like one of ours.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => plain.push(' '),
            c if is_invisible(c) => plain.extend(c.escape_unicode()),
            c => plain.push(c),
        }
    }
    plain
}

/// A cell for what may not be there.
pub fn cell(text: Option<&str>) -> String {
    text.map_or_else(nothing, plain)
}

/// An empty cell.
pub fn nothing() -> String {
    "-".to_owned()
}

/// A state in its colour.
pub fn state(state: State) -> String {
    let of = match state {
        State::InSync => AnsiColor::Green,
        State::Pending => AnsiColor::Cyan,
        State::Failing | State::Missing => AnsiColor::Red,
        State::Held => AnsiColor::Yellow,
        State::Disabled => AnsiColor::BrightBlack,
    };
    colour(of, state.as_str())
}

/// An action in its colour.
pub fn action(action: Action) -> String {
    let of = match action {
        Action::Create | Action::Update | Action::Adopt => AnsiColor::Green,
        Action::Hold => AnsiColor::Yellow,
        Action::Error => AnsiColor::Red,
        Action::None => return action.as_str().to_owned(),
    };
    colour(of, action.as_str())
}

/// A progress bar on stderr, shown where that is a terminal.
pub fn progress(total: usize) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(total as u64);
    let template = "{bar:32} {pos}/{len} keys, {elapsed}";
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_the_colour() {
        let mut table = Table::new(&["KEY", "STATE", "ERROR"]);
        table.row(["a".into(), state(State::InSync), String::new()]);
        table.row(["longer".into(), state(State::Failing), "no".into()]);
        let plain = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(
            plain,
            "KEY     STATE    ERROR\na       in_sync\nlonger  failing  no"
        );
    }

    #[test]
    fn what_others_say_moves_no_cursor_and_columns_stay_aligned() {
        assert_eq!(
            plain("a\u{1b}[2Jb\r\nc\u{9b}d\u{202e}é"),
            "a\\u{1b}[2Jb\\u{d} c\\u{9b}d\\u{202e}é"
        );
        let mut table = Table::new(&["NAME", "X"]);
        table.row(["鍵鍵".into(), "1".into()]);
        table.row(["abcd".into(), "2".into()]);
        let shown = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(shown, "NAME  X\n鍵鍵  1\nabcd  2");
    }
}
