//! Commands beside a daemon whose configuration file has since become invalid: the daemon goes on with what
//! it had loaded, and answers by that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answers::rows_of;
use super::end::{End, fail, say, warn};
use super::kinds::kinds;
use crate::config::{self, Config, Loaded, Report, StateConfig};
use crate::engine::report::KeyReport;
use crate::model::Daemons;
use crate::state::{self, Request, RequestState, StateStore};

/// The interval at which the daemon's answer is polled.
const POLL: Duration = Duration::from_millis(100);

/// The time limit for a daemon to accept a request.
const TAKEN: Duration = Duration::from_secs(10);

/// The basis on which a command works.
pub enum Basis {
    /// A valid configuration.
    Config(Box<Config>),
    /// A daemon that runs on the state which an invalid configuration names.
    Daemon(Beside),
}

/// A running daemon whose configuration file has become invalid.
pub struct Beside {
    /// The errors in the configuration.
    pub report: Report,
    /// Where the state is.
    pub config: StateConfig,
    /// The state.
    pub store: Arc<dyn StateStore>,
    /// The daemons that work on the state.
    pub daemons: Daemons,
}

/// Loads the configuration. If it is invalid and a daemon runs all the same, a warning says so, and the
/// daemon can be asked instead.
///
/// # Errors
/// Returns [`End::Wrong`] if the configuration is invalid and no daemon runs. Its errors were printed.
pub async fn load(path: Option<&Path>) -> Result<Basis, End> {
    let report = match config::load(path, kinds()) {
        Ok(Loaded { config, .. }) => return Ok(Basis::Config(Box::new(config))),
        Err(report) => report,
    };
    let beside = running(path, report.clone()).await;
    show(&report);
    match beside {
        Some(beside) => {
            warn("the daemon runs on with the configuration that it loaded before");
            Ok(Basis::Daemon(beside))
        }
        None => Err(End::Wrong),
    }
}

/// Prints every error in a configuration.
pub fn show(report: &Report) {
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    say(report.render(colour));
}

async fn running(path: Option<&Path>, report: Report) -> Option<Beside> {
    let config = config::peek(path).state?;
    let store = state::open::beside(&config).await.ok()??;
    let daemons = store.daemons().await.ok()?;
    let alive = daemons.all.iter().any(|daemon| daemon.alive);
    alive.then_some(Beside {
        report,
        config,
        store,
        daemons,
    })
}

/// Asks the daemon to answer a request that changes nothing.
///
/// # Errors
/// Returns [`End::Failed`] if there is no answer. The reason was printed.
pub async fn ask(store: &dyn StateStore, request: &Request) -> Result<Vec<KeyReport>, End> {
    let id = store.submit(request).await.map_err(fail)?;
    let begun = Instant::now();
    loop {
        match store.request_state(id).await.map_err(fail)? {
            RequestState::Answered(answer) => return rows_of(&answer),
            RequestState::Waiting if begun.elapsed() > TAKEN => {
                return Err(fail(
                    "the daemon does not take requests: its log says what it is at",
                ));
            }
            RequestState::Working { .. } if !runs(store).await? => {
                return Err(fail("the daemon stopped before it answered"));
            }
            RequestState::Working { .. } | RequestState::Waiting => {}
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn runs(store: &dyn StateStore) -> Result<bool, End> {
    let daemons = store.daemons().await.map_err(fail)?;
    Ok(daemons.all.iter().any(|daemon| daemon.alive))
}
