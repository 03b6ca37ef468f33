//! The output of `status`: the daemon, the state and the configuration, then Flashback and the sources, then
//! the keys.

use chrono::{DateTime, TimeDelta, Utc};

use crate::cli::rotation::{moment, rotations};
use crate::cli::table::{self, Table};
use crate::engine::report::KeyReport;
use crate::humanize::duration;
use crate::model::{RuleReport, ServiceHealth, ServiceStatus};
use crate::status::{Configuration, Daemon, DaemonStatus, Replica, Service, Status};
use crate::terminal::wrapped;

/// The column in which the text of a line begins, after its label.
const LABEL: usize = 15;

/// The delay of a check from which on it is shown as late.
const LATE: TimeDelta = TimeDelta::seconds(60);

/// Renders the whole status.
pub fn screen(status: &Status) -> String {
    let mut parts = vec![head(status)];
    if status.daemon.replicas.iter().any(|one| one.keys.is_some()) {
        parts.push(replicas(&status.daemon, status.now));
    }
    if status.daemon.status != DaemonStatus::NeverRun {
        parts.push(services(status));
    }
    if !status.discovery.is_empty() {
        parts.push(discovery(&status.discovery, status.now));
    }
    let runs = status.daemon.status == DaemonStatus::Running;
    parts.push(keys(&status.keys, status.now, runs));
    parts.extend(rotations(&status.keys, status.now));
    parts.join("\n\n")
}

/// Renders the first lines: the daemon, the state and the configuration.
pub fn head(status: &Status) -> String {
    let mut lines = Vec::new();
    let daemon = daemon(&status.daemon, status.now);
    lines.push(labelled("daemon", &daemon));
    let state = &status.state;
    let place = state.url.strip_prefix("sqlite://").unwrap_or(&state.url);
    lines.push(labelled(
        "state",
        &match state.exists {
            true => table::plain(place),
            false => format!(
                "{} is not there yet: nothing has ever worked on it. Is it the one you mean?",
                table::plain(place)
            ),
        },
    ));
    lines.push(labelled(
        "configuration",
        &configuration(&status.configuration, status.now),
    ));
    lines.join("\n")
}

fn daemon(daemon: &Daemon, now: DateTime<Utc>) -> String {
    let since = |words: &str| match daemon.since {
        Some(at) => format!("{words} since {} ({})", moment(at), duration(now - at)),
        None => words.to_owned(),
    };
    let running = daemon
        .replicas
        .iter()
        .filter(|one| one.status == DaemonStatus::Running);
    match (daemon.status, &daemon.replicas[..]) {
        (DaemonStatus::Running, [one]) => format!("{}{}", since("running"), particulars(one, now)),
        (DaemonStatus::Running, all) => {
            format!("{} of {} replicas running", running.count(), all.len())
        }
        (DaemonStatus::Stopped, _) => format!(
            "{}: it was stopped. Nothing below is kept up to date",
            since("not running")
        ),
        (DaemonStatus::Dead, _) => format!(
            "{}: it was killed, or its machine went down. Nothing below is kept up to date",
            since("not running")
        ),
        (DaemonStatus::NeverRun, _) => "none has ever run on this state".to_owned(),
    }
}

fn particulars(one: &Replica, now: DateTime<Utc>) -> String {
    let mut text = String::new();
    if let Some(version) = &one.version {
        text.push_str(&format!(", version {version}"));
    }
    if let Some(listen) = one.listen {
        text.push_str(&format!(", http://{listen}"));
    }
    if let Some(seen) = one.last_seen_at.filter(|_| one.silent) {
        text.push_str(&format!(
            "; it has not written to the state for {}",
            duration(now - seen)
        ));
    }
    text
}

fn configuration(configuration: &Configuration, now: DateTime<Utc>) -> String {
    let mut text = table::plain(&configuration.path.display().to_string());
    if let Some(at) = configuration.rejected_since {
        text.push_str(&format!(
            " has been broken since {} ({})",
            moment(at),
            duration(now - at)
        ));
    } else if configuration.error.is_some() {
        text.push_str(" is broken");
    }
    let refused = configuration.error.is_some() || configuration.rejected_since.is_some();
    match (configuration.loaded_at, refused) {
        (Some(at), false) => text.push_str(&format!(", loaded {}", table::ago(at, now))),
        (Some(at), true) => text.push_str(&format!(
            "; the daemon runs on the earlier one, loaded {}",
            table::ago(at, now)
        )),
        (None, _) => {}
    }
    if let Some(other) = &configuration.other_path {
        let other = table::plain(&other.display().to_string());
        text.push_str(&format!("; this command has read {other}"));
    }
    text
}

