//! The words of `status` and `plan` about the rotations of keys.

use chrono::{DateTime, SecondsFormat, Utc};

use super::table::{self, Table};
use crate::engine::report::KeyReport;
use crate::engine::{OldKeyReport, RotationReport};
use crate::rotation::Stage;

/// Formats a time for people.
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Describes when a key is rotated next: "rotates in 12 days, at …".
pub fn due(report: &RotationReport, now: DateTime<Utc>) -> String {
    match report.due_at {
        _ if report.asked.is_some() => "its rotation was asked for".to_owned(),
        Some(at) if at > now => format!("rotates {}, at {}", table::ahead(at, now), moment(at)),
        Some(at) => format!("its rotation is due since {}", moment(at)),
        None => "rotates when `rotate` is called".to_owned(),
    }
}

/// Describes what is under way and what it waits for; `None` if nothing is.
pub fn under_way(report: &RotationReport) -> Option<String> {
    let waiting = report.waiting.as_deref().map(table::plain);
    match (report.stage, waiting) {
        (Stage::Idle | Stage::Due, waiting) => waiting,
        (stage, Some(waiting)) => Some(format!("{stage}: {waiting}")),
        (stage, None) => Some(stage.to_string()),
    }
}

/// Describes all of it in one line, for `plan`.
pub fn line(report: &RotationReport, now: DateTime<Utc>) -> String {
    match under_way(report) {
        Some(what) => format!("{}; {what}", due(report, now)),
        None => due(report, now),
    }
}

/// Describes what becomes of an old key.
pub fn fate(old: &OldKeyReport, now: DateTime<Utc>) -> String {
    let id = table::plain(old.id.as_str());
    let then = |at: DateTime<Utc>| match at > now {
        true => format!(
            "at {} at the earliest ({})",
            moment(at),
            table::ahead(at, now)
        ),
        false => "as soon as nothing keeps it".to_owned(),
    };
    let next = match (old.disabled_at, old.revoke_after, old.delete_after) {
        (Some(at), _, Some(end)) => format!("disabled at {}; deleted {}", moment(at), then(end)),
        (Some(at), _, None) => format!("disabled at {}, and left so", moment(at)),
        (None, Some(end), _) => format!("revoked {}", then(end)),
        (None, None, _) => "left to you".to_owned(),
    };
    match &old.stuck {
        Some(stuck) => format!("{id}: {next}; stuck: {}", table::plain(&stuck.why)),
        None => format!("{id}: {next}"),
    }
}

/// Renders the table of the rotations; `None` if no key is rotated.
pub fn rotations(rows: &[KeyReport], now: DateTime<Utc>) -> Option<String> {
    let mut table = Table::new(&["ROTATED KEY", "PROVIDER", "STAGE", "DUE", "WHY"]);
    let mut is_empty = true;
    for row in rows {
        let standing = row.standing.as_ref();
        let Some(rotation) = standing.and_then(|standing| standing.rotation.as_ref()) else {
            continue;
        };
        is_empty = false;
        table.row([
            row.key.to_string(),
            rotation.provider.to_string(),
            stage(rotation.stage),
            match rotation.due_at {
                _ if rotation.asked.is_some() => "asked for".to_owned(),
                Some(at) => table::ahead(at, now),
                None => "on demand".to_owned(),
            },
            table::plain(rotation.waiting.as_deref().unwrap_or_default()),
        ]);
    }
    (!is_empty).then(|| table.to_string())
}

/// Returns the lines of `status KEY` about its rotations, each with its label.
pub fn lines(report: &RotationReport, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("rotated by", report.provider.to_string()),
        (
            "rotation",
            format!("{}; {}", stage(report.stage), due(report, now)),
        ),
    ];
    if let Some(waiting) = &report.waiting {
        lines.push(("it waits", table::plain(waiting)));
    }
    if let Some(stuck) = &report.stuck {
        let tries = format!(
            "since {}, tried {} times, next {}",
            moment(stuck.since),
            stuck.tries,
            table::ahead(stuck.next_at, now)
        );
        lines.push(("stuck", tries));
    }
    let id = |id: &Option<_>| table::cell(id.as_ref().map(crate::model::ProviderKeyId::as_str));
    lines.push(("live key", id(&report.current)));
    if report.next.is_some() {
        lines.push(("next key", id(&report.next)));
    }
    lines.extend(report.old.iter().map(|old| ("old key", fate(old, now))));
    lines
}

/// Returns a stage in its colour.
fn stage(stage: Stage) -> String {
    match stage {
        Stage::Stuck => table::red(stage.as_str()),
        Stage::Idle => table::dim(stage.as_str()),
        _ => stage.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::{ProviderId, ProviderKeyId, Stuck, Times};

    fn report(stage: Stage) -> RotationReport {
        RotationReport {
            provider: ProviderId::new("openai"),
            stage,
            due_at: None,
            waiting: None,
            stuck: None,
            asked: None,
            current: None,
            next: None,
            old: Vec::new(),
            times: Times::default(),
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    #[test]
    fn plan_says_when_a_key_is_rotated_and_what_keeps_it() {
        let idle = report(Stage::Idle);
        assert_eq!(line(&idle, now()), "rotates when `rotate` is called");
        let later = RotationReport {
            due_at: Some(now() + TimeDelta::days(12)),
            ..idle.clone()
        };
        assert_eq!(
            line(&later, now()),
            "rotates in 12 days, at 2024-10-16T00:00:00Z"
        );
        let kept = RotationReport {
            due_at: Some(now() - TimeDelta::days(1)),
            waiting: Some("the other slot's key is not revoked yet".to_owned()),
            ..report(Stage::Draining)
        };
        assert_eq!(
            line(&kept, now()),
            "its rotation is due since 2024-10-03T00:00:00Z; draining: the other slot's key is not revoked yet"
        );
    }

    #[test]
    fn an_old_key_says_what_becomes_of_it_and_why_not() {
        let active = OldKeyReport {
            id: ProviderKeyId::new("key_1"),
            since: now(),
            disabled_at: None,
            compromised: false,
            revoke_after: Some(now() + TimeDelta::hours(1)),
            delete_after: None,
            stuck: None,
        };
        assert_eq!(
            fate(&active, now()),
            "key_1: revoked at 2024-10-04T01:00:00Z at the earliest (in 60 min)"
        );
        let disabled = OldKeyReport {
            disabled_at: Some(now()),
            revoke_after: None,
            delete_after: Some(now()),
            stuck: Some(Stuck {
                why: "access denied".to_owned(),
                since: now(),
                tries: 5,
                next_at: now(),
            }),
            ..active.clone()
        };
        assert_eq!(
            fate(&disabled, now()),
            "key_1: disabled at 2024-10-04T00:00:00Z; deleted as soon as nothing keeps it; stuck: access denied"
        );
        let left = OldKeyReport {
            revoke_after: None,
            ..active
        };
        assert_eq!(fate(&left, now()), "key_1: left to you");
    }
}
