//! What a setting is. The tables in [`super::tables`] list every one of them once; from that list
//! come the reading, the "unknown setting" with its suggestion, and the JSON Schema.

use serde_json::Value as Json;

use super::diagnostics::{Diagnostic, Diagnostics};
use super::mask::shown_path;
use super::tree::{Node, Span, Tree, Value, join};
use super::{plain, variable};
use crate::redact;

/// A setting with a value of type `T`.
pub(super) struct Setting<T: 'static> {
    pub(super) name: &'static str,
    /// For the schema.
    pub(super) about: &'static str,
    pub(super) need: Need,
    pub(super) form: &'static Form<T>,
}

/// What it means when a setting is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A mistake.
    Required,
    /// A mistake where `[defaults]` has none either.
    RequiredOrInherited,
    /// The reference configuration has the value to use.
    Default,
    /// There is no value.
    Optional,
}

/// How a value is written, and how it is read.
pub(super) struct Form<T: 'static> {
    pub(super) shape: Shape,
    /// Reads it, or reports why not.
    pub(super) read: fn(&mut Look<'_>) -> Option<T>,
}

/// How a value is written, for the schema and for the search for names.
pub(super) enum Shape {
    /// A plain text, which may come from an environment variable.
    Text(fn() -> Json),
    /// A value that stands here and nowhere else: a number, a switch, the name of a variable.
    Leaf(fn() -> Json),
    /// A table.
    Table(Settings),
    /// A table whose names are the user's.
    Ids(&'static Shape),
    /// A table whose settings depend on the one called `by`.
    Variants {
        by: &'static str,
        of: &'static [(&'static str, Settings)],
    },
    /// A table of which exactly one of these settings is the heart.
    OneOf(&'static [Settings]),
    /// A plain text, or what the other shape says.
    TextOr(&'static Shape),
    /// A shape that many settings have, by its name in the schema.
    Shared(&'static str, &'static Shape),
}

impl Shape {
    /// What a value looks like, where it is written right of a `=`.
    fn example(&self) -> Option<&'static str> {
        match self {
            Self::Text(_) | Self::Leaf(_) | Self::TextOr(_) => Some("\"…\""),
            Self::Shared("secret" | "secret-file", _) => Some("{ file = \"PATH\" }"),
            Self::Shared(_, inner) => inner.example(),
            Self::Table(_) | Self::Ids(_) | Self::Variants { .. } | Self::OneOf(_) => None,
        }
    }

    /// Whether this table in its place says which environment variable holds the text.
    fn is_variable(&self, table: &Tree) -> bool {
        match self {
            Self::Text(_) => true,
            // Without a default it is a reference, which is resolved when it is needed.
            Self::TextOr(_) => variable::has_default(table),
            Self::Shared(_, inner) => inner.is_variable(table),
            _ => false,
        }
    }
}

/// The settings of a table.
pub(super) type Settings = &'static [&'static dyn Described];

/// A [`Setting`], whatever its type.
pub(super) trait Described: Sync {
    fn name(&self) -> &'static str;
    fn about(&self) -> &'static str;
    fn need(&self) -> Need;
    fn shape(&self) -> &'static Shape;
    /// Reports what is wrong with its value, where it has one.
    fn check(&self, table: &mut Reader<'_, '_>);
}

impl<T> Described for Setting<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn need(&self) -> Need {
        self.need
    }

    fn shape(&self) -> &'static Shape {
        &self.form.shape
    }

    fn check(&self, table: &mut Reader<'_, '_>) {
        if table.written(self).is_some() {
            table.get(self);
        }
    }
}

