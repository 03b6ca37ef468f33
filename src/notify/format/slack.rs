//! Slack's incoming webhooks, and what takes the same JSON.
//!
//! People read it, so what happens to many keys at once is one message.

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

/// What catches the eye.
fn mark(event: Event) -> &'static str {
    match event {
        Event::Recovered | Event::Rotated => ":white_check_mark:",
        Event::Old | Event::RolledBack | Event::DriftRepaired | Event::Held => ":warning:",
        _ => ":red_circle:",
    }
}

/// Takes their meaning from the three characters that have one in Slack's texts: nobody is called by a
/// name, and no link is made.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
