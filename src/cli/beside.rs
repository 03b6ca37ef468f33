//! What commands do beside a daemon whose configuration file has since been broken: the daemon goes on with
//! what it had loaded, and answers by that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answers::rows_of;
use super::end::{End, fail, say, warn};
use crate::config::{self, Config, Loaded, Report, StateConfig};
use crate::engine::report::KeyReport;
use crate::model::Daemons;
use crate::state::{self, Request, RequestState, StateStore};

/// How often the answer of a daemon is looked for.
const POLL: Duration = Duration::from_millis(100);

/// How long a daemon may take to take a request.
const TAKEN: Duration = Duration::from_secs(10);

/// What a command has to go by.
pub enum Basis {
    /// A configuration.
    Config(Box<Config>),
    /// A daemon that runs on the state which a broken configuration names.
    Daemon(Beside),
}

/// A daemon beside which the configuration is broken.
pub struct Beside {
    /// What is wrong with the configuration.
    pub report: Report,
    /// Where the state is.
    pub config: StateConfig,
    /// The state.
    pub store: Arc<dyn StateStore>,
    /// Who works on it.
    pub daemons: Daemons,
}

/// Loads the configuration. Where it is broken and a daemon runs all the same, that is said, and the
/// daemon is there to be asked.
///
/// # Errors
/// Every mistake in the configuration was shown, and no daemon runs.
pub async fn load(path: Option<&Path>) -> Result<Basis, End> {
    let report = match config::load(path) {
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

/// Shows every mistake in a configuration.
pub fn show(report: &Report) {
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    say(report.render(colour));
}

async fn running(path: Option<&Path>, report: Report) -> Option<Beside> {
    let config = config::peek(path).state?;
    let store = state::open_beside(&config).await.ok()??;
    let daemons = store.daemons().await.ok()?;
    let alive = daemons.all.iter().any(|daemon| daemon.alive);
    alive.then_some(Beside {
        report,
        config,
        store,
        daemons,
    })
}

/// Has the daemon answer a request that changes nothing.
///
/// # Errors
/// It was said why there is no answer.
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
