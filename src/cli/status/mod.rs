//! `status`: prints how the daemon, Flashback, the sources and the keys stand, from the state.

mod key;
mod screen;

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;

use super::beside::{self, Basis, Beside};
use super::end::{End, fail, wrong};
use super::{discover, setup};
use crate::config::{self, Config};
use crate::engine::report::KeyReport;
use crate::model::{Daemons, KeyId};
use crate::state::{self, Request};
use crate::status::{Configured, Parts, State, Status, absolute};

pub use self::screen::keys;

/// The interval at which `--watch` prints the status again.
const AGAIN: Duration = Duration::from_secs(2);

/// The escape sequences that clear a terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// The number of entries of a key's history that are shown with it.
const EVENTS: u32 = 5;

/// The arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator status              # for people
  flashback-rotator status openai-prod  # one key in full
  flashback-rotator status --watch      # again every two seconds
  flashback-rotator status --json       # for scripts")]
pub struct Args {
    /// Show this key in full
    #[arg(value_name = "KEY")]
    key: Option<String>,

    /// Show it again every two seconds, until it is interrupted
    #[arg(long)]
    watch: bool,

    /// Print one JSON document; with --watch, one a line each time
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> Result<End, End> {
    loop {
        let end = status(path, args).await;
        // Wrong arguments and an invalid configuration do not get right by themselves.
        if !args.watch || matches!(end, Err(End::Wrong)) {
            return end;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn status(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let basis = beside::load(path).await?;
    let (mut status, store) = match &basis {
        Basis::Config(config) => by_configuration(config, path).await?,
        Basis::Daemon(daemon) => by_daemon(daemon, path).await?,
    };
    let key = match &args.key {
        Some(name) => Some(the_key(&mut status, &basis, name)?),
        None => None,
    };
    if args.json {
        let document = serde_json::to_string(&status);
        setup::print(document.map_err(|error| fail(error.to_string()))?);
    } else {
        let history = match (&key, &store) {
            (Some(key), Some(store)) => store
                .history(Some(key), None, Some(EVENTS))
                .await
                .map_err(fail)?,
            _ => Vec::new(),
        };
        let shown = match status.keys.first().filter(|_| key.is_some()) {
            Some(row) => key::screen(&status, row, &history),
            None => screen::screen(&status),
        };
        match args.watch && std::io::stdout().is_terminal() {
            true => setup::print(format_args!("{CLEAR}{shown}")),
            false => setup::print(shown),
        }
    }
    Ok(match status.is_well() {
        true => End::Done,
        false => End::Failed,
    })
}

type Found = (Status, Option<std::sync::Arc<dyn state::StateStore>>);

async fn by_configuration(config: &Config, path: Option<&Path>) -> Result<Found, End> {
    let path = config::locate(path);
    let Some(store) = state::open::beside(&config.state).await.map_err(fail)? else {
        let status = Status::new(Parts {
            state: State::new(&config.state, false),
            path: absolute(&path),
            error: None,
            sources: config.sources.keys().cloned().collect(),
            daemons: Daemons::none(Utc::now()),
            rows: KeyReport::of_records(&config.keys, Vec::new()),
        });
        return Ok((status, None));
    };
    let config = &discover::known_to(&*store, config.clone()).await?;
    let configured = Configured {
        path: &path,
        state: &config.state,
        sources: config.sources.keys().cloned().collect(),
        keys: &config.keys,
    };
    let status = Status::read(&*store, configured).await.map_err(fail)?;
    Ok((status, Some(store)))
}

async fn by_daemon(daemon: &Beside, path: Option<&Path>) -> Result<Found, End> {
    let keys = Vec::new();
    let rows = beside::ask(&*daemon.store, &Request::Status { keys }).await?;
    let status = Status::new(Parts {
        state: State::new(&daemon.config, true),
        path: absolute(&config::locate(path)),
        error: daemon.report.to_string().lines().next().map(str::to_owned),
        sources: Vec::new(),
        daemons: daemon.daemons.clone(),
        rows,
    });
    Ok((status, Some(daemon.store.clone())))
}

/// Removes every key but the one of this name from the status.
fn the_key(status: &mut Status, basis: &Basis, name: &str) -> Result<KeyId, End> {
    let key = KeyId::new(name);
    status.keys.retain(|row| row.key == key);
    match (status.keys.is_empty(), basis) {
        (false, _) => Ok(key),
        (true, Basis::Config(config)) => Err(wrong(setup::unknown_key(config, name))),
        (true, Basis::Daemon(_)) => Err(wrong(format!("the daemon has no key `{name}`"))),
    }
}
