//! `sync`: checks keys once, now, by the daemon that runs on this state or, if there is none, in this process.

use std::path::Path;
use std::time::Duration;

use super::end::End;
use super::{discover, setup, work};
use crate::state::Request;

/// The time that a daemon has to answer without `--timeout`.
const BESIDE_A_DAEMON: Duration = Duration::from_secs(120);

/// The arguments of `sync`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator sync                      # every key, now
  flashback-rotator sync openai-prod --force  # this one, changed or not
  flashback-rotator sync --timeout 30s        # and no longer than that")]
pub struct Args {
    /// Only these keys
    #[arg(value_name = "KEY")]
    keys: Vec<String>,

    /// Push unchanged keys too, and those that were refused or are held
    #[arg(long)]
    force: bool,

    /// How long to wait. What is not done by then is named, and the exit code is 1: a daemon goes on with
    /// it. Default: 2m beside a daemon, no limit without one
    #[arg(long, value_name = "TIME", value_parser = setup::duration)]
    timeout: Option<Duration>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let config = discover::known(setup::load(path)?.config).await?;
    let keys = setup::known_keys(&config, &args.keys)?;
    let within = args.timeout.unwrap_or(BESIDE_A_DAEMON).as_millis();
    let request = Request::Sync {
        keys,
        force: args.force,
        answer_within_ms: Some(u64::try_from(within).unwrap_or(u64::MAX)),
    };
    work::carry_out("sync", config, &request, args.timeout, args.json).await
}