/// Lists the settings of a table: a constant for each, and `ALL`. The comment above a setting is
/// its description in the schema.
macro_rules! settings {
    ($($(#[doc = $about:literal])+ $name:ident: $type:ty = $text:literal, $need:ident, $form:expr;)+) => {
        $(
            $(#[doc = $about])+
            pub const $name: Setting<$type> = Setting {
                name: $text,
                about: concat!($($about),+),
                need: Need::$need,
                form: &$form,
            };
        )+
        /// All of them.
        pub const ALL: Settings = &[$(&$name),+];
    };
}
pub(super) use settings;

/// A value to be read.
pub(super) struct Look<'a> {
    pub(super) node: &'a Node,
    /// Its setting's name, with the tables it is in.
    pub(super) path: &'a str,
    /// The reference configuration's table of the same path.
    pub(super) default: Option<&'a Tree>,
    /// The environment variable that the text was taken from, where it was.
    pub(super) variable: Option<&'a str>,
    pub(super) diagnostics: &'a mut Diagnostics,
}

impl<'a> Look<'a> {
    /// The setting's own name.
    pub(super) fn name(&self) -> &'a str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The setting's name as a message has it, with the variable that its text was taken from.
    pub(super) fn named(&self) -> String {
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
    pub(super) fn wrong(&mut self, what: &str) -> &mut Diagnostic {
        let message = format!("{} {what}", self.named());
        self.diagnostics.mistake(self.node.span, message)
    }

    /// Reports a value of the wrong kind.
    pub(super) fn wrong_kind(&mut self, expected: &str) -> &mut Diagnostic {
        let found = self.node.value.kind();
        self.wrong(&format!("must be {expected}, not {found}"))
    }

    /// The text it must be; `example` is one as it would be written, without quotes.
    pub(super) fn text(&mut self, example: &str) -> Option<&'a str> {
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

    /// The table it must be.
    pub(super) fn table(&mut self, example: &str) -> Option<Reader<'a, '_>> {
        let Value::Table(tree) = &self.node.value else {
            self.wrong_kind("a table").help(format!("write {example}"));
            return None;
        };
        Some(Reader {
            tree,
            span: self.node.span,
            path: self.path,
            default: self.default,
            diagnostics: self.diagnostics,
        })
    }
}

/// A table that is being read.
pub(super) struct Reader<'a, 'f> {
    pub(super) tree: &'a Tree,
    pub(super) span: Span,
    pub(super) path: &'a str,
    pub(super) default: Option<&'a Tree>,
    pub(super) diagnostics: &'f mut Diagnostics,
}

impl<'a> Reader<'a, '_> {
    /// Reports every name that is none of `settings`.
    pub(super) fn only(&mut self, settings: &[&dyn Described]) {
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

    /// The value of a setting, or of its default. `None` where it is not there or is wrong; what
    /// there is to report is reported.
    pub(super) fn get<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        let path = join(self.path, setting.name);
        let default = self.default.and_then(|tree| tree.table(setting.name));
        if let Some(entry) = self.tree.get(setting.name) {
            let path = match entry.inherited {
                true => join("defaults", setting.name),
                false => path,
            };
            return self.read(setting, &entry.node, &path, default);
        }
        match setting.need {
            Need::Optional => None,
            Need::Required | Need::RequiredOrInherited => {
                let or_inherited = match setting.need {
                    Need::RequiredOrInherited => ", here or in `[defaults]`",
                    _ => "",
                };
                let about = lower_first(setting.about.trim());
                let (message, help) = match setting.form.shape.example() {
                    Some(example) => (
                        format!("`{}` is missing{}", setting.name, self.here()),
                        format!(
                            "write `{} = {example}`{or_inherited}: {about}",
                            setting.name
                        ),
                    ),
                    None => (
                        format!("the table `[{}]` is missing", shown_path(&path)),
                        format!("add `[{}]`: {about}", shown_path(&path)),
                    ),
                };
                self.diagnostics.missing(self.span, message).help(help);
                None
            }
            // A table that is not there is one with nothing in it: its settings have defaults
            // of their own, or are missing themselves.
            Need::Default if matches!(setting.form.shape, Shape::Table(_) | Shape::Ids(_)) => {
                let empty = Node {
                    span: self.span,
                    value: Value::Table(Tree::default()),
                };
                self.read(setting, &empty, &path, default)
            }
            Need::Default => {
                let entry = self.default?.get(setting.name)?;
                self.read(setting, &entry.node, &path, default)
            }
        }
    }

    fn read<T>(
        &mut self,
        setting: &Setting<T>,
        node: &Node,
        path: &str,
        default: Option<&Tree>,
    ) -> Option<T> {
        let mut look = Look {
            node,
            path,
            default,
            variable: None,
            diagnostics: self.diagnostics,
        };
        match &node.value {
            Value::Table(table) if setting.form.shape.is_variable(table) => {
                let taken = variable::read(&mut look)?;
                let node = Node {
                    span: taken.span,
                    value: Value::Text(taken.text),
                };
                (setting.form.read)(&mut Look {
                    node: &node,
                    variable: taken.variable.as_deref(),
                    path,
                    default,
                    diagnostics: self.diagnostics,
                })
            }
            _ => (setting.form.read)(&mut look),
        }
    }

    /// Where a setting's value was written, if it was.
    pub(super) fn written<T>(&self, setting: &Setting<T>) -> Option<Span> {
        Some(self.tree.get(setting.name)?.node.span)
    }

    /// ` in [table]`, or nothing at the top.
    pub(super) fn here(&self) -> String {
        match self.path {
            "" => String::new(),
            path => format!(" in `[{}]`", shown_path(path)),
        }
    }
}

/// The known word nearest to `word`, where one is near enough to have been meant.
pub(super) fn suggest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_lowercase();
    let near = known.filter_map(|candidate| {
        let likeness = strsim::jaro_winkler(&word, &candidate.to_lowercase());
        (likeness > 0.8).then_some((candidate, likeness))
    });
    near.max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(candidate, _)| candidate)
}

/// A sentence as it goes on after a colon.
fn lower_first(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

/// `a`, `b` or `c`.
pub(super) fn list<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let known = ["workspace_id", "endpoint", "enabled"];
        let suggest = |word| suggest(word, known.into_iter());
        assert_eq!(suggest("workspce_id"), Some("workspace_id"));
        assert_eq!(suggest("Enabled"), Some("enabled"));
        assert_eq!(suggest("zzz"), None);
    }

    #[test]
    fn lists_words() {
        assert_eq!(list([].into_iter()), "");
        assert_eq!(list(["a"].into_iter()), "`a`");
        assert_eq!(list(["a", "b", "c"].into_iter()), "`a`, `b` or `c`");
    }
}
