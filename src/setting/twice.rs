//! Finds the first definition of a setting or table that a file defines twice. The parser reports only the second.

use toml::de::{DeTable, DeValue};

/// A header or a setting, with the names that lead to it.
struct Definition {
    path: Vec<String>,
    /// The bytes of its line.
    line: std::ops::Range<usize>,
    is_header: bool,
}

/// The first definition of something that is defined twice.
pub enum Twice {
    /// It is in a table that is itself defined twice, which is reported instead.
    InTable,
    /// The byte at which the first definition begins; `None` if there is no earlier one.
    First(Option<usize>),
}

/// Finds the first definition of what is defined again at byte `at`.
pub fn find(text: &str, at: usize) -> Twice {
    let all = definitions(text);
    let Some(index) = all.iter().position(|one| one.line.contains(&at)) else {
        return Twice::First(None);
    };
    let (earlier, second) = (&all[..index], &all[index]);
    let first_of =
        |path: &[String], before: usize| all[..before].iter().find(|one| one.path == path);
    if !second.is_header
        && let Some(header) = earlier.iter().rposition(|one| one.is_header)
        && first_of(&all[header].path, header).is_some()
    {
        return Twice::InTable;
    }
    let first = first_of(&second.path, index);
    Twice::First(first.map(|first| first.line.start))
}

/// Returns every line that defines a table or a setting, in order. A line of a multi-line text may be mistaken for one;
/// then only a position in a message is wrong.
fn definitions(text: &str) -> Vec<Definition> {
    let mut all = Vec::new();
    let (mut table, mut at) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let begins = at + (line.len() - line.trim_start().len());
        at += line.len();
        let content = line.trim();
        let is_header = content.starts_with('[') && !content.starts_with("[[");
        let names = match is_header {
            true => names(content),
            false => content
                .split_once('=')
                .and_then(|(name, _)| names(&format!("{name}= 0"))),
        };
        let Some(names) = names else { continue };
        let path = match is_header {
            true => {
                table.clone_from(&names);
                names
            }
            false => table.iter().cloned().chain(names).collect(),
        };
        all.push(Definition {
            path,
            line: begins..at,
            is_header,
        });
    }
    all
}

/// Returns the names in a line with a single header or setting, from the outermost on.
fn names(line: &str) -> Option<Vec<String>> {
    let table = DeTable::parse(line).ok()?;
    let mut names = Vec::new();
    let mut inner = Some(table.get_ref());
    while let Some((name, value)) = inner.and_then(|table| table.iter().next()) {
        names.push(name.get_ref().to_string());
        inner = match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        };
    }
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the line of the item that the last `part` in the text repeats, or "in the table" if it repeats one
    /// there.
    fn first<'t>(text: &'t str, part: &str) -> Option<&'t str> {
        let at = text.rfind(part).expect("it is in the text");
        match find(text, at) {
            Twice::InTable => Some("in the table"),
            Twice::First(at) => at.map(|at| text[at..].lines().next().unwrap_or_default()),
        }
    }

    #[test]
    fn the_first_of_a_header_or_a_setting_is_found() {
        let text = "[a]\nx = 1\n[b.c]\nx = 2\ny = 3\n [ b . c ] # again\nx = 4\n";
        assert_eq!(first(text, "b . c"), Some("[b.c]"));
        assert_eq!(first(text, "x = 4"), Some("in the table"));
        assert_eq!(first("x = 1\n\"x\" = 2", "\"x\""), Some("x = 1"));
        assert_eq!(first("[a]\nb.c = 1\nb.c = 2", "b.c = 2"), Some("b.c = 1"));
        assert_eq!(
            first("[k]\nx = { a = 1 }\n[k.x]\n", "k.x"),
            Some("x = { a = 1 }")
        );
        assert_eq!(first("x = 1", "x"), None);
    }
}
