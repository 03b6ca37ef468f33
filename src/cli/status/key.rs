//! The output of `status KEY`: one key in full.

use chrono::{DateTime, Utc};

use super::screen::{head, labelled, next};
use crate::cli::{history, rotation, table};
use crate::engine::report::KeyReport;
use crate::model::{HistoryRow, Verifier};
use crate::status::{DaemonStatus, Status};

/// Renders all that is known of a key, and the latest of its history.
pub fn screen(status: &Status, row: &KeyReport, events: &[HistoryRow]) -> String {
    let lines: Vec<_> = lines(status, row)
        .iter()
        .map(|(label, text)| labelled(label, text))
        .collect();
    let mut parts = vec![head(status), lines.join("\n")];
    if !events.is_empty() {
        parts.push(history::render(events));
    }
    parts.join("\n\n")
}

/// Returns what is known of a key, each with its label.
fn lines(status: &Status, row: &KeyReport) -> Vec<(&'static str, String)> {
    let now = status.now;
    let standing = row.standing.as_ref();
    let at = |at: Option<DateTime<Utc>>| {
        let shown = |at| format!("{} ({})", rotation::moment(at), table::ago(at, now));
        at.map_or_else(table::nothing, shown)
    };
    let held = standing.and_then(|standing| standing.held_version.as_deref());
    let reason = standing.and_then(|standing| standing.held_reason.as_deref());
    let verified = standing.and_then(|standing| standing.verified_by);
    let workspace = standing.map(|standing| standing.workspace_id.as_str());
    let runs = status.daemon.status == DaemonStatus::Running;
    let check = standing.and_then(|standing| standing.next_check);
    let mut lines = vec![
        ("key", row.key.to_string()),
        ("state", table::state(row.state())),
        ("error", table::cell(row.error.as_deref())),
        ("live version", table::cell(row.version.as_deref())),
        ("verified by", table::cell(verified.map(Verifier::as_str))),
        (
            "pushed",
            at(standing.and_then(|standing| standing.pushed_at)),
        ),
    ];
    if let Some(warning) = standing.and_then(|standing| standing.warning.as_deref()) {
        lines.push(("warning", table::plain(warning)));
    }
    if held.is_some() {
        let release = format!("flashback-rotator sync {} --force", row.key);
        lines.extend([
            ("held version", table::cell(held)),
            ("held because", table::cell(reason)),
            ("release it", release),
        ]);
    }
    lines.extend([
        (
            "last check",
            at(standing.and_then(|standing| standing.checked_at)),
        ),
        (
            "next check",
            match runs {
                true => next(check, now),
                false => "no daemon runs".to_owned(),
            },
        ),
        ("source", row.source.to_string()),
        ("workspace", table::cell(workspace)),
        ("name", table::plain(&row.name)),
        ("configuration", table::cell(row.ai_llm_id.as_deref())),
    ]);
    if let Some(report) = standing.and_then(|standing| standing.rotation.as_ref()) {
        lines.extend(rotation::lines(report, now));
    }
    if let Some(rule) = &row.rule {
        lines.push(("discovered by", format!("rule {rule}")));
    }
    lines
}
