//! Excerpts of a configuration without its values.
//!
//! A line is shown by what is known to be harmless: brackets, signs, and names of settings and
//! tables. Everything else becomes `…`: values, comments (people keep old values in them), and in
//! a file that is not TOML every word that is no setting's name.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use crate::redact;
use crate::words;

/// The character in place of anything that is not shown, whatever its length.
const MASK: &str = redact::MASK;

/// The text in place of a comment.
const COMMENT: &str = "# …";

/// The longest name that is shown. A longer one may be a secret on the wrong side of the `=`.
const LONGEST_NAME: usize = 40;

/// The longest name that is shown as that of a setting, which are shorter than those of users.
const LONGEST_SETTING: usize = 24;

/// The shortest part of a name that is examined, in bytes.
const SHORTEST_PART: usize = 6;

/// The length from which on a part of a name must be a known word, in bytes.
const LONGEST_WORD: usize = 10;

/// The most digits of a name that is shown: those of a date.
const DIGITS: usize = 8;

/// The names that a configuration can have in it.
#[derive(Default)]
pub struct Names {
    /// The names of settings and tables.
    pub known: HashSet<String>,
    /// The names of the tables that hold names of the user's own, such as `keys`.
    pub of_ids: HashSet<&'static str>,
}

/// One file of the configuration.
pub struct SourceFile {
    pub path: PathBuf,
    text: String,
    /// The bytes of every value that is not a table.
    values: Vec<Range<usize>>,
    /// The words that may be shown.
    names: HashSet<String>,
    /// `true` if the whole file could be parsed, so that apparent names are names.
    whole: bool,
}

/// A line without its values, and the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub line: String,
    pub mark: Range<usize>,
}

impl SourceFile {
    /// Makes a file whose words may be shown where they are among `names`.
    pub fn new(path: PathBuf, text: String, names: &Names) -> Self {
        Self {
            path,
            text,
            values: Vec::new(),
            names: names.known.clone(),
            whole: false,
        }
    }

    /// Learns from what the parser found: values to hide and, where all of it could be parsed,
    /// names to show.
    pub fn learn(&mut self, table: &DeTable<'_>, whole: bool, names: &Names) {
        self.whole = whole;
        self.learn_table(table, false, &names.of_ids);
    }

    /// Collects the names of a table. `ids` is `true` if they are chosen by the user.
    fn learn_table(&mut self, table: &DeTable<'_>, ids: bool, of_ids: &HashSet<&'static str>) {
        for (name, value) in table {
            let name = name.get_ref();
            let is_shown = match ids {
                true => is_harmless(name),
                false => may_be_a_setting(name),
            };
            if self.whole && is_shown {
                self.names.insert(name.to_string());
            }
            match value.get_ref() {
                DeValue::Table(inner) => {
                    let of_ids_inside = !ids && of_ids.contains(&**name);
                    self.learn_table(inner, of_ids_inside, of_ids);
                }
                DeValue::Array(items) if items.iter().all(|item| item.get_ref().is_table()) => {
                    for item in items {
                        if let DeValue::Table(inner) = item.get_ref() {
                            self.learn_table(inner, false, of_ids);
                        }
                    }
                }
                _ => self.values.push(value.span()),
            }
        }
    }

