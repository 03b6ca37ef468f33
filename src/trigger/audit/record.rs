//! Reads one record of an audit device.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::engine::{Engine, Meaning};
use crate::model::Version;
use crate::source::vault::version;
use crate::trigger::heard::Heard;

/// The beginning of a record in which its kind stands in today's servers. The rest need not be read if it is a request.
const HEAD: usize = 160;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A request has come. What becomes of it is another record.
    Request,
    /// The response to a request that changed no secret of the engine.
    Other,
    /// A secret has changed.
    Change(Heard),
    /// Any secret may have changed.
    Everything(&'static str),
    /// It is too long to be read.
    TooLong,
    /// It is none.
    Malformed,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(default, borrow)]
    request: Request<'a>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Request<'a> {
    #[serde(default, borrow)]
    operation: Cow<'a, str>,
    #[serde(default, borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Option<Namespace<'a>>,
}

/// A namespace. The root namespace has no path, others have one with a `/` behind it.
#[derive(Deserialize)]
struct Namespace<'a> {
    #[serde(default, borrow)]
    path: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    data: Written<'a>,
}

#[derive(Deserialize)]
struct Written<'a> {
    version: u64,
    #[serde(borrow)]
    created_time: Cow<'a, str>,
}

/// Reads a record. Its line may have a prefix (OpenBao's option `prefix`) that has no `{` in it.
pub(super) fn record(line: &[u8], engine: &Engine) -> Record {
    let Some(start) = line.iter().position(|byte| *byte == b'{') else {
        return Record::Malformed;
    };
    let line = &line[start..];
    let head = &line[..line.len().min(HEAD)];
    if has(head, br#""type":"request""#) {
        return Record::Request;
    }
    let Ok(entry) = serde_json::from_slice::<Entry<'_>>(line) else {
        return Record::Malformed;
    };
    match &*entry.kind {
        "response" if has_failed(entry.error) => Record::Other,
        "response" => meaning(&entry, engine),
        "request" => Record::Request,
        _ => Record::Other,
    }
}

fn meaning(entry: &Entry<'_>, engine: &Engine) -> Record {
    let Request {
        operation,
        path,
        namespace,
    } = &entry.request;
    let namespace = namespace.as_ref().map_or("", |it| &it.path);
    let (path, version) = match engine.meaning(namespace, operation, path) {
        Meaning::Nothing => return Record::Other,
        Meaning::Everything(why) => return Record::Everything(why),
        Meaning::Changed(path) => (path, None),
        Meaning::Written(path) => (path, entry.response.and_then(written)),
    };
    let created = version.as_ref().and_then(Version::created_at);
    Record::Change(Heard {
        at: created.or_else(|| time(&entry.time)),
        version,
        ..Heard::of(path)
    })
}

/// Returns the version that the answer to a write has: KV 1 has none, and the answer of a wrapped one is elsewhere.
fn written(response: &RawValue) -> Option<Version> {
    let Response { data } = serde_json::from_str(response.get()).ok()?;
    version(data.version, &data.created_time).ok()
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.to_utc())
}

fn has_failed(error: Option<&RawValue>) -> bool {
    error.is_some_and(|error| error.get() != "\"\"")
}

fn has(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests;
