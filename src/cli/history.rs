//! `history`: prints the audit trail.

use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::end::{End, fail, wrong};
use super::table::{self, Table};
use super::{discover, setup};
use crate::model::{Action, HistoryRow, KeyId, Outcome, Version};
use crate::state;

/// The arguments of `history`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator history --since 7d             # the last week
  flashback-rotator history openai-prod --limit 5  # the last changes of one key")]
pub struct Args {
    /// Only this key's; one that is no longer configured may be named too
    key: Option<String>,

    /// Only the last N changes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Only what happened since then: a length of time (2h, 7d), a day (2026-11-29) or a time
    /// (2026-11-29T12:00:00Z); a day begins in UTC
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<DateTime<Utc>>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let config = discover::known(setup::load(path)?.config).await?;
    let key = args.key.as_ref().map(KeyId::new);
    let store = state::open::beside(&config.state).await.map_err(fail)?;
    let rows = async |since, limit| match &store {
        Some(store) => store
            .history(key.as_ref(), since, limit)
            .await
            .map_err(fail),
        None => Ok(Vec::new()),
    };
    let found = rows(args.since, args.limit).await?;
    if let (Some(key), true) = (&key, found.is_empty())
        && !config.keys.contains_key(key)
        && rows(None, Some(1)).await?.is_empty()
    {
        return Err(wrong(setup::unknown_key(&config, key.as_str())));
    }
    let rows = found;
    if args.json {
        let events: Vec<Value> = rows.iter().map(event).collect();
        setup::print(json!({ "events": events }));
    } else if rows.is_empty() {
        setup::print(match args.since {
            Some(_) => "Nothing has been pushed since then.",
            None => "Nothing has been pushed yet.",
        });
    } else {
        setup::print(render(&rows));
    }
    Ok(End::Done)
}

/// Parses a point in time given on the command line.
fn when(text: &str) -> Result<DateTime<Utc>, &'static str> {
    if let Ok(span) = humantime::parse_duration(text) {
        let span = TimeDelta::from_std(span).ok();
        let then = span.and_then(|span| Utc::now().checked_sub_signed(span));
        // A length of time that begins before the Unix epoch is cut off there: nothing was pushed before.
        return Ok(then.unwrap_or_default().max(DateTime::UNIX_EPOCH));
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let known = day.or(time);
    known.map_err(|_| "write a length of time such as 2h or 7d, a day such as 2026-11-29, or a time such as 2026-11-29T12:00:00Z")
}

fn event(row: &HistoryRow) -> Value {
    json!({
        "at": row.at,
        "key": row.key,
        "source": row.source,
        "name": row.name,
        "ai_llm_id": row.ai_llm_id,
        "version": row.version.label(),
        "previous_version": row.previous_version.as_ref().map(Version::label),
        "action": row.action,
        "outcome": row.outcome,
        "reason": row.reason,
        "elapsed_ms": u64::try_from(row.elapsed.as_millis()).unwrap_or(u64::MAX),
        "verified_by": row.verified_by,
        "error": row.error,
    })
}

/// Renders the table of `history`.
pub fn render(rows: &[HistoryRow]) -> String {
    let mut table = Table::new(&[
        "TIME", "KEY", "ACTION", "FROM", "TO", "OUTCOME", "TOOK", "WHY",
    ]);
    for row in rows {
        let outcome = match row.outcome {
            Outcome::Succeeded => table::green(row.outcome.as_str()),
            Outcome::Failed => table::red(row.outcome.as_str()),
        };
        // What is done to a key of the provider is about no version, unless it is stored.
        let version = match row.action {
            Action::Mint | Action::Disable | Action::Enable | Action::Revoke => table::nothing(),
            _ => table::plain(row.version.label()),
        };
        let why = match &row.error {
            Some(error) => format!("{}: {error}", row.reason),
            None => row.reason.clone(),
        };
        table.row([
            row.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            row.key.to_string(),
            table::action(row.action),
            table::cell(row.previous_version.as_ref().map(Version::label)),
            version,
            outcome,
            format!("{} ms", row.elapsed.as_millis()),
            table::plain(&why),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_span_a_day_or_an_instant() {
        let known = |text: &str| when(text).map(|at| at.to_rfc3339());
        let day = Ok("2026-11-29T00:00:00+00:00".to_owned());
        assert_eq!(known("2026-11-29"), day);
        assert_eq!(known("2026-11-29T01:00:00+01:00"), day);
        let ago = |text: &str| {
            let then = when(text).expect("a time");
            (Utc::now() - then).num_minutes()
        };
        assert_eq!(ago("2h"), 120);
        assert_eq!(ago("1day 5m"), 1445);
        assert_eq!(when("9000000y"), Ok(DateTime::UNIX_EPOCH));
        for text in [
            "",
            "yesterday",
            "2026-11-31",
            "2026-11-29 12:00",
            "-2h",
            "12",
        ] {
            assert!(when(text).is_err(), "{text}");
        }
    }
}
