//! `type = "audit-socket"`: listens for the socket audit device of a server, which connects.
//!
//! The server waits for whoever reads its records. So a reader here does nothing but read, and leaves what it has heard
//! where nothing waits.
//!
//! - `listen`: the setting; `listener`: the socket
//! - `senders`: the connections, and whether each change is heard over them

mod listen;
mod listener;
mod senders;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use self::listen::LISTEN;
use self::listener::Listener;
use self::senders::Senders;
use super::audit::Engine;
use super::contract::{Ear, Trigger, TriggerError};
use super::kind::{Context, Kind, TriggerKind};
use crate::setting::settings;
use crate::source::vault::{self, VaultConfig};

pub use self::listen::Listen;

/// The socket audit device of Vault and OpenBao.
pub const KIND: Kind = Kind {
    name: "audit-socket",
    sources: &[vault::KIND.name],
    settings: AuditSocketTable::ALL,
    reference: include_str!("reference.toml"),
    implied: |_| None,
    read: |table| Some(Arc::new(AuditSocketTable::read(table).finish()?)),
};

settings! {
    /// A trigger of the type `audit-socket`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuditSocketConfig, read by AuditSocketTable {
        /// Where the server's audit device connects to: `unix:` and an absolute path, or an IP address and a port.
        listen: Listen = LISTEN, Required;
    }
}

/// The time between two looks whether a Unix socket is still at its path.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl TriggerKind for AuditSocketConfig {
    fn place(&self) -> String {
        format!("the audit socket {}", self.listen)
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn build(&self, context: Context<'_>) -> Result<Box<dyn Trigger>, TriggerError> {
        let source = context.settings_of::<VaultConfig>();
        let source =
            source.ok_or_else(|| TriggerError("the source has no audit device".to_owned()))?;
        Ok(Box::new(AuditSocket {
            listen: self.listen.clone(),
            engine: Engine::of(source),
        }))
    }
}

struct AuditSocket {
    listen: Listen,
    engine: Engine,
}

#[async_trait]
impl Trigger for AuditSocket {
    /// The connections are read in this future, so that none outlives it.
    async fn listen(&mut self, ear: &Ear) -> Result<Infallible, TriggerError> {
        let listener = Listener::bind(&self.listen).await?;
        let senders = Senders::new(ear, &self.engine);
        let mut reading = FuturesUnordered::new();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Some(connection) = accepted? {
                        reading.push(senders.read(connection));
                    }
                }
                Some(()) = reading.next() => {}
                _ = looks.tick() => listener.check()?,
            }
        }
    }
}
