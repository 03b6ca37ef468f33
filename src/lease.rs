//! What this process may work on, and until when.
//!
//! Flashback cannot refuse a writer who is late. So whoever writes has to know that the key is its
//! own, and has to be done before it may be somebody else's: [`LeaseTable::write`] lets a write go on only
//! as long as the lease lasts, and what was begun and not seen to end is a *stray*, which the state
//! is told of as soon as it answers. `model` walks through every order of what may happen meanwhile.
//!
//! Time is measured from before a renewal was asked for, by this process's own monotonic clock: the
//! state began to count later, so the lease is over here before it is over there.

mod held;

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

use self::held::HeldLeases;
use crate::model::{FencingToken, KeyId, Lease, ReplicaId};

/// The keys this process holds.
#[derive(Debug)]
pub struct LeaseTable(Option<Shared>);

#[derive(Debug)]
struct Shared {
    held: Mutex<HeldLeases>,
    /// Something was lost: whoever writes looks whether it was theirs.
    lost: watch::Sender<()>,
}

/// The key is not this process's any more, or may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl LeaseTable {
    /// One process has all the keys, for good.
    pub fn alone() -> Self {
        Self(None)
    }

    /// Several share them; this one holds none yet.
    pub fn shared() -> Self {
        Self(Some(Shared {
            held: Mutex::default(),
            lost: watch::Sender::new(()),
        }))
    }

    /// It has joined under this number, and holds nothing.
    pub fn joined(&self, replica: ReplicaId) {
        self.losing(|held| held.joined(replica));
    }

    /// A lease of this length was given. It was asked for at `asked_at`.
    pub fn renewed(&self, asked_at: Instant, lease: Duration) {
        if let Some(mut held) = self.held() {
            held.renewed(asked_at, lease);
        }
    }

    /// These were claimed.
    pub fn claimed(&self, claims: impl IntoIterator<Item = (KeyId, FencingToken)>) {
        if let Some(mut held) = self.held() {
            held.claimed(claims);
        }
    }

    /// It holds this key no more.
    pub fn gave_up(&self, key: &KeyId) {
        self.losing(|held| held.gave_up(key));
    }

    /// It was struck out: it holds nothing any more.
    pub fn evicted(&self) {
        self.losing(HeldLeases::evicted);
    }

    /// The keys it holds; `None` for all there are.
    pub fn keys(&self) -> Option<BTreeSet<KeyId>> {
        self.held().map(|held| held.keys())
    }

    /// Whether there are others who hold keys.
    pub fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the key is held.
    pub fn has(&self, key: &KeyId) -> bool {
        self.held().is_none_or(|held| held.has(key))
    }

    /// Whether the key is held under this very claim.
    pub fn holds(&self, key: &KeyId, lease: Option<Lease>) -> bool {
        self.held().is_none_or(|held| held.holds(key, lease))
    }

    /// Lets a write to Flashback go on as long as the key is held under `hold`, and lets nothing of it
    /// leave after that. The lease may be renewed meanwhile.
    ///
    /// # Errors
    /// [`Lost`]: the lease is over, and what became of the write is not known.
    pub async fn write<T>(
        &self,
        key: &KeyId,
        lease: Option<Lease>,
        write: impl Future<Output = T>,
    ) -> Result<T, Lost> {
        let Some(shared) = &self.0 else {
            return Ok(write.await);
        };
        let mut lost = shared.lost.subscribe();
        let mut write = pin!(write);
        loop {
            let may_write = || shared.held().may_write(key, lease, Instant::now());
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
    pub fn late_write(&self, key: &KeyId) {
        if let Some(mut held) = self.held() {
            held.late_write(key);
        }
    }

    /// Takes the strays that the state was not told of yet. Whoever fails at telling puts them back.
    pub fn take_late_writes(&self) -> BTreeSet<KeyId> {
        self.held()
            .map(|mut held| held.take_late_writes())
            .unwrap_or_default()
    }

    fn losing(&self, change: impl FnOnce(&mut HeldLeases)) {
        if let Some(shared) = &self.0 {
            change(&mut shared.held());
            shared.lost.send_replace(());
        }
    }

    fn held(&self) -> Option<MutexGuard<'_, HeldLeases>> {
        self.0.as_ref().map(Shared::held)
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, HeldLeases> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
