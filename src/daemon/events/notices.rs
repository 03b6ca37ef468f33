//! Takes the notices of `POST /notify` as a trigger takes what it hears.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::credential::SecretRef;
use crate::http::{Notice, NoticeTaker, Refusal};
use crate::runtime::RuntimeHandle;
use crate::secret::Secret;
use crate::trigger::{Feed, Heard};

/// The time for which the token is kept before it is read again. Requests with wrong tokens read nothing meanwhile.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// Leaves what notices say in the feed.
pub struct Notices {
    runtime: Arc<RuntimeHandle>,
    feed: Arc<Feed>,
    token: Mutex<Option<Kept>>,
}

/// A token that was read.
struct Kept {
    from: SecretRef,
    at: Instant,
    token: Option<Secret>,
}

impl Notices {
    /// Returns a taker of notices for this runtime.
    pub fn new(runtime: Arc<RuntimeHandle>, feed: Arc<Feed>) -> Self {
        Self {
            runtime,
            feed,
            token: Mutex::default(),
        }
    }

    async fn authorize(&self, presented: Option<&str>) -> Result<(), Refusal> {
        let runtime = self.runtime.load();
        let Some(from) = &runtime.config.http.notify_token else {
            return Err(Refusal::Off);
        };
        let Some(presented) = presented else {
            return Err(Refusal::Unauthorized);
        };
        let mut kept = self.token.lock().await;
        let is_current = |kept: &&Kept| kept.from == *from && kept.at.elapsed() < KEPT_FOR;
        if kept.as_ref().filter(is_current).is_none() {
            let read = runtime.credential(from).fetch().await;
            if let Err(error) = &read {
                tracing::warn!(%error, "the token for POST /notify cannot be read");
            }
            *kept = Some(Kept {
                from: from.clone(),
                at: Instant::now(),
                token: read.ok(),
            });
        }
        let Some(token) = kept.as_ref().and_then(|kept| kept.token.as_ref()) else {
            return Err(Refusal::Unavailable);
        };
        // Digests are compared, so that the time it takes tells nothing of the token.
        let fingerprinter = &runtime.engine.fingerprinter;
        let presented = fingerprinter.secret(&Secret::new(presented.to_owned()));
        match presented == fingerprinter.secret(token) {
            true => Ok(()),
            false => Err(Refusal::Unauthorized),
        }
    }
}

#[async_trait]
impl NoticeTaker for Notices {
    async fn take(&self, token: Option<&str>, notice: Notice) -> Result<(), Refusal> {
        self.authorize(token).await?;
        let runtime = self.runtime.load();
        let (source, path) = match notice {
            Notice::Secret { source, path } => (source, path),
            Notice::Key { key } => match runtime.managed_keys.get(&key) {
                Some(managed) => {
                    let origin = &managed.config.origin;
                    (origin.source.clone(), origin.path.clone())
                }
                None => return Err(Refusal::Unknown("key")),
            },
        };
        if !runtime.config.sources.contains_key(&source) {
            return Err(Refusal::Unknown("source"));
        }
        self.feed.heard(&source, Heard::of(path));
        Ok(())
    }
}