    /// Returns a name in the form that messages may show. In a file that is not TOML, half a value may look like a
    /// name.
    pub fn shown<'n>(&self, name: &'n str) -> &'n str {
        match self.names.contains(name) {
            true => name,
            false => MASK,
        }
    }

    /// Returns the line and the column of a byte, both from 1; the column counts characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let byte = self.floor(byte);
        let start = self.line_start(byte);
        let line = self.text[..start].matches('\n').count() + 1;
        (line, self.text[start..byte].chars().count() + 1)
    }

    /// Returns the masked line that `range` begins in, and the position of the range in it.
    pub fn excerpt(&self, range: &Range<usize>) -> Excerpt {
        let from = self.floor(range.start);
        let to = self.floor(range.end.max(from));
        let start = self.line_start(from);
        let end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |length| start + length);
        let mut line = String::new();
        let mut mark = None..None;
        for piece in self.pieces(start, end) {
            if mark.start.is_none() && piece.range.end > from {
                mark.start = Some(line.len() + piece.inside(from));
            }
            if mark.end.is_none() && piece.range.end >= to {
                mark.end = Some(line.len() + piece.inside_end(to));
            }
            line.push_str(piece.shown);
        }
        line.truncate(line.trim_end().len());
        let first = mark.start.unwrap_or(line.len()).min(line.len());
        let last = mark.end.unwrap_or(line.len()).clamp(first, line.len());
        Excerpt {
            line,
            mark: first..last,
        }
    }

    /// Cuts the line from `start` to `end` into shown and hidden pieces.
    fn pieces(&self, start: usize, end: usize) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let mut at = start;
        while at < end {
            let rest = &self.text[at..end];
            let hidden = self.values.iter().find(|value| value.contains(&at));
            let piece = if let Some(value) = hidden {
                Piece::hidden(at..value.end.min(end))
            } else if rest.starts_with('#') {
                Piece {
                    range: at..end,
                    shown: COMMENT,
                    verbatim: false,
                }
            } else {
                self.word_or_sign(rest, at)
            };
            at = piece.range.end;
            pieces.push(piece);
        }
        pieces
    }

    fn word_or_sign<'a>(&'a self, rest: &'a str, at: usize) -> Piece<'a> {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if length > 0 {
            let word = &rest[..length];
            return match self.names.contains(word) {
                true => Piece::shown(at, word),
                false => Piece::hidden(at..at + length),
            };
        }
        let sign = rest.chars().next().map_or(1, char::len_utf8);
        match rest[..sign].contains([' ', '\t', '[', ']', '{', '}', '=', ',', '.', '"', '\'']) {
            true => Piece::shown(at, &rest[..sign]),
            false => Piece::hidden(at..at + sign),
        }
    }

    fn line_start(&self, byte: usize) -> usize {
        self.text[..byte]
            .rfind('\n')
            .map_or(0, |newline| newline + 1)
    }

    /// Returns the nearest character boundary at or before `byte`.
    fn floor(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }
}

/// A part of a line: its bytes in the file, and what is shown for them.
struct Piece<'a> {
    range: Range<usize>,
    shown: &'a str,
    verbatim: bool,
}

impl<'a> Piece<'a> {
    fn shown(at: usize, text: &'a str) -> Self {
        Self {
            range: at..at + text.len(),
            shown: text,
            verbatim: true,
        }
    }

    fn hidden(range: Range<usize>) -> Self {
        Self {
            range,
            shown: MASK,
            verbatim: false,
        }
    }

    /// Returns the position in the shown text of a mark that begins at `byte`.
    fn inside(&self, byte: usize) -> usize {
        match self.verbatim {
            true => byte.saturating_sub(self.range.start),
            false => 0,
        }
    }

    /// Returns the position in the shown text of a mark that ends at `byte`.
    fn inside_end(&self, byte: usize) -> usize {
        match self.verbatim {
            true => byte.saturating_sub(self.range.start),
            false => self.shown.len(),
        }
    }
}

/// Returns a name as a message may show it: `…` if it may be or contain a secret.
pub fn shown_name(name: &str) -> &str {
    if is_harmless(name) { name } else { MASK }
}

/// Returns a dotted path of names, each as [`shown_name`] returns it.
pub fn shown_path(path: &str) -> String {
    path.split('.')
        .map(shown_name)
        .collect::<Vec<_>>()
        .join(".")
}

/// Returns `true` if a user's name is unlikely to be or contain a secret.
fn is_harmless(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.len() <= LONGEST_NAME
        && name.chars().all(plain)
        && digits(name) <= DIGITS
        && redact::shown(name) == name
        && !redact::parts(name).any(is_odd)
}

