//! A value that is being read, and the messages for one that is wrong.

use super::diagnostics::{Diagnostic, Diagnostics};
use super::plain;
use super::span::Span;
use super::suggest::{list, suggest};
use super::tree::{Node, Tree, Value};
use crate::redact;

/// A value that is being read.
pub struct Input<'a> {
    /// The value, and where it stands.
    pub node: &'a Node,
    /// The name of its setting, behind those of the tables that it is in: `log.level`.
    pub path: &'a str,
    /// The tables of the reference configuration that may hold its defaults, if it is a table.
    pub defaults: Vec<&'a Tree>,
    /// The environment variable that the text was read from, if any.
    pub variable: Option<&'a str>,
    /// Collects the mistakes.
    pub diagnostics: &'a mut Diagnostics,
}

/// The words of a setting that has few, each with what it means.
pub type Choice<T> = &'static [(&'static str, T)];

impl<'a> Input<'a> {
    /// Returns the setting's own name, without those of its tables.
    pub fn name(&self) -> &'a str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// Returns the setting's name as a message has it, with the variable that its text was taken from.
    fn named(&self) -> String {
        let name = self.name();
        match self.variable {
            None => format!("`{name}`"),
            Some(variable) => {
                let variable = redact::shown(variable);
                format!("`{name}`, from the environment variable `{variable}`,")
            }
        }
    }

    /// Reports that the value is wrong: `what` follows the setting's name.
    pub fn wrong(&mut self, what: &str) -> &mut Diagnostic {
        let message = format!("{} {what}", self.named());
        self.diagnostics.mistake(self.node.span, message)
    }

    /// Reports a value of another kind than it must be, such as a number where a text belongs.
    pub fn wrong_kind(&mut self, expected: &str) -> &mut Diagnostic {
        let found = self.node.value.kind();
        self.wrong(&format!("must be {expected}, not {found}"))
    }

    /// Returns the text that the value must be; `example` is one as it would be written, without quotes.
    pub fn text(&mut self, example: &str) -> Option<&'a str> {
        let name = self.name();
        let help = format!("write `{name} = \"{example}\"`");
        match &self.node.value {
            Value::Text(text) if text.trim().is_empty() => {
                self.wrong("is empty").help(help);
                None
            }
            Value::Text(text) if text.chars().any(char::is_control) => {
                self.wrong("has a control character, such as a line break, in it")
                    .help(help);
                None
            }
            Value::Text(text) => match plain::problem(text, name) {
                None => Some(text),
                Some((what, help)) => {
                    self.wrong(what).help(help);
                    None
                }
            },
            _ => {
                self.wrong_kind("a text").help(help);
                None
            }
        }
    }

    /// Returns the meaning of the word that the value must be, out of `words`, of which there is at least one.
    pub fn choice<T: Copy>(&mut self, words: &[(&str, T)]) -> Option<T> {
        let known = || words.iter().map(|(word, _)| *word);
        let text = self.text(known().next()?)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all = list(known());
            let help = match suggest(text, known()) {
                Some(word) => format!("did you mean `{word}`? It is one of {all}"),
                None => format!("it is one of {all}"),
            };
            let named = self.named();
            let message = format!("unknown value for {}", named.trim_end_matches(','));
            self.diagnostics.mistake(self.node.span, message).help(help);
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// Begins to read the table that the value must be; `example` says how one is written.
    pub fn table(&mut self, example: &str) -> Option<Reader<'a, '_>> {
        let Value::Table(tree) = &self.node.value else {
            self.wrong_kind("a table").help(format!("write {example}"));
            return None;
        };
        Some(Reader {
            tree,
            span: self.node.span,
            path: self.path,
            defaults: self.defaults.clone(),
            diagnostics: self.diagnostics,
        })
    }
}

/// A table that is being read.
pub struct Reader<'a, 'f> {
    /// Its settings, as they are written.
    pub tree: &'a Tree,
    /// Its place in the files.
    pub span: Span,
    /// Its name, behind those of the tables that it is in; empty for the whole configuration.
    pub path: &'a str,
    /// The tables of the reference configuration that may hold the defaults: the first that has one counts.
    pub defaults: Vec<&'a Tree>,
    /// Collects the mistakes.
    pub diagnostics: &'f mut Diagnostics,
}
