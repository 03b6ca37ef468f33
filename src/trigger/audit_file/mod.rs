//! `type = "audit-file"`: follows the file of an audit device, which the server writes and this program only reads, so
//! that nothing here can slow the server down.
//!
//! - `follower`: reads on in the file, across its rotation and truncation
//! - `opened`: one file, and how far it was read
//! - `watch`: hears from the kernel that the file was written

mod follower;
mod opened;
mod watch;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::follower::{Follower, Look};
use self::watch::Watch;
use super::audit::Engine;
use super::contract::{Ear, Trigger, TriggerError};
use super::kind::{Context, Kind, TriggerKind};
use crate::setting::settings;
use crate::setting::value_types::place::PATH;
use crate::source::vault::{self, VaultConfig};

/// The file audit device of Vault and OpenBao.
pub const KIND: Kind = Kind {
    name: "audit-file",
    sources: &[vault::KIND.name],
    settings: AuditFileTable::ALL,
    reference: include_str!("reference.toml"),
    implied: |_| None,
    read: |table| Some(Arc::new(AuditFileTable::read(table).finish()?)),
};

settings! {
    /// A trigger of the type `audit-file`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuditFileConfig, read by AuditFileTable {
        /// The file that the server's audit device writes, as JSON.
        path: PathBuf = PATH, Required;
    }
}

/// The time between two looks at a file of whose changes the kernel says nothing, as on a network's file system.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl TriggerKind for AuditFileConfig {
    fn place(&self) -> String {
        format!("the audit log {}", self.path.display())
    }

    fn build(&self, context: Context<'_>) -> Result<Box<dyn Trigger>, TriggerError> {
        let source = context.settings_of::<VaultConfig>();
        let source =
            source.ok_or_else(|| TriggerError("the source has no audit log".to_owned()))?;
        Ok(Box::new(AuditFile {
            path: self.path.clone(),
            engine: Engine::of(source),
        }))
    }
}

struct AuditFile {
    path: PathBuf,
    engine: Engine,
}

#[async_trait]
impl Trigger for AuditFile {
    async fn listen(&mut self, ear: &Ear) -> Result<Infallible, TriggerError> {
        let (path, engine) = (self.path.clone(), self.engine.clone());
        let (watch, mut follower) = blocking(move || {
            // The watch comes first: what is written between the two is read, and a rotation is noticed.
            let watch = Watch::of(&path)?;
            let follower = Follower::at_the_end(path, engine, watch.arrivals())?;
            Ok((watch, follower))
        })
        .await?;
        ear.up();
        loop {
            watch.take()?;
            let its_ear = ear.clone();
            let look;
            (follower, look) = blocking(move || {
                let look = follower.look(&its_ear)?;
                Ok((follower, look))
            })
            .await?;
            if look == Look::AtTheEnd {
                tokio::select! {
                    woken = watch.woken() => woken?,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    }
}

/// Runs work on files, which a slow disk may delay.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TriggerError> + Send + 'static,
) -> Result<T, TriggerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(TriggerError("the program is stopping".to_owned())),
        },
    }
}
