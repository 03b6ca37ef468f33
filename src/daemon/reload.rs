//! Puts a changed configuration in force without a restart, and refuses an invalid one.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::events::Listeners;
use super::exposed;
use super::installer::Installer;
use super::status_source::DaemonStatusSource;
use super::systemd;
use crate::config::{self, Digest, Loaded};
use crate::failpoint;
use crate::runtime::{Runtime, RuntimeHandle};
use crate::telemetry::event;
use crate::telemetry::log::Handle;

/// The interval at which the configuration is read and compared with the one in force. This detects every way of
/// changing it: in place, by rename, or by the swap of a mounted directory.
const POLL: Duration = Duration::from_secs(1);

/// The error of a reload that panicked.
const PANICKED: &str = "putting it in force panicked: this is a bug, please report it";

/// Watches the configuration and reloads it.
pub struct Reloader {
    path: PathBuf,
    /// The digest of what was last loaded or refused; `None` if it could not be read.
    known: Option<Digest>,
    /// The digest at the last poll, if it was not `known`: a file that is being written or replaced is left
    /// alone until it stays the same.
    seen: Option<Option<Digest>>,
    runtime: Arc<RuntimeHandle>,
    installer: Arc<Installer>,
    listeners: Listeners,
    status_source: Arc<DaemonStatusSource>,
    log: Handle,
}

impl Reloader {
    pub fn new(
        path: PathBuf,
        known: Digest,
        runtime: Arc<RuntimeHandle>,
        installer: Arc<Installer>,
        listeners: Listeners,
        status_source: Arc<DaemonStatusSource>,
        log: Handle,
    ) -> Self {
        Self {
            path,
            known: Some(known),
            seen: None,
            runtime,
            installer,
            listeners,
            status_source,
            log,
        }
    }

    /// Watches until the future is dropped. Each of `hangups` is a SIGHUP; several during a reload count as one.
    pub async fn watch(&mut self, hangups: &Notify) {
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = hangups.notified() => self.reload("SIGHUP").await,
                _ = poll.tick() => self.poll().await,
            }
        }
    }

    /// Reloads once the configuration has changed and stayed the same for one poll.
    async fn poll(&mut self) {
        failpoint::reach("config_polled");
        let path = self.path.clone();
        let digest = tokio::task::spawn_blocking(move || config::digest(&path).ok());
        let Ok(now) = digest.await else { return };
        if now == self.known {
            self.seen = None;
        } else if self.seen == Some(now) {
            self.seen = None;
            self.reload("the configuration changed").await;
        } else {
            self.seen = Some(now);
        }
    }

    /// Loads the configuration and puts it in force, or reports what is wrong with it.
    async fn reload(&mut self, why: &'static str) {
        systemd::reloading().await;
        if AssertUnwindSafe(self.load(why))
            .catch_unwind()
            .await
            .is_err()
        {
            self.rejected(PANICKED);
        }
        systemd::reloaded(&self.runtime.load(), &self.status_source).await;
    }

    async fn load(&mut self, why: &'static str) {
        let path = self.path.clone();
        let kinds = self.runtime.load().config.kinds;
        let loaded = tokio::task::spawn_blocking(move || {
            let digest = config::digest(&path);
            (digest, config::load(Some(&path), kinds))
        });
        let Ok((digest, loaded)) = loaded.await else {
            return self.rejected(PANICKED);
        };
        self.known = digest.ok();
        match loaded {
            Err(report) => self.rejected(&report.to_string()),
            Ok(loaded) => self.put_in_force(&loaded, why),
        }
    }

    fn put_in_force(&mut self, loaded: &Loaded, why: &'static str) {
        self.known = Some(loaded.digest);
        failpoint::reach("config_loaded");
        let level = loaded.config.log.level.clone();
        let accept = |_: &Runtime| {
            self.log
                .set_level(&level)
                .map_err(|error| error.to_string())
        };
        let installed = match self.installer.reload(&loaded.config, accept) {
            Ok(installed) => installed,
            Err(error) => return self.rejected(&error),
        };
        let (old, new) = (&installed.old, &installed.new);
        self.status_source.accepted();
        new.engine.metrics.reload("accepted");
        tracing::info!(
            event = event::CONFIG_RELOADED,
            reason = why,
            keys = new.managed_keys.len(),
            added = installed.added.len(),
            changed = installed.changed.len(),
            removed = installed.removed.len(),
            "the configuration was reloaded"
        );
        for warning in loaded.warnings.iter().chain(&needs_restart(old, new)) {
            tracing::warn!("{warning}");
        }
        exposed::warn(Arc::clone(&new.config));
        self.listeners.renew();
        // Keys that failed before may succeed with the new configuration.
        self.installer.assignments().scheduler().recovered(None);
    }

    fn rejected(&self, error: &str) {
        self.status_source.rejected(error);
        self.runtime.load().engine.metrics.reload("rejected");
        tracing::error!(
            event = event::CONFIG_REJECTED,
            config = %self.path.display(),
            error,
            "the new configuration is refused; the old one goes on"
        );
    }
}

/// Returns a warning for each changed setting that takes effect only after a restart.
fn needs_restart(old: &Runtime, new: &Runtime) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut note = |changed: bool, setting: &str| {
        if changed {
            warnings.push(format!(
                "{setting} was changed: it takes effect with the next start"
            ));
        }
    };
    note(old.config.state != new.config.state, "[state]");
    note(old.config.http != new.config.http, "[http] listen");
    note(
        old.config.log.format != new.config.log.format,
        "[log] format",
    );
    warnings
}
