//! `rollback`: pushes the previous version again, and holds the newer one.

use std::path::Path;
use std::sync::Arc;

use super::end::{End, fail};
use super::{discover, setup, table, work};
use crate::engine::report::KeyReport;
use crate::state::{self, Request};

/// The arguments of `rollback`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator rollback openai-prod  # the previous version, until there is a newer one")]
pub struct Args {
    /// Which key
    #[arg(value_name = "KEY")]
    key: String,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let config = discover::known(setup::load(path)?.config).await?;
    let mut keys = setup::known_keys(&config, std::slice::from_ref(&args.key))?;
    let key = keys.remove(0);
    let settings = Arc::clone(&config.keys[&key]);
    let state = config.state.clone();
    let request = Request::Rollback { key: key.clone() };
    let end = work::carry_out("rollback", config, &request, None, args.json).await?;
    if matches!(end, End::Done)
        && !args.json
        && let Some(store) = state::open::beside(&state).await.map_err(fail)?
    {
        let record = store.load(&key).await.map_err(fail)?;
        if let Some(words) = stands(&KeyReport::of_record(&key, &settings, &record)) {
            setup::print(format_args!("\n{words}"));
        }
    }
    Ok(end)
}

/// Describes the result: which version is live, which one is held, and how to release it.
fn stands(row: &KeyReport) -> Option<String> {
    let key = &row.key;
    let live = table::plain(row.version.as_deref()?);
    let held = row.standing.as_ref()?.held_version.as_deref()?;
    let held = table::plain(held);
    Some(format!(
        "Version {live} is live. Version {held} is held until the source has another one.\n\
         To release it: flashback-rotator sync {key} --force"
    ))
}
