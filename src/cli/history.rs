//! `history`: the audit trail.

use std::path::Path;

use serde_json::{Value, json};

use super::table::{self, Table};
use super::{End, desk, fail, wrong};
use crate::model::{HistoryRow, KeyId, Outcome, Version};
use crate::store;

/// What `history` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this key's; one that is no longer configured may be named too
    key: Option<String>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> End {
    match history(path, args).await {
        Ok(end) | Err(end) => end,
    }
}

async fn history(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let config = desk::load(path)?.config;
    let key = args.key.as_ref().map(KeyId::new);
    let rows = match store::open_beside(&config.state).await.map_err(fail)? {
        Some(store) => store.history(key.as_ref(), None).await.map_err(fail)?,
        None => Vec::new(),
    };
    if let (Some(key), true) = (&key, rows.is_empty())
        && !config.keys.contains_key(key)
    {
        return Err(wrong(desk::unknown_key(&config, key.as_str())));
    }
    if args.json {
        let events: Vec<Value> = rows.iter().map(event).collect();
        desk::print(json!({ "events": events }));
    } else if rows.is_empty() {
        desk::print("Nothing has been pushed yet.");
    } else {
        desk::print(render(&rows));
    }
    Ok(End::Done)
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

fn render(rows: &[HistoryRow]) -> String {
    let mut table = Table::new(&[
        "TIME", "KEY", "ACTION", "FROM", "TO", "OUTCOME", "TOOK", "WHY",
    ]);
    for row in rows {
        let outcome = match row.outcome {
            Outcome::Succeeded => table::green(row.outcome.as_str()),
            Outcome::Failed => table::red(row.outcome.as_str()),
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
            table::plain(row.version.label()),
            outcome,
            format!("{} ms", row.elapsed.as_millis()),
            table::plain(&why),
        ]);
    }
    table.to_string()
}