/// Returns `true` if a part of a name looks random: changing letters, digits and cases, or many letters that form
/// no known word. A number at the end is normal.
fn is_odd(part: &str) -> bool {
    let word = part.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_mixed = word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase())
        && word.bytes().any(|byte| byte.is_ascii_lowercase());
    let is_known = words::is_word(word);
    let is_odd =
        redact::is_jumbled(part) || is_mixed && !is_known || digits(word) > 0 && digits(part) > 2;
    part.len() >= SHORTEST_PART && is_odd || word.len() >= LONGEST_WORD && !is_known
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// Returns `true` if a name has the form of a setting's name, in this version or another.
fn may_be_a_setting(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '-');
    name.len() <= LONGEST_SETTING && name.chars().all(plain) && is_harmless(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SourceFile {
        let (table, errors) = DeTable::parse_recoverable(text);
        let names = Names {
            known: HashSet::from(["token".to_owned(), "env".to_owned()]),
            of_ids: HashSet::from(["keys"]),
        };
        let mut file = SourceFile::new("a.toml".into(), text.to_owned(), &names);
        file.learn(table.get_ref(), errors.is_empty(), &names);
        file
    }

    /// Returns the excerpt for the first occurrence of `part`, with the mark in `⟨…⟩`.
    fn shown(text: &str, part: &str) -> String {
        let start = text.find(part).expect("the part is in the text");
        let Excerpt { mut line, mark } = file(text).excerpt(&(start..start + part.len()));
        line.insert(mark.end, '⟩');
        line.insert(mark.start, '⟨');
        line
    }

    #[test]
    fn values_and_comments_are_hidden_and_names_are_shown() {
        assert_eq!(shown("a = 'canary'", "'canary'"), "a = ⟨…⟩");
        assert_eq!(shown("a = 1 # canary", "a"), "⟨a⟩ = … # …");
        assert_eq!(
            shown("t = { env = \"canary\", filed = 7 }", "filed"),
            "t = { env = …, ⟨filed⟩ = … }"
        );
        assert_eq!(
            shown("[keys.openai-prod]\n", "openai-prod"),
            "[keys.⟨openai-prod⟩]"
        );
        assert_eq!(shown("a = [1, 'canary']", "a"), "⟨a⟩ = …");
        assert_eq!(shown("a = \"\"\"\ncanary\n\"\"\"\nb = 1", "canary"), "⟨…⟩");
    }

    #[test]
    fn a_file_that_is_not_toml_shows_only_known_names() {
        assert_eq!(shown("token = sk-canary", "sk-canary"), "token = ⟨…⟩");
        assert_eq!(shown("sk-canary", "sk-canary"), "⟨…⟩");
        assert_eq!(shown("canary==", "canary"), "⟨…⟩==");
        assert_eq!(shown("token = \"canary", "token"), "⟨token⟩ = …");
        assert_eq!(shown("x = 'a'\ntoken 'canary'", "token"), "⟨token⟩ '…'");
    }

    #[test]
    fn a_name_that_may_be_a_secret_is_hidden() {
        let long = "c".repeat(41);
        assert_eq!(shown(&format!("{long} = 1"), &long), "⟨…⟩ = …");
        assert_eq!(shown_name(&long), "…");
        assert_eq!(shown("sk-canary1 = 1", "sk-canary1"), "⟨…⟩ = …");
        assert_eq!(shown("hunter2 = 1", "hunter2"), "⟨…⟩ = …");
        let passphrase = "correct-horse-battery-staple";
        assert_eq!(shown(&format!("{passphrase} = 1"), passphrase), "⟨…⟩ = …");
        assert_eq!(shown("[keys.K7gNU3sd]", "K7gNU3sd"), "[keys.⟨…⟩]");
        assert_eq!(
            shown("[keys.gpt-4o_eu1]", "gpt-4o_eu1"),
            "[keys.⟨gpt-4o_eu1⟩]"
        );
        assert_eq!(shown_name("workspce_id"), "workspce_id");
    }

    #[test]
    fn positions_count_characters_from_one() {
        let file = file("a = 'é'\nb = 'é' # x");
        assert_eq!(file.position(0), (1, 1));
        assert_eq!(file.position("a = 'é'\nb = 'é' ".len()), (2, 9));
        assert_eq!(file.position(1_000), (2, 12));
    }
}
