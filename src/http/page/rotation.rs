//! A key's rotation: when the next one is due, how far the present one has got, and what waits for its end.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::mark::moment;
use crate::engine::{OldKeyReport, RotationReport};
use crate::humanize::{ago, ahead, duration};
use crate::rotation::Stage;

/// Renders when the key's next rotation is due; nothing if only a person asks for one.
pub fn due(rotation: &RotationReport, now: DateTime<Utc>) -> Markup {
    html! {
        @if let Some(at) = rotation.due_at {
            span.from {
                @if at > now {
                    "rotated " (moment(at, &ahead(at, now)))
                } @else {
                    "rotation due since " (moment(at, &duration(now - at)))
                }
            }
        }
    }
}

/// Renders the rotation that is under way, with the ids of the provider's keys; `None` if none is, and nothing is in
/// its way. What the key's `remark` says is not repeated.
pub fn under_way(
    rotation: &RotationReport,
    remark: Option<&str>,
    now: DateTime<Utc>,
) -> Option<Markup> {
    let waiting = rotation.waiting.as_deref();
    let is_idle = rotation.stage == Stage::Idle && waiting.is_none();
    let is_news = |waiting: &&str| remark.is_none_or(|remark| !remark.contains(*waiting));
    let waiting = waiting.filter(is_news);
    (!is_idle).then(|| {
        html! {
            (word(rotation.stage)) " by " bdi { (rotation.provider) }
            @if let Some(waiting) = waiting { ": " bdi { (waiting) } }
            @if let Some(next) = &rotation.next { br; "New key " bdi.version { (next) } }
            @for old in &rotation.old { br; (old_key(old, now)) }
        }
    })
}

fn old_key(old: &OldKeyReport, now: DateTime<Utc>) -> Markup {
    html! {
        "Old key " bdi.version { (old.id) } ", "
        @match old.disabled_at {
            Some(at) => { "disabled " (moment(at, &ago(at, now))) }
            None => { "replaced " (moment(old.since, &ago(old.since, now))) }
        }
    }
}

/// Returns the words for a stage.
fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Idle => "Rotated",
        Stage::Due => "Rotation asked for",
        Stage::Minting => "A new key is made",
        Stage::Storing => "A new key is stored",
        Stage::Delivering => "A new key is delivered",
        Stage::Draining => "An old key is to be revoked",
        Stage::Disabled => "An old key is to be deleted",
        Stage::Stuck => "The rotation does not get on",
    }
}
