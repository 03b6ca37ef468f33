//! `status`: how each key stands, from the state store.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::table::{self, Table};
use super::{End, desk, fail};
use crate::config::{PostgresConfig, StateConfig};
use crate::engine::row::{self, Row, State};
use crate::store;
use crate::store::postgres::Postgres;
use crate::store::share::Share as _;

/// What `status` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator status         # for people
  flashback-rotator status --json  # for scripts")]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> End {
    match status(path, args).await {
        Ok(end) | Err(end) => end,
    }
}

async fn status(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let config = desk::load(path)?.config;
    let records = match store::open_beside(&config.state).await.map_err(fail)? {
        Some(store) => store.load_all().await.map_err(fail)?,
        None => Vec::new(),
    };
    let rows = Row::of_records(&config.keys, records);
    if args.json {
        desk::print(row::document(&rows));
    } else {
        desk::print(render(&rows, Utc::now()));
        if let StateConfig::Postgres(postgres) = &config.state {
            desk::print(format_args!("\n{}", replicas(postgres).await?));
        }
    }
    Ok(End::Done)
}

/// Those who share the keys, and how many each of them holds.
async fn replicas(postgres: &PostgresConfig) -> Result<Table, End> {
    let mut table = Table::new(&["REPLICA", "KEYS", "STATE"]);
    let state = Postgres::open_beside(postgres).await.map_err(fail)?;
    let all = match &state {
        Some(state) => state.replicas().await.map_err(fail)?,
        None => Vec::new(),
    };
    for replica in all {
        table.row([
            table::plain(&replica.member.name),
            replica.keys.to_string(),
            table::plain(if replica.alive { "up" } else { "not heard of" }),
        ]);
    }
    Ok(table)
}

/// The table of `status`.
pub fn render(rows: &[Row], now: DateTime<Utc>) -> String {
    let mut table = Table::new(&[
        "KEY",
        "STATE",
        "VERSION",
        "PUSHED",
        "NEXT CHECK",
        "CONFIGURATION",
        "ERROR",
    ]);
    for row in rows {
        let standing = row.standing.as_ref();
        table.row([
            row.key.to_string(),
            table::state(standing.map_or(State::Pending, |standing| standing.state)),
            table::cell(row.version.as_deref()),
            standing
                .and_then(|standing| standing.pushed_at)
                .map_or_else(table::nothing, |at| table::ago(at, now)),
            standing
                .and_then(|standing| standing.next_check)
                .map_or_else(table::nothing, |at| table::ahead(at, now)),
            table::cell(row.ai_llm_id.as_deref()),
            table::plain(row.remark().unwrap_or_default()),
        ]);
    }
    table.to_string()
}
