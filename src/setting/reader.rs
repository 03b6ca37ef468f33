//! Reads the settings of a table.

use super::declaration::{Described, Field, Need, Setting, Shape};
use super::diagnostics::Diagnostics;
use super::input::{Input, Reader};
use super::mask::shown_path;
use super::span::Span;
use super::suggest::{list, suggest};
use super::tree::{Entry, Node, Tree, Value, join};
use super::{plain, variable};
use crate::redact;

impl<'a> Reader<'a, '_> {
    /// Reports every name that is none of `settings`.
    pub fn only(&mut self, settings: &[&dyn Described]) {
        for entry in &self.tree.entries {
            if settings.iter().any(|known| known.name() == entry.name) {
                continue;
            }
            if redact::is_a_key(&entry.name) {
                let message = format!("the name of a setting{} {}", self.here(), plain::KEY);
                let diagnostics = &mut self.diagnostics;
                diagnostics
                    .mistake(entry.name_span, message)
                    .help(plain::MOVE_KEY);
                continue;
            }
            let names = settings.iter().map(|known| known.name());
            let what = match entry.node.value {
                Value::Table(_) => "table",
                _ => "setting",
            };
            let near = suggest(&entry.name, names.clone());
            let shown = match near {
                // Two letters from a setting's name there is no room for anything else in it.
                Some(name) if strsim::osa_distance(&entry.name, name) <= 2 => &entry.name,
                _ => self.diagnostics.shown_name(entry.name_span, &entry.name),
            };
            let message = format!("unknown {what} `{shown}`{}", self.here());
            let help = match near {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("it can have {}", list(names)),
            };
            self.diagnostics
                .mistake(entry.name_span, message)
                .help(help);
        }
    }

    /// Reads a setting, and where it was written.
    pub fn field<T>(&mut self, setting: &Setting<T>) -> Field<T> {
        Field {
            value: self.get(setting),
            span: self.written(setting),
        }
    }

    /// Returns the value of a setting, or its default. `None` where it is left out and has none, and where it
    /// is wrong; what there is to report is reported.
    pub fn get<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        self.get_with(setting, setting.about, setting.value_type.read)
    }

    /// Returns the value of a setting, as [`get`](Self::get) does, read by `read` and described by `about`: for
    /// a setting whose values are not known before the program runs.
    pub fn get_with<T>(
        &mut self,
        setting: &dyn Described,
        about: &str,
        read: impl Fn(&mut Input<'_>) -> Option<T>,
    ) -> Option<T> {
        let (name, shape) = (setting.name(), setting.shape());
        let path = join(self.path, name);
        if let Some(entry) = self.tree.get(name) {
            let path = match entry.inherited {
                true => join("defaults", name),
                false => path,
            };
            return self.read(name, shape, &entry.node, &path, read);
        }
        match setting.need() {
            Need::Optional => None,
            Need::Required | Need::RequiredOrInherited => {
                self.missing(setting, about, &path);
                None
            }
            // A table that is not there is one with nothing in it: its settings have defaults
            // of their own, or are missing themselves.
            Need::Default if matches!(shape, Shape::Table(_)) => {
                let empty = Node {
                    span: self.span,
                    value: Value::Table(Tree::default()),
                };
                self.read(name, shape, &empty, &path, read)
            }
            Need::Default => {
                let entry = self.defaults.iter().find_map(|tree| tree.get(name))?;
                self.read(name, shape, &entry.node, &path, read)
            }
        }
    }

    /// Reports that a setting, or a table, is not there.
    fn missing(&mut self, setting: &dyn Described, about: &str, path: &str) {
        let (name, about) = (setting.name(), lower_first(about.trim()));
        let or_inherited = match setting.need() {
            Need::RequiredOrInherited => ", here or in `[defaults]`",
            _ => "",
        };
        let (message, help) = match setting.shape().example() {
            Some(example) => (
                format!("`{name}` is missing{}", self.here()),
                format!("write `{name} = {example}`{or_inherited}: {about}"),
            ),
            None => (
                format!("the table `[{}]` is missing", shown_path(path)),
                format!("add `[{}]`: {about}", shown_path(path)),
            ),
        };
        self.diagnostics.missing(self.span, message).help(help);
    }

    fn read<T>(
        &mut self,
        name: &str,
        shape: &Shape,
        node: &Node,
        path: &str,
        read: impl Fn(&mut Input<'_>) -> Option<T>,
    ) -> Option<T> {
        let defaults = self.defaults.iter().filter_map(|tree| tree.table(name));
        let mut input = Input {
            node,
            path,
            defaults: defaults.collect(),
            variable: None,
            diagnostics: self.diagnostics,
        };
        match &node.value {
            Value::Table(table) if variable::is_variable(shape, table) => {
                let taken = variable::read(&mut input)?;
                let node = Node {
                    span: taken.span,
                    value: Value::Text(taken.text),
                };
                read(&mut Input {
                    node: &node,
                    path,
                    defaults: Vec::new(),
                    variable: taken.variable.as_deref(),
                    diagnostics: self.diagnostics,
                })
            }
            _ => read(&mut input),
        }
    }

    /// Takes no defaults any more from tables of the reference configuration that are of another variant: whose
    /// setting `by` is not `word`.
    pub fn of_variant(&mut self, by: &str, word: &str) {
        self.defaults.retain(|tree| tree.text(by) == Some(word));
    }

    /// Returns where the value of a setting was written, if it was.
    pub fn written<T>(&self, setting: &Setting<T>) -> Option<Span> {
        Some(self.tree.get(setting.name)?.node.span)
    }

    /// Reads each entry of the table `name`, whose names are the ids of so many of `what`: keys, say. An id that
    /// could not stand in a command, a log line or a metric's label is reported, and its entry left out.
    pub fn entries<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl Fn(&str, &mut Input<'_>) -> T,
    ) -> Vec<T> {
        let Some(entry) = self.tree.get(name) else {
            return Vec::new();
        };
        let examples = self.defaults.iter().filter_map(|tree| tree.table(name));
        let mut input = Input {
            node: &entry.node,
            path: name,
            defaults: examples.flat_map(Tree::tables).collect(),
            variable: None,
            diagnostics: self.diagnostics,
        };
        let example = format!("`[{name}.ID]` and the {what}'s settings below it");
        let Some(table) = input.table(&example) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for entry in &table.tree.entries {
            if is_id(entry, what, table.diagnostics) {
                let mut input = Input {
                    node: &entry.node,
                    path: &join(name, &entry.name),
                    defaults: table.defaults.clone(),
                    variable: None,
                    diagnostics: table.diagnostics,
                };
                all.push(read(&entry.name, &mut input));
            }
        }
        all
    }

    /// Returns ` in [table]`, or nothing at the top.
    fn here(&self) -> String {
        match self.path {
            "" => String::new(),
            path => format!(" in `[{}]`", shown_path(path)),
        }
    }
}

/// Returns true where the name of an entry can be an id, and reports it where it cannot.
fn is_id(entry: &Entry, what: &str, diagnostics: &mut Diagnostics) -> bool {
    let (id, span) = (&entry.name, entry.name_span);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if redact::is_a_key(id) || redact::is_long_and_random(id) {
        diagnostics
            .mistake(span, format!("the id of this {what} {}", plain::KEY))
            .help(plain::MOVE_KEY);
        return false;
    }
    if !id.is_empty() && id.len() <= 100 && id.chars().all(fits) {
        return true;
    }
    diagnostics
        .mistake(span, format!("this is no id for a {what}"))
        .help("an id is made of letters, digits, `-`, `_` and `.`, at most 100 of them");
    false
}

/// Returns a sentence as it goes on after a colon.
fn lower_first(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
