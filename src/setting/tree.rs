//! A configuration as it was written: TOML values that know their place.
//!
//! Files are parsed one by one and merged into one tree. A [`Span`] holds the number of its file, so that no later
//! step needs to know which file a setting came from.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::span::Span;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its place in the files.
    pub span: Span,
    /// Its content.
    pub value: Value,
}

/// A value of one of TOML's types.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    Text(String),
    /// An integer; `None` where it is too large.
    Integer(Option<i64>),
    /// A number with a point; `None` where it is none.
    Float(Option<f64>),
    /// `true` or `false`.
    Boolean(bool),
    /// A date, a time, or both.
    Datetime,
    /// A list.
    Array(Vec<Node>),
    /// A table.
    Table(Tree),
}

impl Value {
    /// Returns the type as a message names it.
    pub fn kind(&self) -> &'static str {
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
pub struct Tree {
    /// Its entries, in the order of the parser.
    pub entries: Vec<Entry>,
    /// Written `{ … }`, or with a header of its own; not merely the parent of one that is.
    pub explicit: bool,
}

/// A setting as it was written.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The place of the name.
    pub name_span: Span,
    /// Its value.
    pub node: Node,
    /// True if it was copied from `[defaults]`.
    pub inherited: bool,
}

impl Tree {
    /// Returns the entry of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Returns the entry of that name if it is a table.
    pub fn table(&self, name: &str) -> Option<&Self> {
        match &self.get(name)?.node.value {
            Value::Table(tree) => Some(tree),
            _ => None,
        }
    }

    /// Returns the entries that are tables.
    pub fn tables(&self) -> impl Iterator<Item = &Self> {
        self.entries
            .iter()
            .filter_map(|entry| match &entry.node.value {
                Value::Table(tree) => Some(tree),
                _ => None,
            })
    }

    /// Returns the entry of that name if it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Returns `parent.name`, or `name` at the top.
pub fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

/// Converts the result of the TOML parser for the file with the number `file`.
pub fn convert(table: &DeTable<'_>, text: &str, file: usize) -> Tree {
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
