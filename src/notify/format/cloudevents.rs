//! The format for programs: CloudEvents 1.0 as JSON in structured mode, one event for each notice.

use chrono::SecondsFormat;
use serde_json::json;

use super::Format;
use crate::notify::event::{Event, Subject};
use crate::notify::notice::{About, Notice};

/// The format.
pub const FORMAT: Format = Format {
    name: "cloudevents",
    content_type: "application/cloudevents+json",
    most: 1,
    body,
};

/// The prefix of the event types.
const TYPE: &str = "tech.flashback.rotator.";

fn body(notice: &Notice) -> Vec<u8> {
    let about = notice.about.first();
    let of = |field: fn(&About) -> &Option<String>| about.and_then(|about| field(about).clone());
    let at = notice.at().to_rfc3339_opts(SecondsFormat::Micros, true);
    let subject = about.map(|about| &about.subject);
    json!({
        "specversion": "1.0",
        "id": notice.id(),
        "source": "/flashback-rotator",
        "type": format!("{TYPE}{}", notice.event.as_str()),
        "subject": subject.map(path),
        "time": at,
        "datacontenttype": "application/json",
        "data": {
            "event": notice.event.as_str(),
            "was": notice.was.map(Event::as_str),
            "key": subject.and_then(Subject::key),
            "source": of(|about| &about.source),
            "name": of(|about| &about.name),
            "workspace_id": of(|about| &about.workspace_id),
            "ai_llm_id": of(|about| &about.ai_llm_id),
            "version": of(|about| &about.version),
            "previous_version": of(|about| &about.previous_version),
            "detail": of(|about| &about.detail),
            "since": at,
            "summary": notice.summary(),
            "remedy": notice.remedy(),
            "runbook": notice.runbook(),
            "instance": notice.instance,
        },
    })
    .to_string()
    .into_bytes()
}

/// Returns the `subject` attribute: `keys/openai`, `sources/vault`, `flashback`, `state` or `configuration`.
fn path(subject: &Subject) -> String {
    match subject {
        Subject::Key(id) | Subject::Age(id) | Subject::Rotation(id) => format!("keys/{id}"),
        Subject::Source(id) => format!("sources/{id}"),
        other => other.to_string(),
    }
}
