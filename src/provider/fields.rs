//! The fields of providers' answers, for `deserialize_with`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::model::LastUse;
use crate::secret::{Redacted, Secret};
use crate::words::too_long;

/// Reads a text straight into a secret, so that no copy of it is left in memory that is not wiped.
///
/// # Errors
/// Returns an error if there is no text, or an empty one.
pub fn secret<'de, D: Deserializer<'de>>(input: D) -> Result<Secret, D::Error> {
    let Text(text) = Text::deserialize(input)?;
    match text.is_empty() {
        true => Err(D::Error::custom("empty")),
        false => Ok(text),
    }
}

/// Reads a text that may be absent, null or empty, which are the same, straight into a secret.
///
/// # Errors
/// Returns an error if it is there and no text.
pub fn any_secret<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Secret>, D::Error> {
    let text = Option::<Text>::deserialize(input)?;
    Ok(text.map(|Text(text)| text).filter(|text| !text.is_empty()))
}

struct Text(Secret);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Secret::new(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
        Ok(Text(Secret::new(text)))
    }
}

/// Reads an id or a name.
///
/// # Errors
/// Returns an error if it is empty, or longer than [`LONGEST_NAME`](crate::words::LONGEST_NAME) characters.
pub fn name<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    match text.is_empty() || too_long(&text).is_some() {
        true => Err(D::Error::custom("not a name")),
        false => Ok(text),
    }
}

/// Reads a name that may be absent, null or empty, which are the same.
///
/// # Errors
/// Returns an error if it is longer than [`LONGEST_NAME`](crate::words::LONGEST_NAME) characters.
pub fn any_name<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(input)?.filter(|text| !text.is_empty());
    match text.as_deref().and_then(too_long) {
        Some(_) => Err(D::Error::custom("not a name")),
        None => Ok(text),
    }
}

/// Reads what is shown of a value; `None` if it is absent, or too little to tell keys apart.
///
/// # Errors
/// Returns an error if it is there and no text.
pub fn redacted<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Redacted>, D::Error> {
    let text = any_secret(input)?;
    Ok(text.and_then(|text| Redacted::of(text.expose())))
}

/// Reads a Unix time in seconds; `None` if there is none.
///
/// # Errors
/// Returns an error if it is there and no time.
pub fn unix_time<'de, D: Deserializer<'de>>(input: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(seconds) = Option::<i64>::deserialize(input)? else {
        return Ok(None);
    };
    let time = DateTime::from_timestamp(seconds, 0);
    time.map(Some)
        .ok_or_else(|| D::Error::custom("not a Unix time"))
}

/// Reads the time of the last use in RFC 3339, where null means that there was none. With `serde(default)`, a field
/// that is absent says nothing.
///
/// # Errors
/// Returns an error if it is there and neither a time nor null.
pub fn last_use<'de, D: Deserializer<'de>>(input: D) -> Result<LastUse, D::Error> {
    let time = Option::<DateTime<Utc>>::deserialize(input)?;
    Ok(time.map_or(LastUse::Never, LastUse::At))
}

/// Reads the time of the last use in seconds of Unix time, as [`last_use`] does.
///
/// # Errors
/// Returns an error if it is there and neither a time nor null.
pub fn last_use_unix<'de, D: Deserializer<'de>>(input: D) -> Result<LastUse, D::Error> {
    let time = unix_time(input)?;
    Ok(time.map_or(LastUse::Never, LastUse::At))
}
