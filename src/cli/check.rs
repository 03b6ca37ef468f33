//! `check`: validates the configuration, and with `--connect` everything it points at.

mod connect;
mod crowded;
mod events;
mod report;

use std::path::Path;

use self::crowded::crowded;
use super::end::{End, fail, warn};
use super::setup;
use crate::config::{Loaded, exposed};

/// The arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator check            # the configuration alone
  flashback-rotator check --connect  # sign in everywhere, and look at each key")]
pub struct Args {
    /// Also sign in to every source, provider and Flashback, listen to events, and read each key's metadata; changes nothing
    #[arg(long)]
    connect: bool,
    /// With --connect: also read each key's value, to see that its fields are there and look like a key; shows none
    #[arg(long, requires = "connect")]
    read: bool,
    /// With --connect: print one JSON document
    #[arg(long, requires = "connect")]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let Loaded {
        config,
        files,
        warnings,
        ..
    } = setup::load(path)?;
    for warning in warnings.iter().chain(&exposed(&config)) {
        warn(warning);
    }
    if !args.json {
        let files = files.iter().map(|file| file.display().to_string());
        setup::print(format!(
            "{} is valid: {} and {}",
            files.collect::<Vec<_>>().join(", "),
            report::count(config.keys.len(), "key"),
            report::count(config.sources.len(), "source"),
        ));
    }
    let is_rotated = config.keys.values().any(|key| key.rotate.is_some());
    if !args.connect && !is_rotated {
        return Ok(End::Done);
    }
    setup::quiet_log(&config)?;
    let base_url = config.flashback.base_url.clone();
    let runtime = setup::runtime_without_state(config).await?;
    crowded(&runtime).iter().for_each(warn);
    if !args.connect {
        return Ok(End::Done);
    }
    let report = connect::connect(&runtime, base_url, args.read).await;
    match args.json {
        true => setup::print(report.document()),
        false => setup::print(report.table()),
    }
    let failures = report.failures();
    for failure in &failures {
        fail(failure);
    }
    Ok(match failures.is_empty() {
        true => End::Done,
        false => End::Failed,
    })
}
