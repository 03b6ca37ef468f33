//! Aligned tables, and colours where a terminal can show them: all output goes through `anstream`, which
//! removes the colours for pipes and for `NO_COLOR`.
//!
//! A table is as wide as the terminal allows. If its rows are wider, the last column, which holds prose, is
//! wrapped between words; if that leaves too little room, the columns that do not fit are printed below their
//! row, each on a line of its own. No cell is ever cut. Without a terminal a row is one line, for `grep` and
//! `awk`, unless `$COLUMNS` gives a width, as `watch` does.

use std::fmt;

use anstyle::{AnsiColor, Style};

use crate::engine::report::State;
use crate::model::Action;
use crate::terminal::{columns, width, wrapped};
use crate::words::is_invisible;

pub use crate::humanize::{ago, ahead};

/// The space between two columns.
const GAP: usize = 2;

/// The least room, in columns of the terminal, in which prose is wrapped beside the other columns.
const PROSE: usize = 28;

/// A table with a header.
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates an empty table with these columns.
    pub fn new(columns: &[&str]) -> Self {
        Self {
            header: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Renders the table for a terminal with this many columns; `None` for no limit.
    fn within(&self, room: Option<usize>) -> String {
        let room = room.unwrap_or(usize::MAX);
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| width(&row[column]));
                cells.fold(width(&self.header[column]), usize::max)
            })
            .collect();
        // The start of each column, and of one after the last.
        let starts: Vec<usize> = std::iter::once(0)
            .chain(widths.iter().scan(0, |end, width| {
                *end += width + GAP;
                Some(*end)
            }))
            .collect();
        let prose = starts[widths.len().saturating_sub(1)];
        let beside = if starts[widths.len()] <= room.saturating_add(GAP) || prose + PROSE <= room {
            widths.len()
        } else {
            // As many as fit, but at least the first.
            starts[2..].iter().filter(|end| **end <= room + GAP).count() + 1
        };
        let mut text = String::new();
        let mut line = |cells: &[String], style: Option<Style>| {
            let mut line = String::new();
            for (column, cell) in cells[..beside].iter().enumerate() {
                line += &" ".repeat(starts[column].saturating_sub(width(&line)));
                line += &match style {
                    Some(style) => paint(style, cell),
                    None if column + 1 == widths.len() => wrapped(cell, prose, prose, room),
                    None => cell.clone(),
                };
            }
            text += line.trim_end();
            text.push('\n');
            for (label, cell) in self.header.iter().zip(cells).skip(beside) {
                if style.is_none() && !cell.is_empty() && *cell != nothing() {
                    let label = format!("  {}: ", label.to_lowercase());
                    let cell = wrapped(cell, width(&label), 4, room);
                    text += &format!("{}{cell}\n", dim(&label));
                }
            }
        };
        line(&self.header, Some(Style::new().bold()));
        for row in &self.rows {
            line(row, None);
        }
        text.pop();
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.within(room()))
    }
}

