//! Those who are told of what happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::credential::{SecretRef, SharedCredential};
use crate::model::ReceiverId;
use crate::notify::{Receiver, Terms};

/// Makes the receivers of a configuration. They are as cheap as their settings: what was sent, and what
/// waits, is the notifier's.
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
