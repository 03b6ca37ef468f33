//! Puts new credentials into the text of a stored secret, and leaves every other byte of it as it is.
//!
//! The text is not written anew from its parsed form: numbers such as `1.10` or those beyond 64 bits, the order of the
//! fields, white space and escapes would not survive that. Only the spans of the values are replaced.

use std::ops::Range;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Document, FieldMap, Malformed};
use crate::redact;
use crate::secret::{Credentials, Secret};

/// The most bytes that a byte of a text takes in JSON: `\u0000`.
const LONGEST_ESCAPE: usize = 6;

/// A value that is to be written, and the name of its field.
type Value<'a> = (&'a str, &'a Secret);

/// Returns the text of a stored secret with these credentials in it. `text` is `None` where there is no secret yet: it
/// becomes an object of the named fields, or the plain value.
///
/// # Errors
/// Returns [`Malformed`] if the text has no place for the credentials: a field is missing or is not a text, or a key id
/// is given and no field is named for it. It names fields and never values.
pub fn rewritten(
    text: Option<&str>,
    fields: &FieldMap,
    credentials: &Credentials,
) -> Result<Zeroizing<String>, Malformed> {
    let values = values(fields, credentials)?;
    let Some(text) = text else {
        return created(fields, credentials, &values);
    };
    let document = Document::from_text(text.to_owned());
    if values.is_empty() {
        document.only_field()?;
    }
    let mut replaced: Vec<(Range<usize>, &Secret)> = match (&document, values.is_empty()) {
        (Document::Text(_), true) => {
            return Ok(Zeroizing::new(credentials.secret.expose().to_owned()));
        }
        (Document::Fields(_), true) => {
            let (_, value) = members(text).into_iter().next_back().unwrap_or_default();
            vec![(span(text, value), &credentials.secret)]
        }
        (_, false) => {
            let mut replaced = Vec::new();
            for (name, value) in values {
                // The field must be one that can be read, so that the errors are those of reading.
                document.field(name).or_else(allow_empty)?;
                let place = find(text, name).ok_or_else(|| no_such_field(name, &document))?;
                replaced.push((span(text, place), value));
            }
            replaced
        }
    };
    replaced.sort_by_key(|(range, _)| range.start);
    Ok(spliced(text, &replaced))
}

/// Returns a JSON merge patch (RFC 7386) that puts the credentials into an object; `None` if it cannot be said as one,
/// because a pointer leads through an array, or if a server that applies it with floating-point numbers, as OpenBao 2.7
/// does, would change another field.
///
/// # Errors
/// Returns the errors of [`rewritten`].
pub fn merge_patch(
    text: &str,
    fields: &FieldMap,
    credentials: &Credentials,
) -> Result<Option<Zeroizing<String>>, Malformed> {
    let whole = rewritten(Some(text), fields, credentials)?;
    if !Document::from_text(text.to_owned()).survives_floats() {
        return Ok(None);
    }
    let values = values(fields, credentials)?;
    if values.is_empty() {
        // The only field is the whole object.
        return Ok(Some(whole));
    }
    let mut patches: Vec<Zeroizing<String>> = Vec::new();
    for (name, value) in values {
        let mut steps = steps(name);
        let Some(last) = steps.pop() else {
            return Ok(None);
        };
        let mut at = text;
        for step in &steps {
            match child(at, step) {
                Some(inner) if inner.starts_with('{') => at = inner,
                _ => return Ok(None),
            }
        }
        let mut patch = object(&[(&last, &json(value))]);
        for step in steps.iter().rev() {
            patch = object(&[(step, &patch)]);
        }
        patches.push(patch);
    }
    // Two patches of one object cannot be joined by joining their texts.
    let [patch] = &mut patches[..] else {
        return Ok(joined(&patches, fields));
    };
    Ok(Some(std::mem::take(patch)))
}

/// Joins the patches of two fields of the outermost object.
fn joined(patches: &[Zeroizing<String>], fields: &FieldMap) -> Option<Zeroizing<String>> {
    let is_nested =
        |name: &Option<String>| name.as_deref().is_some_and(|name| steps(name).len() > 1);
    if is_nested(&fields.key) || is_nested(&fields.secret) {
        return None;
    }
    let length = patches.iter().map(|patch| patch.len()).sum::<usize>() + 2;
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.push('{');
    for (index, patch) in patches.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(&patch[1..patch.len() - 1]);
    }
    text.push('}');
    Some(text)
}

/// Returns the values with the names of their fields; none if the credentials are the whole text or its only field.
fn values<'a>(
    fields: &'a FieldMap,
    credentials: &'a Credentials,
) -> Result<Vec<Value<'a>>, Malformed> {
    let key = match (&fields.key, &credentials.key) {
        (Some(name), Some(key)) => Some((name.as_str(), key)),
        (None, Some(_)) => return Err(Malformed::NoFieldForKey),
        // What is there stays: a provider whose keys have no id has nothing to put in its place.
        (_, None) => None,
    };
    match (&fields.secret, key) {
        (Some(name), key) => Ok(key
            .into_iter()
            .chain([(name.as_str(), &credentials.secret)])
            .collect()),
        (None, None) => Ok(Vec::new()),
        // A document with a field for the key id has more than one.
        (None, Some(_)) => Err(Malformed::Ambiguous {
            found: "none".to_owned(),
        }),
    }
}

