//! What the commands share: the configuration, the state, a fleet to work with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::beside;
use super::end::{End, fail, say, wrong};
use crate::config::{self, Config, Loaded};
use crate::daemon::state::State;
use crate::engine::Changes;
use crate::engine::report::KeyReport;
use crate::lease::LeaseTable;
use crate::model::KeyId;
use crate::runtime::{Runtime, RuntimeContext};
use crate::state::StateStore;
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Outages;

/// Loads the configuration, and shows every mistake in it.
pub fn load(path: Option<&Path>) -> Result<Loaded, End> {
    config::load(path).map_err(|report| {
        beside::show(&report);
        End::Wrong
    })
}

/// Errors only, and none of what happens to keys: the command's own output says that.
pub fn quiet_log(config: &Config) -> Result<(), End> {
    let level = "error,flashback_rotator::engine=off,flashback_rotator::source=off,\
                 flashback_rotator::flashback=off,flashback_rotator::token=off";
    log::init(config.log.format, level).map(drop).map_err(fail)
}

/// Tells outages while the command goes on trying.
pub struct OnStderr;

impl Outages for OnStderr {
    fn unavailable(&self, service: &str, error: &str, _: Duration) {
        say(format!("{service}: {error}; trying again"));
    }

    fn recovered(&self, service: &str, _: Duration) {
        say(format!("{service} answers again"));
    }
}

/// Tells no outages: each call is made once, and the command prints its error.
pub struct InTheResult;

impl Outages for InTheResult {
    fn unavailable(&self, _: &str, _: &str, _: Duration) {}
    fn recovered(&self, _: &str, _: Duration) {}
}

/// Everything the configuration asks for, over this state. Looks break off when `stop` is
/// cancelled; a push in flight does not.
pub async fn runtime(
    config: Config,
    store: Arc<dyn StateStore>,
    outages: Arc<dyn Outages>,
    stop: &CancellationToken,
) -> Result<Runtime, End> {
    let state = State {
        store,
        leases: Arc::new(LeaseTable::alone()),
        shared: None,
    };
    fleet_over(config, &state, outages, stop).await
}

/// The same over a state that others may share.
pub async fn fleet_over(
    config: Config,
    state: &State,
    outages: Arc<dyn Outages>,
    stop: &CancellationToken,
) -> Result<Runtime, End> {
    let context = RuntimeContext {
        fingerprinter: state.store.fingerprinter().await.map_err(fail)?,
        store: state.store.clone(),
        leases: state.leases.clone(),
        replica: state.name(),
        metrics: Arc::new(Metrics::new()),
        checks: Arc::default(),
        outages,
        changes: Changes::default(),
        stop: stop.clone(),
        // A `sync` that cron runs is no reason to try again what was refused.
        since: DateTime::<Utc>::MIN_UTC,
    };
    Runtime::build(Arc::new(config), &context, None).map_err(fail)
}

/// Reads a length of time of the command line, as the configuration writes one.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "write a length of time such as 30s, 5m or 1h 30m")
}

/// The keys that were named, if each is in the configuration.
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

/// What to say of a key that is not in the configuration.
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

/// Prints one line to stdout. A reader that went away (`| head`) is no error; a disk that is full
/// is, and is told.
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

/// Names each key that failed on stderr; the exit code that follows.
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
