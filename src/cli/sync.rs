//! `sync`: one pass now, by the daemon that runs on this state or, without one, by itself.

use std::path::Path;

use super::{End, desk, work};
use crate::store::Request;

/// What `sync` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these keys
    #[arg(value_name = "KEY")]
    keys: Vec<String>,

    /// Push unchanged keys too, and those that were refused or are held
    #[arg(long)]
    force: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> End {
    match sync(path, args).await {
        Ok(end) | Err(end) => end,
    }
}

async fn sync(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let config = desk::load(path)?.config;
    let keys = desk::known_keys(&config, &args.keys)?;
    let force = args.force;
    work::carry_out("sync", config, &Request::Sync { keys, force }, args.json).await
}
