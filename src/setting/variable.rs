//! Plain texts that come from the environment, so that one file serves several places:
//! `{ env = "NAME" }`, or `{ env = "NAME", default = "…" }`.
//!
//! The variable is read with the configuration. No message repeats its text: it should be no secret, but a wrong name
//! may refer to a variable that holds one.

use serde_json::json;

use super::declaration::{Shape, ValueType, settings};
use super::input::Input;
use super::span::Span;
use super::tree::{Tree, Value};
use crate::redact;

/// The name of an environment variable.
pub const NAME: ValueType<String> = ValueType {
    shape: Shape::Leaf(|| json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]+$" })),
    read: |input| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let is_name = |text: &str| text.chars().all(fits);
        match &input.node.value {
            Value::Text(text) if !is_name(text) => {
                input
                    .wrong("is not the name of an environment variable")
                    .help(
                        "write the name alone, without `$`, `=` or a value: `{ env = \"NAME\" }`",
                    );
                None
            }
            _ => input.text("NAME").map(str::to_owned),
        }
    },
};

const TEXT: ValueType<String> = ValueType {
    shape: Shape::Leaf(|| json!({ "type": "string", "minLength": 1 })),
    read: |input| input.text("…").map(str::to_owned),
};

settings! {
    /// The table that stands in place of a text.
    pub table Variable {
        /// The environment variable that holds the text.
        env: String = NAME, Required;
        /// The text where that variable is not set, or is empty.
        default: String = TEXT, Optional;
    }
}

/// A text that came from the environment, or the default that stands in its place.
pub(super) struct Taken {
    pub(super) text: String,
    /// The place of its variable, or of its default.
    pub(super) span: Span,
    /// The variable; `None` where the text is the default.
    pub(super) variable: Option<String>,
}

/// Returns true where `table`, in the place of a value of this shape, says which environment variable holds
/// the text.
pub(super) fn is_variable(shape: &Shape, table: &Tree) -> bool {
    match shape {
        Shape::Text(_) => true,
        // Without a default it is a secret reference, which is resolved when it is needed.
        Shape::TextOr(_) => has_default(table),
        Shape::Shared(_, inner) => is_variable(inner, table),
        _ => false,
    }
}

fn has_default(table: &Tree) -> bool {
    table.get(Variable::default.name).is_some()
}

/// Reads the table that stands in the place of a text. `None` where there is no text, which is reported.
pub(super) fn read(input: &mut Input<'_>) -> Option<Taken> {
    let name = input.name();
    let help = format!("write `{name} = \"…\"`, or `{name} = {{ env = \"NAME\" }}`");
    let Value::Table(tree) = &input.node.value else {
        return None;
    };
    if tree.get(Variable::env.name).is_none() && !has_default(tree) {
        input.wrong_kind("a text").help(help);
        return None;
    }
    let mut table = input.table(&help)?;
    table.only(Variable::ALL);
    let Variable { env, default } = Variable::read(&mut table);
    let (variable, span) = (env.value?, env.span?);
    if default.value.is_none() && default.span.is_some() {
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
            if default.value.is_none() {
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
                text: default.value?,
                span: default.span?,
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
