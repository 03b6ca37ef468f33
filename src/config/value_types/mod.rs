//! The forms a single value can have.

pub(super) mod place;
pub(super) mod secret;
pub(super) mod state;
pub(super) mod time;

use serde_json::{Value as Json, json};

use super::setting::{Form, Look, Shape, list, suggest};
use super::tree::Value;
use crate::words::{LONGEST_NAME, too_long};

/// Any text that is not empty.
pub(in crate::config) const TEXT: Form<String> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1 })),
    read: |look| look.text("…").map(str::to_owned),
};

/// What Flashback knows something by: a text that is no longer than what is accepted of Flashback.
pub(in crate::config) const SHORT: Form<String> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_NAME })),
    read: |look| {
        let text = look.text("…")?;
        if let Some(length) = too_long(text) {
            look.wrong(&format!("has {length} characters"))
                .help(format!("{LONGEST_NAME} are the most"));
            return None;
        }
        Some(text.to_owned())
    },
};

/// A field of a stored secret: its name, or a JSON pointer (RFC 6901) that begins with `/`.
pub(in crate::config) const FIELD: Form<String> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1 })),
    read: |look| {
        let text = look.text("api_key")?;
        let escapes = text.split('~').skip(1);
        if text.starts_with('/') && !escapes.clone().all(|rest| rest.starts_with(['0', '1'])) {
            look.wrong("is not a JSON pointer")
                .help("in a JSON pointer write `~0` for `~`, and `~1` for a `/` in a name");
            return None;
        }
        Some(text.to_owned())
    },
};

/// `true` or `false`.
pub(in crate::config) const SWITCH: Form<bool> = Form {
    shape: Shape::Leaf(|| json!({ "type": "boolean" })),
    read: |look| match look.node.value {
        Value::Boolean(boolean) => Some(boolean),
        _ => {
            let name = look.name();
            look.wrong_kind("true or false")
                .help(format!("write `{name} = true` or `{name} = false`"));
            None
        }
    },
};

/// Calls a second.
pub(in crate::config) const RATE: Form<f64> = Form {
    shape: Shape::Leaf(|| json!({ "type": "number", "exclusiveMinimum": 0 })),
    read: |look| {
        #[allow(clippy::cast_precision_loss)] // a rate of 2^53 is none
        let rate = match look.node.value {
            Value::Integer(Some(number)) => number as f64,
            Value::Float(Some(number)) => number,
            _ => f64::NAN,
        };
        if rate.is_finite() && rate > 0.0 {
            return Some(rate);
        }
        let help = format!("write calls a second, such as `{} = 100`", look.name());
        look.wrong("must be a number above 0").help(help);
        None
    },
};

/// What can be told apart by a word.
pub(in crate::config) type Choice<T> = &'static [(&'static str, T)];

impl Look<'_> {
    /// One of a few words.
    pub(in crate::config) fn choice<T: Copy>(&mut self, choice: Choice<T>) -> Option<T> {
        let words = choice.iter().map(|(word, _)| *word);
        let text = self.text(choice[0].0)?;
        let found = choice.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all = list(words.clone());
            let help = match suggest(text, words) {
                Some(word) => format!("did you mean `{word}`? It is one of {all}"),
                None => format!("it is one of {all}"),
            };
            let named = self.named();
            let message = format!("unknown value for {}", named.trim_end_matches(','));
            self.diagnostics.mistake(self.node.span, message).help(help);
        }
        found.map(|(_, meaning)| *meaning)
    }
}

/// The schema of a [`Choice`].
pub(in crate::config) fn words<T>(choice: Choice<T>) -> Json {
    let words: Vec<_> = choice.iter().map(|(word, _)| *word).collect();
    json!({ "enum": words })
}
