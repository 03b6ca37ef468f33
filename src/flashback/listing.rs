//! Reads Flashback's lists entry by entry, while they are received.
//!
//! A list can be longer than what one would hold in memory for it, and one entry that is not as the
//! reference says must not hide those beside it. So the body is parsed while it is received, of each
//! entry only what is needed is kept, and one that cannot be read is counted and skipped.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::Listing;
use super::answer::{Odd, parse_error, usable_id};
use super::reason::reason;
use crate::model::{AiLlmId, Appearance, Listed, TargetKind, WorkspaceId};
use crate::outbound::{Answer, CallError};
use crate::redact::Pieces;
use crate::words;

/// The longest entry that is read, in bytes.
const LONGEST_ENTRY: usize = 1 << 20;
/// The largest part of a list that is kept, in bytes: about 300,000 entries.
const MOST_KEPT: usize = 64 << 20;
/// The size of an entry in memory without its texts, in bytes.
const ENTRY: usize = 200;
/// The number of chunks of the body that may wait for the parser.
const WAITING: usize = 4;

/// A list that could not be read.
pub(super) enum Unread {
    /// The body is not what the API promises.
    Odd(Odd),
    /// The connection ended before the list did.
    Lost(CallError),
}

/// Reads the list of one kind in `workspace` from the body of an answer. An entry whose id repeats a
/// piece of what was `sent` is none that can be read.
pub(super) async fn read(
    mut answer: Answer,
    workspace: WorkspaceId,
    kind: TargetKind,
    sent: Pieces,
) -> Result<Listing, Unread> {
    let (chunks, received) = mpsc::channel(WAITING);
    let parse = tokio::task::spawn_blocking(move || {
        let body = Received {
            chunks: received,
            chunk: Bytes::new(),
        };
        parse(
            body,
            &Sought {
                workspace,
                kind,
                sent,
            },
        )
    });
    let mut lost = None;
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                if chunks.send(chunk).await.is_err() {
                    // The parser has ended, and says why.
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                lost = Some(error);
                break;
            }
        }
    }
    drop(chunks);
    match (parse.await, lost) {
        (Ok(Ok(listing)), _) => Ok(listing),
        (_, Some(error)) => Err(Unread::Lost(error)),
        (Ok(Err(odd)), None) => Err(Unread::Odd(odd)),
        (Err(_), None) => Err(Unread::Odd(Odd::NotTheContract(
            "it could not be parsed".to_owned(),
        ))),
    }
}

/// Selects the entries of a list that are kept.
struct Sought {
    workspace: WorkspaceId,
    kind: TargetKind,
    sent: Pieces,
}

impl Sought {
    /// Returns the field that holds the entries.
    fn field(&self) -> &'static str {
        match self.kind {
            TargetKind::Configuration => "aiLlms",
            TargetKind::StoredKey => "apiKeys",
        }
    }

    /// Reads one entry; `Ok(None)` where it belongs to another workspace, `Err` where it cannot be read.
    fn entry(&self, raw: &str) -> Result<Option<Listed>, Unreadable> {
        let Ok(Value::Object(entry)) = serde_json::from_str(raw) else {
            return Err(Unreadable);
        };
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        if text("workspaceId").is_some_and(|other| other != self.workspace.as_str()) {
            return Ok(None);
        }
        let id = text("id")
            .and_then(|id| usable_id(id, &self.sent))
            .ok_or(Unreadable)?;
        let name = match self.kind {
            TargetKind::Configuration => text("name")
                .filter(|name| !name.is_empty())
                .ok_or(Unreadable)?,
            // A stored key may have no description.
            TargetKind::StoredKey => text("description").unwrap_or_default(),
        };
        if words::too_long(name).is_some() {
            return Err(Unreadable);
        }
        let short = |field| {
            text(field)
                .filter(|text| words::too_long(text).is_none())
                .map(str::to_owned)
        };
        Ok(Some(Listed {
            id,
            appearance: Appearance {
                name: name.to_owned(),
                ai_type: short(match self.kind {
                    TargetKind::Configuration => "aiType",
                    TargetKind::StoredKey => "provider",
                }),
                endpoint: short("endpoint"),
                stored_key: self.stored_key(&entry),
            },
        }))
    }

    /// Returns the stored key that an entry refers to, or `?` if its id cannot be used.
    fn stored_key(&self, entry: &Map<String, Value>) -> Option<AiLlmId> {
        match entry.get("apiKeyId")? {
            Value::Null => None,
            Value::String(id) if id.is_empty() => None,
            Value::String(id) => {
                Some(usable_id(id, &self.sent).unwrap_or_else(|| AiLlmId::new("?")))
            }
            _ => Some(AiLlmId::new("?")),
        }
    }
}

