//! Texts, and words out of a few.

use serde_json::{Value as Json, json};

use crate::setting::declaration::{Shape, ValueType};
use crate::setting::input::Choice;
use crate::words::{LONGEST_NAME, too_long};

/// Any text that is not empty.
pub const TEXT: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1 })),
    read: |input| input.text("…").map(str::to_owned),
};

/// A name in Flashback, no longer than the names that are accepted from Flashback.
pub const SHORT: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_NAME })),
    read: |input| {
        let text = input.text("…")?;
        if let Some(length) = too_long(text) {
            input
                .wrong(&format!("has {length} characters"))
                .help(format!("{LONGEST_NAME} are the most"));
            return None;
        }
        Some(text.to_owned())
    },
};

/// A field of a stored secret: its name, or a JSON pointer (RFC 6901) that begins with `/`.
pub const FIELD: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1 })),
    read: |input| {
        let text = input.text("api_key")?;
        if !is_pointer(text) {
            input
                .wrong("is not a JSON pointer")
                .help("in a JSON pointer write `~0` for `~`, and `~1` for a `/` in a name");
            return None;
        }
        Some(text.to_owned())
    },
};

/// Returns `true` unless a text begins as a JSON pointer (RFC 6901) and is none.
pub fn is_pointer(text: &str) -> bool {
    let mut escapes = text.split('~').skip(1);
    !text.starts_with('/') || escapes.all(|rest| rest.starts_with(['0', '1']))
}

/// Returns the schema of a [`Choice`].
pub fn words<T>(choice: Choice<T>) -> Json {
    let words: Vec<_> = choice.iter().map(|(word, _)| *word).collect();
    json!({ "enum": words })
}