/// Returns how many columns the output may take, if that is limited.
pub fn room() -> Option<usize> {
    let named = || std::env::var("COLUMNS").ok()?.parse().ok();
    columns(std::io::stdout()).or_else(named)
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn colour(colour: AnsiColor, text: &str) -> String {
    paint(Style::new().fg_color(Some(colour.into())), text)
}

/// Colours text about something that went wrong.
pub fn red(text: &str) -> String {
    paint(
        Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        text,
    )
}

/// Colours text about something that went well.
pub fn green(text: &str) -> String {
    colour(AnsiColor::Green, text)
}

/// Dims text that is less important.
pub fn dim(text: &str) -> String {
    paint(Style::new().dimmed(), text)
}

/// Returns text of others (a server's message, a source's version) in a form that is safe on a terminal. An
/// invisible character is shown by its number, so that none can move the cursor, hide a line or imitate a
/// line of this program.
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

/// Returns a cell with this text, or an empty cell.
pub fn cell(text: Option<&str>) -> String {
    text.map_or_else(nothing, plain)
}

/// Returns an empty cell.
pub fn nothing() -> String {
    "-".to_owned()
}

/// Returns a state in its colour.
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

/// Returns an action in its colour.
pub fn action(action: Action) -> String {
    let of = match action {
        Action::Create
        | Action::Update
        | Action::Adopt
        | Action::Delete
        | Action::Mint
        | Action::Store
        | Action::Disable
        | Action::Enable
        | Action::Revoke => AnsiColor::Green,
        Action::Hold => AnsiColor::Yellow,
        Action::Error => AnsiColor::Red,
        Action::None => return action.as_str().to_owned(),
    };
    colour(of, action.as_str())
}

/// Creates a progress bar on standard error, which is shown only on a terminal.
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

    fn shown(table: &Table, room: Option<usize>) -> String {
        anstream::adapter::strip_str(&table.within(room)).to_string()
    }

    fn keys() -> Table {
        let mut table = Table::new(&["KEY", "STATE", "NEXT CHECK", "ID", "ERROR"]);
        table.row([
            "openai".into(),
            state(State::InSync),
            "in 2 s".into(),
            "0d9c7a52-6f7e".into(),
            String::new(),
        ]);
        table.row([
            "claude".into(),
            state(State::Failing),
            "in 12 s".into(),
            nothing(),
            "Vault at https://vault.internal:8200 is sealed: unseal it".into(),
        ]);
        table
    }

    #[test]
    fn columns_are_aligned_whatever_the_colour() {
        let mut table = Table::new(&["KEY", "STATE", "ERROR"]);
        table.row(["a".into(), state(State::InSync), String::new()]);
        table.row(["longer".into(), state(State::Failing), "no".into()]);
        assert_eq!(
            shown(&table, None),
            "KEY     STATE    ERROR\na       in_sync\nlonger  failing  no"
        );
    }

    #[test]
    fn escapes_control_characters_and_aligns_wide_columns() {
        assert_eq!(
            plain("a\u{1b}[2Jb\r\nc\u{9b}d\u{202e}é"),
            "a\\u{1b}[2Jb\\u{d} c\\u{9b}d\\u{202e}é"
        );
        let mut table = Table::new(&["NAME", "X"]);
        table.row(["鍵鍵".into(), "1".into()]);
        table.row(["abcd".into(), "2".into()]);
        assert_eq!(shown(&table, None), "NAME  X\n鍵鍵  1\nabcd  2");
    }

    #[test]
    fn a_row_is_one_line_where_it_fits() {
        let line = "claude  failing  in 12 s     -              \
                    Vault at https://vault.internal:8200 is sealed: unseal it";
        for room in [None, Some(200), Some(width(line))] {
            assert_eq!(shown(&keys(), room).lines().nth(2), Some(line), "{room:?}");
        }
        assert_ne!(
            shown(&keys(), Some(width(line) - 1)).lines().nth(2),
            Some(line)
        );
    }

    #[test]
    fn prose_is_wrapped_between_words_beside_the_other_columns() {
        assert_eq!(
            shown(&keys(), Some(80)),
            "KEY     STATE    NEXT CHECK  ID             ERROR
openai  in_sync  in 2 s      0d9c7a52-6f7e
claude  failing  in 12 s     -              Vault at https://vault.internal:8200
                                            is sealed: unseal it"
        );
    }

    #[test]
    fn wraps_cells_below_their_row_in_a_narrow_terminal_without_cutting() {
        assert_eq!(
            shown(&keys(), Some(40)),
            "KEY     STATE    NEXT CHECK
openai  in_sync  in 2 s
  id: 0d9c7a52-6f7e
claude  failing  in 12 s
  error: Vault at
    https://vault.internal:8200 is
    sealed: unseal it"
        );
        for room in 1..120 {
            let narrow = shown(&keys(), Some(room));
            for word in keys()
                .rows
                .iter()
                .flatten()
                .flat_map(|cell| cell.split(' '))
            {
                let word = anstream::adapter::strip_str(word).to_string();
                assert!(narrow.contains(&word), "{room}, {word}: {narrow}");
            }
            let longest = "https://vault.internal:8200".len();
            let over = |line: &&str| width(line) > room && width(line) > longest + 4;
            assert_eq!(narrow.lines().find(over), None, "{room}: {narrow}");
        }
    }
}