/// An entry that cannot be read.
struct Unreadable;

/// The body, of which more is received while it is read.
struct Received {
    chunks: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let many = buffer.len().min(self.chunk.len());
        buffer[..many].copy_from_slice(&self.chunk.split_to(many));
        Ok(many)
    }
}

/// A body that fails once more than `left` bytes were read. The parser resets `left` for each entry.
struct Bounded<'a, R> {
    body: R,
    left: &'a Cell<usize>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let many = self.body.read(buffer)?;
        let left = self.left.get().checked_sub(many);
        self.left
            .set(left.ok_or_else(|| io::Error::other("an entry is too long"))?);
        Ok(many)
    }
}

fn parse(body: impl Read, sought: &Sought) -> Result<Listing, Odd> {
    let left = &Cell::new(LONGEST_ENTRY);
    let body = io::BufReader::with_capacity(16 << 10, Bounded { body, left });
    let mut document = serde_json::Deserializer::from_reader(body);
    let read = document.deserialize_map(Document { sought, left });
    let read = read.and_then(|found| document.end().map(|()| found));
    let Found { listing, rest } = read.map_err(|error| match error.io_error_kind() {
        Some(_) => Odd::NotTheContract(format!(
            "an entry of it is longer than {} KiB",
            LONGEST_ENTRY >> 10
        )),
        None => parse_error(&error),
    })?;
    if rest.get("success") == Some(&Value::Bool(false)) {
        let said = Value::Object(rest).to_string();
        let said = reason(said.as_bytes()).and_then(|reason| reason.text);
        return Err(Odd::Unsuccessful(said));
    }
    let listing = listing.ok_or_else(|| Odd::lacks(sought.field()))?;
    match listing.kept > MOST_KEPT {
        true => Err(Odd::NotTheContract(format!(
            "the list is longer than {} MiB",
            MOST_KEPT >> 20
        ))),
        false => Ok(Listing {
            entries: listing.entries,
            unreadable: listing.unreadable,
        }),
    }
}

/// Parses the answer as a whole.
struct Document<'a> {
    sought: &'a Sought,
    left: &'a Cell<usize>,
}

/// The entries found, and the other fields.
struct Found {
    listing: Option<Gathered>,
    /// The other fields, for the reason of a failure.
    rest: Map<String, Value>,
}

#[derive(Default)]
struct Gathered {
    entries: Vec<Listed>,
    unreadable: Vec<usize>,
    /// The number of bytes that are kept.
    kept: usize,
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list in it")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found {
            listing: None,
            rest: Map::new(),
        };
        while let Some(field) = map.next_key::<String>()? {
            if field == self.sought.field() {
                found.listing = map.next_value_seed(Entries(&self))?;
            } else if found.rest.len() < 16 {
                let value = map.next_value::<Box<RawValue>>()?;
                let value = serde_json::from_str(value.get()).unwrap_or(Value::Null);
                found.rest.insert(field, value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Parses the list in an answer; gives `None` if that is `null`.
struct Entries<'a>(&'a Document<'a>);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = Option<Gathered>;

    fn deserialize<D: serde::Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Option<Gathered>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let Document { sought, left } = self.0;
        let mut all = Gathered::default();
        for position in 1.. {
            left.set(LONGEST_ENTRY);
            let Some(raw) = list.next_element::<Box<RawValue>>()? else {
                break;
            };
            match sought.entry(raw.get()) {
                // Entries beyond the limit are only counted, and the list is refused at its end.
                Ok(Some(_)) if all.kept > MOST_KEPT => {}
                Ok(Some(entry)) => {
                    let texts = [
                        Some(&entry.appearance.name),
                        entry.appearance.endpoint.as_ref(),
                    ];
                    let texts = texts.into_iter().flatten().map(String::len);
                    all.kept += ENTRY + entry.id.as_str().len() + texts.sum::<usize>();
                    all.entries.push(entry);
                }
                Ok(None) => {}
                Err(Unreadable) => {
                    all.kept += size_of::<usize>();
                    all.unreadable.push(position);
                }
            }
        }
        Ok(Some(all))
    }
}

#[cfg(test)]
mod tests;
