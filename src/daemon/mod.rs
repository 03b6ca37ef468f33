//! The daemon's life: start, reload, drain, stop.
//!
//! The daemon refuses to start, and says why, if it could not do its work: the state is in use, the port is
//! taken, or a secret reference can never resolve ([`unresolvable`]). Once started, only a signal ends it:
//! failures are retried, an invalid new configuration is refused, and a check that panics is logged and repeated.

mod assignments;
mod command_server;
pub(crate) mod discovery;
mod edits;
mod events;
mod exposed;
mod heartbeat;
mod installer;
mod life;
mod notifier;
mod overview;
mod reload;
mod services;
mod signals;
mod start_error;
pub(crate) mod state;
pub(crate) mod status_source;
mod systemd;
mod unresolvable;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::config::{Config, Loaded};
use crate::telemetry::log::Handle;

use life::Start;
use signals::Signals;
use state::State;

pub use self::start_error::StartError;

/// Runs the daemon until a signal to stop. `path` is the configuration that `loaded` was read from, and is
/// watched for changes.
///
/// # Errors
/// Returns [`StartError`] if the daemon could not start; nothing was changed then.
pub async fn run(path: PathBuf, loaded: Loaded, log: Handle) -> Result<(), StartError> {
    let mut signals = Signals::catch().map_err(StartError::Signals)?;
    // The state is opened before the port: where another daemon runs, that is the error to report.
    let state = tokio::select! {
        state = open_state(&loaded.config) => state?,
        () = signals.stop() => return Ok(()),
    };
    unresolvable::check(&loaded.config, state.store.as_ref()).await?;
    let listener = listen(loaded.config.http.listen).await?;
    let start = Start {
        path,
        config: Arc::new(loaded.config),
        warnings: loaded.warnings,
        digest: loaded.digest,
        log,
        state,
        listener,
    };
    let daemon = start.run().await?;
    let signal = signals.live(&daemon.hangups).await;
    daemon.stop(signal, &mut signals).await;
    Ok(())
}

async fn open_state(config: &Config) -> Result<State, StartError> {
    unresolvable::check_state(config).await?;
    Ok(State::open(&config.state).await?)
}

async fn listen(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let bound = TcpListener::bind(address).await;
    bound
        .and_then(TcpListener::into_std)
        .map_err(|error| StartError::Listen {
            address,
            reason: error.to_string(),
        })
}
