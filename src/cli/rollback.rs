//! `rollback`: the previous version goes back in, and the newer one is held.

use std::path::Path;

use super::{End, desk, work};
use crate::store::Request;

/// What `rollback` takes.
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

pub async fn run(path: Option<&Path>, args: &Args) -> End {
    match rollback(path, args).await {
        Ok(end) | Err(end) => end,
    }
}

async fn rollback(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let config = desk::load(path)?.config;
    let mut keys = desk::known_keys(&config, std::slice::from_ref(&args.key))?;
    let request = Request::Rollback {
        key: keys.remove(0),
    };
    work::carry_out("rollback", config, &request, None, args.json).await
}
