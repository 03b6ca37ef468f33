//! The event notifications of Vault Enterprise, over a WebSocket
//! (<https://developer.hashicorp.com/vault/api-docs/system/events>).
//!
//! Written from HashiCorp's documentation, and tested against a server that was made after it.
//!
//! - `event`: what a notification says; `listen`: the trigger

mod event;
mod listen;

use std::sync::Arc;

use super::contract::{Trigger, TriggerError};
use super::kind::{Context, Kind, TriggerKind};
use crate::source::vault::{Subscriber, VaultConfig};
use listen::Listener;

/// The event notifications of Vault Enterprise. They have no settings: address, namespace and sign-in are the source's.
pub const KIND: Kind = Kind {
    name: "subscribe",
    sources: &["vault"],
    settings: &[],
    reference: "",
    implied: |_| None,
    read: |_| Some(Arc::new(Subscribe)),
};

/// A subscription to the events of the source's Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe;

impl TriggerKind for Subscribe {
    fn place(&self) -> String {
        "the event notifications of Vault Enterprise".to_owned()
    }

    fn build(&self, context: Context<'_>) -> Result<Box<dyn Trigger>, TriggerError> {
        let Some(source) = context.settings_of::<VaultConfig>() else {
            return Err(TriggerError(
                "only Vault has event notifications".to_owned(),
            ));
        };
        let subscriber = Subscriber::new(source, context.secret);
        let subscriber = subscriber.map_err(|error| TriggerError(error.to_string()))?;
        Ok(Box::new(Listener::new(subscriber, source)))
    }
}