/// Returns the text of a secret that does not exist yet.
fn created(
    fields: &FieldMap,
    credentials: &Credentials,
    values: &[Value<'_>],
) -> Result<Zeroizing<String>, Malformed> {
    if values.is_empty() {
        return Ok(Zeroizing::new(credentials.secret.expose().to_owned()));
    }
    let written: Vec<_> = values
        .iter()
        .map(|(name, value)| (steps(name), json(value)))
        .collect();
    let nested = values.iter().find(|(name, _)| steps(name).len() != 1);
    let unfilled = fields.key.as_deref().filter(|_| credentials.key.is_none());
    if let Some(name) = nested.map(|(name, _)| *name).or(unfilled) {
        return Err(Malformed::NoSuchField {
            field: redact::shown(name).to_owned(),
            found: "none".to_owned(),
        });
    }
    let members: Vec<(&str, &str)> = written
        .iter()
        .map(|(steps, value)| (steps[0].as_str(), value.as_str()))
        .collect();
    Ok(object(&members))
}

/// Allows an empty field, which a new value is put into as well.
fn allow_empty(error: Malformed) -> Result<Secret, Malformed> {
    match error {
        Malformed::Empty { .. } => Ok(Secret::new(String::new())),
        error => Err(error),
    }
}

fn no_such_field(name: &str, document: &Document) -> Malformed {
    Malformed::NoSuchField {
        field: redact::shown(name).to_owned(),
        found: document.names(),
    }
}

/// Returns the names on the way to a field, which is named directly or by a JSON pointer.
fn steps(name: &str) -> Vec<String> {
    match name.strip_prefix('/') {
        None => vec![name.to_owned()],
        Some(rest) => rest
            .split('/')
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect(),
    }
}

/// Returns the text of the value at `name`.
fn find<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    steps(name)
        .iter()
        .try_fold(text, |text, step| child(text, step))
}

/// Returns the text of one member of an object, or of one element of an array. Of members with one name the last counts,
/// as in [`Document`].
fn child<'a>(text: &'a str, step: &str) -> Option<&'a str> {
    match text.trim_start().chars().next()? {
        '{' => members(text)
            .into_iter()
            .rfind(|(name, _)| name == step)
            .map(|(_, value)| value),
        '[' => {
            let is_index = !step.starts_with('+') && (step == "0" || !step.starts_with('0'));
            let index: usize = step.parse().ok().filter(|_| is_index)?;
            elements(text).get(index).copied()
        }
        _ => None,
    }
}

fn members(text: &str) -> Vec<(String, &str)> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_map(Members).unwrap_or_default()
}

fn elements(text: &str) -> Vec<&str> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_seq(Elements).unwrap_or_default()
}

/// Collects the members of an object in their order, and does not parse their values.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            members.push((name, map.next_value::<&RawValue>()?.get()));
        }
        Ok(members)
    }
}

/// Collects the elements of an array, and does not parse them.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element::<&RawValue>()? {
            elements.push(element.get());
        }
        Ok(elements)
    }
}

/// Returns where a part of a text is in it.
fn span(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    start..start + part.len()
}

/// Replaces spans, which are in order, by values in JSON. The result is made in memory that need not grow.
fn spliced(text: &str, replaced: &[(Range<usize>, &Secret)]) -> Zeroizing<String> {
    let values: Vec<_> = replaced.iter().map(|(_, value)| json(value)).collect();
    let length = text.len() + values.iter().map(|value| value.len()).sum::<usize>();
    let mut written = Zeroizing::new(String::with_capacity(length));
    let mut rest = 0;
    for ((range, _), value) in replaced.iter().zip(&values) {
        written.push_str(&text[rest..range.start]);
        written.push_str(value);
        rest = range.end;
    }
    written.push_str(&text[rest..]);
    written
}

fn object(members: &[(&str, &str)]) -> Zeroizing<String> {
    let names: Vec<String> = members
        .iter()
        .map(|(name, _)| serde_json::Value::from(*name).to_string())
        .collect();
    let values = members.iter().map(|(_, value)| value.len());
    let length = names.iter().map(String::len).chain(values).sum::<usize>() + 2 * members.len() + 2;
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.push('{');
    for (index, (name, (_, value))) in names.iter().zip(members).enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(name);
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text
}

/// Returns a value as a JSON string.
fn json(value: &Secret) -> Zeroizing<String> {
    use std::fmt::Write as _;

    let value = value.expose();
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_ESCAPE * value.len() + 2));
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            c if c < ' ' => {
                // Writing into a `String` cannot fail.
                let _ = write!(*text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests;
