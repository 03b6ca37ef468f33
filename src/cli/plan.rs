//! `plan`: what a sync would do now. Changes nothing.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::beside::{self, Basis};
use super::end::{End, fail};
use super::setup;
use super::table::{self, Table};
use crate::config::Config;
use crate::engine::report::{self, KeyReport};
use crate::model::Action;
use crate::state::sqlite::Sqlite;
use crate::state::{self, Request};

/// What `plan` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator plan         # what a sync would do now
  flashback-rotator plan --json  # the same for a script")]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> End {
    match plan(path, args).await {
        Ok(end) | Err(end) => end,
    }
}

async fn plan(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let rows = match beside::load(path).await? {
        Basis::Config(config) => by_configuration(*config).await?,
        Basis::Daemon(daemon) => {
            let keys = Vec::new();
            beside::ask(&*daemon.store, &Request::Plan { keys }).await?
        }
    };
    if args.json {
        setup::print(report::document(&rows));
    } else {
        setup::print(render(&rows));
    }
    Ok(setup::end_of(&rows))
}

async fn by_configuration(config: Config) -> Result<Vec<KeyReport>, End> {
    setup::quiet_log(&config)?;
    let store = match state::open::beside(&config.state).await.map_err(fail)? {
        Some(store) => store,
        None => Arc::new(Sqlite::in_memory().map_err(fail)?),
    };
    let total = config.keys.len();
    let runtime = setup::runtime(
        config,
        store,
        Arc::new(setup::OnStderr),
        &CancellationToken::new(),
    )
    .await?;
    let bar = table::progress(total);
    let rows = runtime.plan(&[], &|| bar.inc(1)).await.map_err(fail)?;
    bar.finish_and_clear();
    Ok(rows)
}

/// The table of `plan` and `sync`.
pub fn render(rows: &[KeyReport]) -> String {
    let mut table = Table::new(&["KEY", "ACTION", "VERSION", "CONFIGURATION", "WHY"]);
    for row in rows {
        table.row([
            row.key.to_string(),
            table::action(row.action.unwrap_or(Action::None)),
            table::cell(row.version.as_deref()),
            table::cell(row.ai_llm_id.as_deref()),
            table::plain(row.reason.as_deref().unwrap_or_default()),
        ]);
    }
    table.to_string()
}
