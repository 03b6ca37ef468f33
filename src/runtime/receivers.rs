//! The receivers of notifications.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::credential::{SecretRef, SharedCredential};
use crate::model::ReceiverId;
use crate::notify::{Receiver, Terms};

/// Builds the receivers of a configuration. They hold settings only; the notifier keeps what was sent and what is
/// waiting, so a reload builds them anew.
pub(super) fn receivers(
    config: &Config,
    credential: &dyn Fn(&SecretRef) -> SharedCredential,
) -> BTreeMap<ReceiverId, Arc<Receiver>> {
    let receivers = config.notify.iter().map(|(id, config)| {
        let receiver = Receiver {
            id: id.clone(),
            format: config.format,
            terms: Terms {
                on: config.on.clone(),
                after: config.after,
            },
            url: credential(&config.url),
            secret: config.secret.as_ref().map(credential),
        };
        (id.clone(), Arc::new(receiver))
    });
    receivers.collect()
}
