//! The configuration as it was written: TOML values that remember their place.
//!
//! Files are parsed one by one and merged into one tree, so that everything after this can speak
//! of a setting's place without asking which file it came from.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::span::Span;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a value is, in TOML's kinds.
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
    /// The kind, as a mistake names it.
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
    /// What stands in it.
    pub entries: Vec<Entry>,
    /// Written `{ … }`, or with a header of its own; not merely the parent of one that is.
    pub explicit: bool,
}

/// A setting as it was written.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// Its value.
    pub node: Node,
    /// It stands in `[defaults]`, and not in this table.
    pub inherited: bool,
}

impl Tree {
    /// Returns the entry of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The table of that name, where it is one.
    pub fn table(&self, name: &str) -> Option<&Self> {
        match &self.get(name)?.node.value {
            Value::Table(tree) => Some(tree),
            _ => None,
        }
    }

    /// The tables in it.
    pub fn tables(&self) -> impl Iterator<Item = &Self> {
        self.entries
            .iter()
            .filter_map(|entry| match &entry.node.value {
                Value::Table(tree) => Some(tree),
                _ => None,
            })
    }

    /// The text of that name, where it is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// `parent.name`, or `name` at the top.
pub fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

/// Takes over what the TOML parser found in file number `file`.
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
