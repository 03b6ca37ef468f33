//! What this process may work on, and until when.
//!
//! Flashback cannot refuse a writer who is late. So whoever writes has to know that the key is its
//! own, and has to be done before it may be somebody else's: [`Holdings::write`] lets a write go on only
//! as long as the lease lasts, and what was begun and not seen to end is a *stray*, which the state
//! is told of as soon as it answers. `model` walks through every order of what may happen meanwhile.
//!
//! Time is measured from before a renewal was asked for, by this process's own monotonic clock: the
//! state began to count later, so the lease is over here before it is over there.

mod tenure;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::tenure::Tenure;
use crate::model::{Fence, Hold, KeyId, ReplicaId};

/// The keys this process holds.
#[derive(Debug)]
pub struct Holdings(Option<Shared>);

#[derive(Debug)]
struct Shared {
    tenure: Mutex<Tenure>,
    /// Something was lost: whoever writes looks whether it was theirs.
    lost: watch::Sender<()>,
}

/// The key is not this process's any more, or may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl Holdings {
    /// One process has all the keys, for good.
    pub fn alone() -> Self {
        Self(None)
    }

    /// Several share them; this one holds none yet.
    pub fn shared() -> Self {
        Self(Some(Shared {
            tenure: Mutex::default(),
            lost: watch::Sender::new(()),
        }))
    }

    /// It has joined under this number, and holds nothing.
    pub fn joined(&self, replica: ReplicaId) {
        self.losing(|tenure| tenure.joined(replica));
    }

    /// A lease of this length was given. It was asked for at `asked_at`.
    pub fn renewed(&self, asked_at: Instant, lease: Duration) {
        if let Some(mut tenure) = self.tenure() {
            tenure.renewed(asked_at, lease);
        }
    }

    /// These were claimed.
    pub fn claimed(&self, claims: impl IntoIterator<Item = (KeyId, Fence)>) {
        if let Some(mut tenure) = self.tenure() {
            tenure.claimed(claims);
        }
    }

    /// It holds this key no more.
    pub fn gave_up(&self, key: &KeyId) {
        self.losing(|tenure| tenure.gave_up(key));
    }

    /// It was struck out: it holds nothing any more.
    pub fn struck_out(&self) {
        self.losing(Tenure::struck_out);
    }

    /// The keys it holds; `None` for all there are.
    pub fn keys(&self) -> Option<BTreeSet<KeyId>> {
        self.tenure().map(|tenure| tenure.keys())
    }

    /// Whether there are others who hold keys.
    pub fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the key is held.
    pub fn has(&self, key: &KeyId) -> bool {
        self.tenure().is_none_or(|tenure| tenure.has(key))
    }

    /// Whether the key is held under this very claim.
    pub fn holds(&self, key: &KeyId, hold: Option<Hold>) -> bool {
        self.tenure().is_none_or(|tenure| tenure.holds(key, hold))
    }

    /// Lets a write to Flashback go on as long as the key is held under `hold`, and lets nothing of it
    /// leave after that. The lease may be renewed meanwhile.
    ///
    /// # Errors
    /// [`Lost`]: the lease is over, and what became of the write is not known.
    pub async fn write<T>(
        &self,
        key: &KeyId,
        hold: Option<Hold>,
        write: impl Future<Output = T>,
    ) -> Result<T, Lost> {
        let Some(shared) = &self.0 else {
            return Ok(write.await);
        };
        let mut lost = shared.lost.subscribe();
        let mut write = pin!(write);
        loop {
            let may_write = || shared.tenure().may_write(key, hold, Instant::now());
            let until = may_write().ok_or(Lost)?;
            // A process that was stopped for a while comes back to this question first.
            let go_on = poll_fn(|context| match may_write() {
                Some(_) => write.as_mut().poll(context).map(Ok),
                None => Poll::Ready(Err(Lost)),
            });
            tokio::select! {
                biased;
                answer = go_on => return answer,
                // The sender lives as long as this borrow of it.
                _ = lost.changed() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// A write of this key was begun, and may have been carried out after the lease was over.
    pub fn stray(&self, key: &KeyId) {
        if let Some(mut tenure) = self.tenure() {
            tenure.stray(key);
        }
    }

    /// Takes the strays that the state was not told of yet. Whoever fails at telling puts them back.
    pub fn take_strays(&self) -> BTreeSet<KeyId> {
        self.tenure()
            .map(|mut tenure| tenure.take_strays())
            .unwrap_or_default()
    }

    fn losing(&self, change: impl FnOnce(&mut Tenure)) {
        if let Some(shared) = &self.0 {
            change(&mut shared.tenure());
            shared.lost.send_replace(());
        }
    }

    fn tenure(&self) -> Option<MutexGuard<'_, Tenure>> {
        self.0.as_ref().map(Shared::tenure)
    }
}

impl Shared {
    fn tenure(&self) -> MutexGuard<'_, Tenure> {
        self.tenure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
