//! Updates in the platform's system events: the request, its pages, and their entries.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::answer::{Odd, parse, usable_id};
use crate::model::{AiLlmId, WorkspaceId};
use crate::redact::Pieces;
use crate::secret::Secret;

/// The events in one page, which is the most that the API gives.
pub(super) const PAGE: usize = 100;
/// The largest number of pages that are read at a time. The others are requested the next time.
pub(super) const MOST_PAGES: usize = 1_000;
/// The API's number of the event "updated".
const UPDATED: u8 = 1;

/// An update of a configuration or a stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The number of the event.
    pub id: i64,
    /// The id of the configuration or stored key that was updated.
    pub ai_llm_id: AiLlmId,
    /// The id of the user who made it.
    pub user_id: String,
    /// The time at which it was made, by Flashback's clock.
    pub at: DateTime<Utc>,
}

/// One page of events.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub updates: Vec<Update>,
    /// The number of its events, of all kinds.
    pub length: usize,
    /// The number of all events, if the answer gives it.
    pub total: Option<usize>,
}

/// Returns the body of `POST /systemevent` for the updates in a workspace since a time. It names no
/// context, as it could name only one.
pub(super) fn body(workspace: &WorkspaceId, since: Option<DateTime<Utc>>, skip: usize) -> Bytes {
    let mut body = json!({
        "workspaceId": workspace.as_str(),
        "event": UPDATED,
        "skip": skip,
        "take": PAGE,
    });
    if let Some(since) = since {
        body["from_timestamp"] = since.to_rfc3339_opts(SecondsFormat::Millis, true).into();
    }
    body.to_string().into()
}

/// Reads a page. An event that does not follow the reference is skipped.
pub(super) fn read(body: &[u8], sent: &[&Secret]) -> Result<Page, Odd> {
    let answer: Value = parse(body)?;
    let Some(events) = answer.get("events").and_then(Value::as_array) else {
        return Err(Odd::lacks("events"));
    };
    let sent = Pieces::of(sent.iter().map(|secret| secret.expose()));
    let total = answer.get("total").and_then(Value::as_u64);
    Ok(Page {
        updates: events
            .iter()
            .filter_map(|event| update(event, &sent))
            .collect(),
        length: events.len(),
        total: total.and_then(|total| usize::try_from(total).ok()),
    })
}

fn update(event: &Value, sent: &Pieces) -> Option<Update> {
    let text = |field: &str| event.get(field).and_then(Value::as_str);
    let is = |field: &str, word: &str| text(field).is_some_and(|it| it.eq_ignore_ascii_case(word));
    let concerns = is("event", "updated") && (is("context", "aillm") || is("context", "apikey"));
    let user_id = text("userId");
    concerns.then_some(Update {
        id: event.get("id").and_then(Value::as_i64)?,
        ai_llm_id: usable_id(text("contextId")?, sent)?,
        user_id: usable_id(user_id?, sent)?.to_string(),
        at: DateTime::parse_from_rfc3339(text("timestamp")?)
            .ok()?
            .to_utc(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_of_keys_are_read_and_nothing_else() {
        let event = |id: Value, context: &str, event: &str| {
            json!({ "id": id, "timestamp": "2026-11-28T10:00:00.123Z", "contextId": "c-1",
                "context": context, "event": event, "orgId": "o", "userId": "u-1", "userName": null,
                "userEmail": "e", "workspaceId": null, "jsonData": null, "showUnread": true })
        };
        let mut without = event(json!(7), "aillm", "updated");
        without["timestamp"] = json!("yesterday");
        let answer = json!({ "total": 9, "skip": 0, "take": 100, "events": [
            event(json!(1), "aillm", "updated"),
            event(json!(2), "APIKEY", "UPDATED"),
            event(json!(3), "aillm", "created"),
            event(json!(4), "repo", "updated"),
            event(json!("5"), "aillm", "updated"),
            without, null, 7, {},
        ]});
        let page = read(answer.to_string().as_bytes(), &[]).expect("a page");
        let ids: Vec<i64> = page.updates.iter().map(|update| update.id).collect();
        assert_eq!((ids, page.length, page.total), (vec![1, 2], 9, Some(9)));
        assert_eq!(page.updates[0].user_id, "u-1");
        assert!(read(b"{}", &[]).is_err() && read(b"<html>", &[]).is_err());
    }
}
