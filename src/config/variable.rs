//! Plain texts that come from the environment, so that one file serves several places:
//! `{ env = "NAME" }`, or `{ env = "NAME", default = "…" }`.
//!
//! The text is taken when the configuration is read. No message repeats it: it is no secret, but
//! nobody says what else stands in the environment.

use super::setting::{Form, Look, Need, Setting, Settings, Shape, settings};
use super::tree::{Span, Tree, Value};
use crate::redact;

/// The name of an environment variable.
pub(super) const NAME: Form<String> = Form {
    shape: Shape::Leaf(|| serde_json::json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]+$" })),
    read: |look| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let is_name = |text: &str| text.chars().all(fits);
        match &look.node.value {
            Value::Text(text) if !is_name(text) => {
                look.wrong("is not the name of an environment variable")
                    .help(
                        "write the name alone, without `$`, `=` or a value: `{ env = \"NAME\" }`",
                    );
                None
            }
            _ => look.text("NAME").map(str::to_owned),
        }
    },
};

const TEXT: Form<String> = Form {
    shape: Shape::Leaf(|| serde_json::json!({ "type": "string", "minLength": 1 })),
    read: |look| look.text("…").map(str::to_owned),
};

settings! {
    /// The environment variable that holds the text.
    ENV: String = "env", Required, NAME;
    /// The text where that variable is not set, or is empty.
    DEFAULT: String = "default", Optional, TEXT;
}

/// Whether a table has a text for the case that the variable is not set: no secret has that.
pub(super) fn has_default(table: &Tree) -> bool {
    table.get(DEFAULT.name).is_some()
}

/// A text that stands in place of such a table.
pub(super) struct Taken {
    pub(super) text: String,
    /// Where its variable, or its default, is written.
    pub(super) span: Span,
    /// The variable; `None` where it is the default.
    pub(super) variable: Option<String>,
}

/// Reads the table that stands in the place of a text. `None` where it has none, which is reported.
pub(super) fn read(look: &mut Look<'_>) -> Option<Taken> {
    let name = look.name();
    let help = format!("write `{name} = \"…\"`, or `{name} = {{ env = \"NAME\" }}`");
    let Value::Table(tree) = &look.node.value else {
        return None;
    };
    if tree.get(ENV.name).is_none() && !has_default(tree) {
        look.wrong_kind("a text").help(help);
        return None;
    }
    let mut table = look.table(&help)?;
    table.only(ALL);
    let (variable, default) = (table.get(&ENV), table.get(&DEFAULT));
    let (variable, span) = (variable?, table.written(&ENV)?);
    let is_wrong = default.is_none() && has_default(table.tree);
    if is_wrong {
        return None;
    }
    let shown = redact::shown(&variable);
    match std::env::var(&variable).map(|text| (!text.is_empty()).then_some(text)) {
        Ok(Some(text)) => Some(Taken {
            text,
            span,
            variable: Some(variable),
        }),
        Ok(None) | Err(std::env::VarError::NotPresent) => {
            if default.is_none() {
                table
                    .diagnostics
                    .mistake(
                        span,
                        format!("the environment variable `{shown}` is not set, or is empty"),
                    )
                    .help(format!(
                        "set it, or say what holds without it: `{name} = {{ env = \"{shown}\", default = \"…\" }}`"
                    ));
            }
            Some(Taken {
                text: default?,
                span: table.written(&DEFAULT)?,
                variable: None,
            })
        }
        Err(std::env::VarError::NotUnicode(_)) => {
            table
                .diagnostics
                .mistake(
                    span,
                    format!("the environment variable `{shown}` is not UTF-8 text"),
                )
                .help("set it to plain text");
            None
        }
    }
}
