//! Reads Flashback's lists entry by entry, as they come.
//!
//! A list can be longer than what one would hold in memory for it, and one entry that is not as the
//! reference says must not hide those beside it. So the body is parsed while it is received, of each
//! entry only what is needed is kept, and one that cannot be read is counted and passed over.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use reqwest::Response;
use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::Listing;
use super::answer::{Odd, parse_error, usable_id};
use super::reason::reason;
use crate::model::{AiLlmId, Appearance, Listed, TargetKind, WorkspaceId};
use crate::redact::Pieces;

/// The longest entry that is read, in bytes.
const LONGEST_ENTRY: usize = 1 << 20;
/// How much of a list is kept, in bytes: some 300,000 entries.
const MOST_KEPT: usize = 64 << 20;
/// What an entry takes beside its texts, in bytes.
const ENTRY: usize = 200;
/// The longest name that is taken, in characters.
const LONGEST_NAME: usize = 512;
/// Chunks of the body that wait for the parser.
const WAITING: usize = 4;

/// A list that could not be read.
pub(super) enum Unread {
    /// It is not what the API promises.
    Odd(Odd),
    /// The connection ended before it did.
    Lost(reqwest::Error),
}

/// Reads the list of one kind in `workspace` from the body of an answer. An entry whose id repeats a
/// piece of what was `sent` is none that can be read.
pub(super) async fn read(
    mut answer: Response,
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

/// What is looked for in a list.
struct Sought {
    workspace: WorkspaceId,
    kind: TargetKind,
    sent: Pieces,
}

impl Sought {
    /// The field that holds the entries.
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
            // Nobody has to describe a stored key.
            TargetKind::StoredKey => text("description").unwrap_or_default(),
        };
        if name.chars().count() > LONGEST_NAME {
            return Err(Unreadable);
        }
        let short = |field| {
            text(field)
                .filter(|text| text.len() <= LONGEST_NAME)
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

    /// The stored key that an entry refers to. One of a form that cannot be used refers to one, too.
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

/// The body as it is received.
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

/// A body of which no more than `left` is read at a time; whoever has read an entry sets it anew.
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

/// The answer as a whole.
struct Document<'a> {
    sought: &'a Sought,
    left: &'a Cell<usize>,
}

/// What was found in it.
struct Found {
    listing: Option<Gathered>,
    /// The other fields, for the reason of a failure.
    rest: Map<String, Value>,
}

#[derive(Default)]
struct Gathered {
    entries: Vec<Listed>,
    unreadable: Vec<usize>,
    /// How many bytes are kept.
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

/// The list in it; `None` where there is something else in its place.
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
                // What is too much is counted to the end, and refused there.
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
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn sought(kind: TargetKind) -> Sought {
        Sought {
            workspace: WorkspaceId::new("w"),
            kind,
            sent: Pieces::of(["canary-canary"]),
        }
    }

    fn read(body: &[u8], kind: TargetKind) -> Result<Listing, Odd> {
        parse(body, &sought(kind))
    }

    fn configurations(entries: &Value) -> Listing {
        let body = json!({ "success": true, "aiLlms": entries }).to_string();
        read(body.as_bytes(), TargetKind::Configuration).expect("a list")
    }

    #[test]
    fn an_entry_needs_an_id_and_a_name_and_nothing_else() {
        let odd = json!([
            { "id": "bare", "name": "n" },
            { "id": "nulls", "name": "n", "endpoint": null, "workspaceId": null, "aiType": null, "apiKeyId": null },
            { "id": "types", "name": "n", "endpoint": 7, "workspaceId": [], "aiType": {}, "repos": "x" },
            { "id": "new", "name": "n", "workspaceId": "w", "aiType": "MISTRAL", "endpoint": "e" },
            { "id": "shared", "name": "n", "apiKeyId": "k" },
            { "id": "oddly-shared", "name": "n", "apiKeyId": 7 },
            { "id": "elsewhere", "name": "n", "workspaceId": "v" },
            { "id": 7, "name": "n" },
            { "id": "x" },
            { "id": "x", "name": null },
            { "id": "x", "name": "" },
            { "id": "..", "name": "n" },
            { "id": "of-canary-c", "name": "n" },
            { "id": "i".repeat(513), "name": "n" },
            { "id": "x", "name": "n".repeat(513) },
            "text", null, [1],
        ]);
        let listing = configurations(&odd);
        assert_eq!(listing.unreadable, (8..=18).collect::<Vec<_>>());
        let ids: Vec<&str> = listing.entries.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(
            ids,
            ["bare", "nulls", "types", "new", "shared", "oddly-shared"]
        );
        let shown = |index: usize| listing.entries[index].appearance.clone();
        assert_eq!((shown(2).ai_type, shown(2).endpoint), (None, None));
        assert_eq!(shown(3).ai_type.as_deref(), Some("MISTRAL"));
        assert_eq!(shown(4).stored_key, Some(AiLlmId::new("k")));
        assert!(shown(5).stored_key.is_some() && shown(1).stored_key.is_none());
    }

    #[test]
    fn numbers_and_escapes_that_no_parser_takes_spoil_one_entry() {
        let body = br#"{"aiLlms":[{"id":"a","name":"n","x":1e999},{"id":"b","name":"\ud800"},
            {"id":"c","name":"n"}],"more":[1e999]}"#;
        let listing = read(body, TargetKind::Configuration).expect("a list");
        assert_eq!(listing.unreadable, [1, 2]);
        assert_eq!(listing.entries[0].id, AiLlmId::new("c"));
    }

    #[test]
    fn stored_keys_are_known_by_their_description() {
        let body = json!({ "success": true, "apiKeys": [
            { "id": "1", "key": "***", "provider": "OPENAI", "description": "shared" },
            { "id": "2", "provider": "OPENAI" },
        ]});
        let listing = read(body.to_string().as_bytes(), TargetKind::StoredKey).expect("a list");
        let names = listing.entries.iter().map(|one| &*one.appearance.name);
        assert_eq!(names.collect::<Vec<_>>(), ["shared", ""]);
    }

    #[test]
    fn what_is_no_list_is_an_error_without_its_content() {
        for body in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"success":true}"#,
            r#"{"aiLlms":null}"#,
            r#"{"aiLlms":"canary-canary"}"#,
            r#"{"aiLlms":[{}"#,
            r#"{"aiLlms":[]}x"#,
        ] {
            match read(body.as_bytes(), TargetKind::Configuration) {
                Err(Odd::NotTheContract(what)) => assert!(!what.contains("canary"), "{what}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        let no = br#"{"success":false,"aiLlms":[],"message":"no"}"#;
        let no = read(no, TargetKind::Configuration);
        assert!(matches!(no, Err(Odd::Unsuccessful(Some(said))) if &*said == "no"));
    }

    #[test]
    fn a_long_list_is_read_and_an_endless_entry_is_not() {
        let entry = r#"{"id":"5a4db0c5-0000-4000-8000-000000000000","name":"a name","repos":[]},"#;
        let body = format!(r#"{{"aiLlms":[{}{{}}]}}"#, entry.repeat(100_000));
        let listing = read(body.as_bytes(), TargetKind::Configuration).expect("a list");
        assert_eq!(listing.entries.len(), 100_000);
        let endless = io::repeat(b'x');
        let body = (&br#"{"aiLlms":[{"id":""#[..]).chain(endless);
        assert!(parse(body, &sought(TargetKind::Configuration)).is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body, TargetKind::Configuration);
            let _ = read(&body, TargetKind::StoredKey);
        }
    }
}
