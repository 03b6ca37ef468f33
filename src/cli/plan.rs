//! `plan`: what a sync would do now. Changes nothing.

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::beside::{self, Basis};
use super::discover::{self, ListedRule};
use super::end::{End, fail, warn};
use super::table::{self, Table};
use super::{rotation, setup};
use crate::config::Config;
use crate::engine::report::{self, KeyReport};
use crate::model::Action;
use crate::state::sqlite::Sqlite;
use crate::state::{self, Request, StateStore};

/// What `plan` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator plan         # what a sync would do now, and when each rotated key is due
  flashback-rotator plan --json  # the same for a script")]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let rows = match beside::load(path).await? {
        Basis::Config(config) => by_configuration(*config).await?,
        Basis::Daemon(daemon) => {
            let keys = Vec::new();
            beside::ask(&*daemon.store, &Request::Plan { keys }).await?
        }
    };
    Ok(show(&rows, args.json))
}

/// Prints the reports of `plan` and `sync`, as a table or as JSON, and the error of each key that failed. Returns the
/// outcome of the command.
pub fn show(rows: &[KeyReport], json: bool) -> End {
    match json {
        true => setup::print(report::document(rows)),
        false => setup::print(render(rows)),
    }
    setup::end_of(rows)
}

async fn by_configuration(config: Config) -> Result<Vec<KeyReport>, End> {
    setup::quiet_log(&config)?;
    let store: Arc<dyn StateStore> = match state::open::beside(&config.state).await.map_err(fail)? {
        Some(store) => store,
        None => Arc::new(Sqlite::in_memory().map_err(fail)?),
    };
    let (outages, stop) = (Arc::new(setup::OnStderr), CancellationToken::new());
    let mut runtime = setup::runtime(config, store.clone(), outages.clone(), &stop).await?;
    if !runtime.config.discover.is_empty() {
        let known = store.discovered().await.map_err(fail)?;
        let (config, listings) = discover::now(&runtime, known).await;
        say_problems(&listings);
        runtime = setup::runtime(config, store, outages, &stop).await?;
    }
    let bar = table::progress(runtime.config.keys.len());
    let rows = runtime.plan(&[], &|| bar.inc(1)).await.map_err(fail)?;
    bar.finish_and_clear();
    Ok(rows)
}

/// Prints what keeps rules from making the keys that they should make.
fn say_problems(listings: &[ListedRule]) {
    for listing in listings {
        let rule = &listing.rule;
        if let Err(error) = &listing.found {
            warn(format!("rule {rule}: {error}"));
        }
        for problem in &listing.problems {
            warn(format!("rule {rule}: {problem}"));
        }
    }
}

/// The table of `plan` and `sync`.
fn render(rows: &[KeyReport]) -> String {
    let mut table = Table::new(&["KEY", "ACTION", "VERSION", "CONFIGURATION", "WHY"]);
    let now = Utc::now();
    for row in rows {
        let reason = table::plain(row.reason.as_deref().unwrap_or_default());
        let why = match &row.rotates {
            Some(rotates) => format!("{reason}; {}", rotation::line(rotates, now)),
            None => reason,
        };
        table.row([
            row.key.to_string(),
            table::action(row.action.unwrap_or(Action::None)),
            table::cell(row.version.as_deref()),
            table::cell(row.ai_llm_id.as_deref()),
            why,
        ]);
    }
    table.to_string()
}
