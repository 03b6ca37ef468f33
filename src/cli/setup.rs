//! The functions that the commands share: loading the configuration, building the runtime, and printing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::beside;
use super::end::{End, fail, say, wrong};
use super::kinds::kinds;
use crate::config::{self, Config, Loaded};
use crate::daemon::state::State;
use crate::engine::Changes;
use crate::engine::report::KeyReport;
use crate::model::KeyId;
use crate::runtime::{self, Runtime, RuntimeContext};
use crate::state::sqlite::Sqlite;
use crate::state::{StateError, StateStore};
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;
use crate::trigger::Feed;
use crate::upstream::{Outages, Unreported};

/// Loads the configuration, and prints every error in it.
pub fn load(path: Option<&Path>) -> Result<Loaded, End> {
    config::load(path, kinds()).map_err(|report| {
        beside::show(&report);
        End::Wrong
    })
}

/// Sets up a log of errors only, without those about keys: the command prints them itself.
pub fn quiet_log(config: &Config) -> Result<(), End> {
    let level = "error,flashback_rotator::engine=off,flashback_rotator::source=off,\
                 flashback_rotator::flashback=off,flashback_rotator::token=off";
    log::init(config.log.format, level).map(drop).map_err(fail)
}

/// Prints outages while the command goes on trying.
pub struct OnStderr;

impl Outages for OnStderr {
    fn unavailable(&self, service: &str, error: &str, _: Duration) {
        say(format!("{service}: {error}; trying again"));
    }

    fn recovered(&self, service: &str, _: Duration) {
        say(format!("{service} answers again"));
    }
}

/// Builds the runtime of a configuration over an empty state in memory, for commands that look at what is configured.
pub async fn runtime_without_state(config: Config) -> Result<Runtime, End> {
    let store = Sqlite::in_memory().map_err(fail)?;
    let (outages, stop) = (Arc::new(Unreported), CancellationToken::new());
    runtime(config, Arc::new(store), outages, &stop).await
}

/// Builds the runtime of a configuration over a state that no other process works on. Reconcile runs are
/// broken off when `stop` is cancelled; a push in flight is not.
pub async fn runtime(
    config: Config,
    store: Arc<dyn StateStore>,
    outages: Arc<dyn Outages>,
    stop: &CancellationToken,
) -> Result<Runtime, End> {
    runtime_over(config, &State::unshared(store), outages, stop).await
}

/// Builds the runtime of a configuration over a state that other processes may share.
pub async fn runtime_over(
    config: Config,
    state: &State,
    outages: Arc<dyn Outages>,
    stop: &CancellationToken,
) -> Result<Runtime, End> {
    let context = context(state, outages, stop).await.map_err(fail)?;
    runtime::build(Arc::new(config), &context, None).map_err(fail)
}

/// Returns what a runtime is built over beside its configuration.
///
/// # Errors
/// Returns the error of the state.
pub async fn context(
    state: &State,
    outages: Arc<dyn Outages>,
    stop: &CancellationToken,
) -> Result<RuntimeContext, StateError> {
    let metrics = Arc::new(Metrics::new());
    Ok(RuntimeContext {
        fingerprinter: state.store.fingerprinter().await?,
        store: state.store.clone(),
        leases: state.leases.clone(),
        replica: state.name(),
        feed: Arc::new(Feed::new(Arc::clone(&metrics))),
        metrics,
        checks: Arc::default(),
        outages,
        told: Arc::default(),
        changes: Changes::default(),
        stop: stop.clone(),
        // A `sync` that cron runs is no reason to try again what was refused before.
        since: DateTime::<Utc>::MIN_UTC,
    })
}

/// Parses a length of time given on the command line, in the format of the configuration.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "write a length of time such as 30s, 5m or 1h 30m")
}

/// Returns the keys with these names, or [`End::Wrong`] if one of them is not in the configuration.
pub fn known_keys(config: &Config, names: &[String]) -> Result<Vec<KeyId>, End> {
    let mut keys = Vec::new();
    for name in names {
        let key = KeyId::new(name);
        if !config.keys.contains_key(&key) {
            return Err(wrong(unknown_key(config, name)));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Returns the error for a key that is not in the configuration, with the most similar name there.
pub fn unknown_key(config: &Config, name: &str) -> String {
    let nearest = config
        .keys
        .keys()
        .map(|key| (strsim::damerau_levenshtein(key.as_str(), name), key))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, key)) => format!("no key `{name}` in the configuration; did you mean `{key}`?"),
        None => format!("no key `{name}` in the configuration; `status` lists its keys"),
    }
}

/// Prints a line on standard output. It is no error if nothing reads it any more (`| head`); that the disk is
/// full is one, and is printed.
pub fn print(text: impl std::fmt::Display) {
    use std::io::Write as _;
    let mut stdout = anstream::stdout();
    let printed = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    if let Err(error) = printed
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        fail(format!("cannot write to standard output: {error}"));
    }
}

/// Prints the error of each key that failed on standard error. Returns the outcome of the command.
pub fn end_of(rows: &[KeyReport]) -> End {
    let mut end = End::Done;
    for row in rows {
        if let Some(error) = &row.error {
            fail(format!("{}: {error}", row.key));
            end = End::Failed;
        }
    }
    end
}
