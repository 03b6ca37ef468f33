//! The format of Slack's incoming webhooks, and of services that accept the same JSON.
//!
//! It is for people, so an event of many keys is one message.

use serde_json::json;

use super::Format;
use crate::notify::event::Event;
use crate::notify::notice::Notice;

/// The format.
pub const FORMAT: Format = Format {
    name: "slack",
    content_type: "application/json",
    most: 1_000,
    body,
};

fn body(notice: &Notice) -> Vec<u8> {
    json!({ "text": text(notice) }).to_string().into_bytes()
}

fn text(notice: &Notice) -> String {
    let mut text = format!("{} {}.", mark(notice.event), escape(&notice.summary()));
    if let Some(remedy) = notice.remedy() {
        text.push(' ');
        text.push_str(remedy);
    }
    if let Some(runbook) = notice.runbook() {
        text.push_str(&format!(" Runbook: {runbook}."));
    }
    text.push_str(&format!(
        " (flashback-rotator on {})",
        escape(&notice.instance)
    ));
    text
}

/// Returns the emoji that shows how serious the event is.
fn mark(event: Event) -> &'static str {
    match event {
        Event::Recovered | Event::Rotated | Event::OldKeyRevoked => ":white_check_mark:",
        Event::Old
        | Event::RolledBack
        | Event::DriftRepaired
        | Event::Held
        | Event::RotationStuck => ":warning:",
        _ => ":red_circle:",
    }
}

/// Escapes the three characters that have a meaning in Slack's texts, so that a text can neither mention
/// anyone nor contain links.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
