//! The newest rows of the audit trail.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

use super::mark::icon;
use super::overview::EVENTS;
use crate::engine::report::State;
use crate::model::{Action, HistoryRow, Outcome, Version};

/// The column titles.
const COLUMNS: [&str; 6] = ["Time (UTC)", "Key", "Change", "Version", "Took", "Why"];

/// Renders the section.
pub fn section(events: &[HistoryRow]) -> Markup {
    html! {
        section aria-labelledby="history" {
            h2 #history { "History" }
            @if events.is_empty() {
                p.empty { "Nothing has been pushed yet." }
            } @else {
                div.sheet {
                    table.events role="table" aria-labelledby="history" {
                        thead role="rowgroup" {
                            tr role="row" {
                                @for column in COLUMNS {
                                    th scope="col" role="columnheader" { (column) }
                                }
                            }
                        }
                        tbody role="rowgroup" {
                            @for event in events { (row(event)) }
                        }
                    }
                }
                @if events.len() >= EVENTS as usize {
                    p.legend { "The last " (EVENTS) ". " code { "flashback-rotator history" } " has them all." }
                }
            }
        }
    }
}

fn row(event: &HistoryRow) -> Markup {
    html! {
        tr role="row" {
            td.at role="cell" { (time(event.at)) }
            th scope="row" role="rowheader" { bdi.id { (event.key) } }
            td.change role="cell" { (change(event)) }
            td.versions role="cell" {
                @if let Some(before) = event.previous_version.as_ref().map(Version::label) {
                    bdi.version { (before) } " → "
                }
                bdi.version { (event.version.label()) }
            }
            td.took role="cell" { (event.elapsed.as_millis()) " ms" }
            td.why role="cell" {
                bdi { (event.reason) }
                @if let Some(by) = &event.verified_by { ", verified by " bdi { (by) } }
                @if let Some(error) = &event.error { ": " bdi.error { (error) } }
            }
        }
    }
}

fn time(at: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339_opts(SecondsFormat::Millis, true)) {
            (at.format("%Y-%m-%d %H:%M:%S"))
        }
    }
}

fn change(event: &HistoryRow) -> Markup {
    let (done, tried) = match event.action {
        Action::Create => ("Created", "Creation failed"),
        Action::Update => ("Updated", "Update failed"),
        Action::Adopt => ("Adopted", "Adoption failed"),
        Action::Delete => ("Deleted", "Deletion failed"),
        Action::Mint => ("Minted", "Minting failed"),
        Action::Store => ("Stored", "Storing failed"),
        Action::Disable => ("Disabled", "Disabling failed"),
        Action::Enable => ("Enabled", "Enabling failed"),
        Action::Revoke => ("Revoked", "Revocation failed"),
        Action::None => ("Nothing done", "Failed"),
        Action::Hold => ("Held", "Failed"),
        Action::Error => ("Failed", "Failed"),
    };
    let (state, word) = match (event.outcome, event.action) {
        (Outcome::Failed, _) => (State::Failing, tried),
        (Outcome::Succeeded, Action::Hold) => (State::Held, done),
        (Outcome::Succeeded, _) => (State::InSync, done),
    };
    html! {
        span class={ "badge " (state.as_str()) } { (icon(state)) (word) }
    }
}
