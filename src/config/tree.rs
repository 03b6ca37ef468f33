//! The configuration as it was written: TOML values that remember their place.
//!
//! Files are parsed one by one and merged into one tree, so that everything after this can speak
//! of a setting's place without asking which file it came from.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::Diagnostics;

/// A place in one of the files: which one, and the bytes in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) fn new(file: usize, toml_span: &Range<usize>) -> Self {
        Self {
            file,
            start: toml_span.start,
            end: toml_span.end,
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What a value is, in TOML's kinds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(Option<i64>),
    Float(Option<f64>),
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Tree),
}

impl Value {
    /// The kind, as a mistake names it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Datetime => "a date or time",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A table.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub(super) entries: Vec<Entry>,
    /// Written `{ … }`, or with a header of its own; not merely the parent of one that is.
    explicit: bool,
}

/// A setting as it was written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) node: Node,
    /// It stands in `[defaults]`, and not in this table.
    pub(super) inherited: bool,
}

impl Tree {
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The table of that name, where it is one.
    pub(super) fn table(&self, name: &str) -> Option<&Self> {
        match &self.get(name)?.node.value {
            Value::Table(tree) => Some(tree),
            _ => None,
        }
    }

    /// The tables in it.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Self> {
        self.entries
            .iter()
            .filter_map(|entry| match &entry.node.value {
                Value::Table(tree) => Some(tree),
                _ => None,
            })
    }

    /// The text of that name, where it is one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Adds another file's tree. What stands in both is a mistake at the second place.
    pub(super) fn merge(&mut self, other: Self, path: &str, diagnostics: &mut Diagnostics) {
        self.explicit |= other.explicit;
        for entry in other.entries {
            let full = join(path, &entry.name);
            let Some(mine) = self.entries.iter_mut().find(|e| e.name == entry.name) else {
                self.entries.push(entry);
                continue;
            };
            match (&mut mine.node.value, entry.node.value) {
                (Value::Table(first), Value::Table(second))
                    if !(first.explicit && second.explicit) =>
                {
                    if second.explicit {
                        // The header is the better place to point at.
                        mine.node.span = entry.node.span;
                        mine.name_span = entry.name_span;
                    }
                    first.merge(second, &full, diagnostics);
                }
                (Value::Table(_), Value::Table(_)) => {
                    let message = format!("the table `[{full}]` is defined in two files");
                    diagnostics
                        .mistake(entry.node.span, message)
                        .help("keep one of the two, and move its settings there")
                        .also(mine.node.span, "it is defined here first");
                }
                _ => {
                    diagnostics
                        .mistake(entry.name_span, format!("`{full}` is set in two files"))
                        .help("keep one of the two")
                        .also(mine.name_span, "it is set here first");
                }
            }
        }
    }
}

/// `parent.name`, or `name` at the top.
pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

/// Takes over what the TOML parser found in file number `file`.
pub(super) fn convert(table: &DeTable<'_>, text: &str, file: usize) -> Tree {
    let entries = table
        .iter()
        .map(|(name, value)| Entry {
            name: name.get_ref().to_string(),
            name_span: Span::new(file, &name.span()),
            node: Node {
                span: Span::new(file, &value.span()),
                value: convert_value(value, text, file),
            },
            inherited: false,
        })
        .collect();
    Tree {
        entries,
        explicit: true,
    }
}

fn convert_value(value: &Spanned<DeValue<'_>>, text: &str, file: usize) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().ok()),
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| Node {
                    span: Span::new(file, &item.span()),
                    value: convert_value(item, text, file),
                })
                .collect(),
        ),
        DeValue::Table(table) => {
            let mut tree = convert(table, text, file);
            // The parser gives a table that only came to be as the parent of another the place
            // of its name, and any other the place of its bracket.
            let first = text.as_bytes().get(value.span().start);
            tree.explicit = matches!(first, Some(b'[' | b'{'));
            Value::Table(tree)
        }
    }
}