fn replicas(daemon: &Daemon, now: DateTime<Utc>) -> String {
    let mut table = Table::new(&["REPLICA", "STATE", "SINCE", "KEYS", "VERSION"]);
    for one in &daemon.replicas {
        let state = match one.status {
            DaemonStatus::Running if one.silent => table::red("silent"),
            DaemonStatus::Running => table::green("running"),
            DaemonStatus::Stopped => "stopped".to_owned(),
            DaemonStatus::Dead | DaemonStatus::NeverRun => table::red("not heard of"),
        };
        table.row([
            table::plain(&one.name),
            state,
            since(one.since, now),
            one.keys
                .map_or_else(table::nothing, |keys| keys.to_string()),
            table::cell(one.version.as_deref()),
        ]);
    }
    table.to_string()
}

fn services(status: &Status) -> String {
    let mut table = Table::new(&["SERVICE", "STATE", "SINCE", "WHY"]);
    let mut row = |name: &str, service: &Service| {
        table.row([
            name.to_owned(),
            word(&service.health),
            since(service.health.since, status.now),
            why(service, status.daemon.replicas.len()),
        ]);
    };
    row("Flashback", &status.flashback);
    for source in &status.sources {
        row(source.source.as_str(), &source.service);
    }
    table.to_string()
}

/// Renders the rules of discovery: a line for each, and one for each secret that is not the key that it should be.
fn discovery(rules: &[RuleReport], now: DateTime<Utc>) -> String {
    let mut table = Table::new(&["RULE", "SOURCE", "KEYS", "LISTED", "WHY"]);
    for rule in rules {
        let at = rule.listed_at;
        let listed = at.map_or_else(table::nothing, |at| table::ago(at, now));
        let mut row = |why: Option<&str>| {
            table.row([
                rule.rule.to_string(),
                rule.source.to_string(),
                rule.keys.to_string(),
                listed.clone(),
                why.map(table::plain).unwrap_or_default(),
            ]);
        };
        if rule.error.is_some() || rule.problems.is_empty() {
            row(rule.error.as_deref());
        }
        rule.problems.iter().for_each(|problem| row(Some(problem)));
    }
    table.to_string()
}

fn word(health: &ServiceHealth) -> String {
    let has_events = health.events.as_ref().is_some_and(|events| events.up);
    match health.status {
        ServiceStatus::Up if has_events => table::green("up, events"),
        ServiceStatus::Up => table::green("up"),
        ServiceStatus::Down => table::red("down"),
        ServiceStatus::Unknown => "unknown".to_owned(),
    }
}

fn why(service: &Service, replicas: usize) -> String {
    let error = service.health.error.as_deref().map(table::plain);
    match (error, service.health.status, service.down_at) {
        (None, _, _) => why_polled(&service.health),
        (Some(error), ServiceStatus::Unknown, _) => format!("was down: {error}"),
        (Some(error), _, Some(at)) => format!("at {at} of {replicas} replicas: {error}"),
        (Some(error), _, None) => error,
    }
}

/// Returns why the changes of a source are not heard of as they happen, if they should be.
fn why_polled(health: &ServiceHealth) -> String {
    let down = health.events.as_ref().filter(|events| !events.up);
    match down.and_then(|events| events.error.as_deref()) {
        Some(error) => format!("polled, no events: {}", table::plain(error)),
        None => String::new(),
    }
}

/// Renders the table of the keys. `daemon` is `true` if a daemon runs: only then are there times of next checks to
/// show.
pub fn keys(rows: &[KeyReport], now: DateTime<Utc>, daemon: bool) -> String {
    let check = if daemon { "NEXT CHECK" } else { "LAST CHECK" };
    let mut table = Table::new(&[
        "KEY",
        "STATE",
        "VERSION",
        "PUSHED",
        check,
        "CONFIGURATION",
        "ERROR",
    ]);
    for row in rows {
        let standing = row.standing.as_ref();
        table.row([
            row.key.to_string(),
            table::state(row.state()),
            table::cell(row.version.as_deref()),
            since(standing.and_then(|standing| standing.pushed_at), now),
            match daemon {
                true => next(standing.and_then(|standing| standing.next_check), now),
                false => since(standing.and_then(|standing| standing.checked_at), now),
            },
            table::cell(row.ai_llm_id.as_deref()),
            table::plain(row.remark().unwrap_or_default()),
        ]);
    }
    table.to_string()
}

/// Returns when the next check is, or how late it is.
pub fn next(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    match at {
        Some(at) if at + LATE < now => format!("{} late", duration(now - at)),
        Some(at) => table::ahead(at, now),
        None => table::nothing(),
    }
}

fn since(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    at.map_or_else(table::nothing, |at| table::ago(at, now))
}

/// Formats a line: a label and the text after it, wrapped to fit the terminal.
pub fn labelled(label: &str, text: &str) -> String {
    let room = table::room().unwrap_or(usize::MAX);
    format!("{label:LABEL$}{}", wrapped(text, LABEL, LABEL, room))
}
