//! The keys that this process may work on, and until when.
//!
//! Flashback cannot reject a late write. A writer must therefore know that it has leased the key, and must
//! have finished before another replica can lease it: [`LeaseTable::write`] stops a write when the lease
//! ends. A write that was begun and not seen to end is a *late write*, which is reported to the state as soon
//! as the state answers. `flashback_rotator_core::lease` keeps the book, and its tests explore every
//! order of events.
//!
//! The lease is measured by this process's own monotonic clock, from the moment before its renewal was
//! requested. The state starts to count later, so the lease ends here before it ends there.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use flashback_rotator_core::lease::HeldLeases;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::model::{FencingToken, KeyId, Lease, ReplicaId};

/// The keys leased to this process.
#[derive(Debug)]
pub struct LeaseTable(Option<Shared>);

#[derive(Debug)]
struct Shared {
    held: Mutex<HeldLeases>,
    /// Notifies running writes that a lease was lost. Each then checks its own.
    lost: watch::Sender<()>,
}

/// The error of a write whose lease is lost, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl LeaseTable {
    /// Creates the table of the only process: it has every key, for good.
    pub fn alone() -> Self {
        Self(None)
    }

    /// Creates the table of a replica that shares the keys with others. No key is leased yet.
    pub fn shared() -> Self {
        Self(Some(Shared {
            held: Mutex::default(),
            lost: watch::Sender::new(()),
        }))
    }

    /// Records that this process has joined as `replica`, with no keys.
    pub fn joined(&self, replica: ReplicaId) {
        self.losing(|held| held.joined(replica));
    }

    /// Records a lease of this length, which was requested at `asked_at`.
    pub fn renewed(&self, asked_at: Instant, lease: Duration) {
        if let Some(mut held) = self.held() {
            held.renewed(asked_at.into_std(), lease);
        }
    }

    /// Records that these keys were claimed, with their fencing tokens.
    pub fn claimed(&self, claims: impl IntoIterator<Item = (KeyId, FencingToken)>) {
        if let Some(mut held) = self.held() {
            held.claimed(claims);
        }
    }

    /// Records that this process has given up the lease on a key.
    pub fn gave_up(&self, key: &KeyId) {
        self.losing(|held| held.gave_up(key));
    }

    /// Records that this replica was evicted: it has lost all its keys.
    pub fn evicted(&self) {
        self.losing(HeldLeases::evicted);
    }

    /// Returns the leased keys, or `None` if the process does not share its keys and has them all.
    pub fn keys(&self) -> Option<BTreeSet<KeyId>> {
        self.held().map(|held| held.keys())
    }

    /// Returns `true` if other replicas may have leased keys.
    pub fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Returns `true` if the key is leased to this process.
    pub fn has(&self, key: &KeyId) -> bool {
        self.held().is_none_or(|held| held.has(key))
    }

    /// Returns `true` if the key is leased under exactly this replica id and fencing token.
    pub fn holds(&self, key: &KeyId, lease: Option<Lease>) -> bool {
        self.held().is_none_or(|held| held.holds(key, lease))
    }

    /// Runs a write to Flashback for as long as the key is leased under `lease`, and lets no part of it leave
    /// after that. The lease may be renewed meanwhile.
    ///
    /// # Errors
    /// Returns [`Lost`] if the lease ended first, or was over before. The write was not begun then, or it is unknown
    /// whether it took effect.
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
            let now = || Instant::now().into_std();
            let may_write = || shared.held.lock().may_write(key, lease, now());
            let until = may_write().ok_or(Lost)?;
            // A process that was suspended checks its lease here before it sends anything more.
            let go_on = poll_fn(|context| match may_write() {
                Some(_) => write.as_mut().poll(context).map(Ok),
                None => Poll::Ready(Err(Lost)),
            });
            tokio::select! {
                biased;
                answer = go_on => return answer,
                // This cannot fail: the sender outlives the receiver.
                _ = lost.changed() => {}
                () = sleep_until(until.into()) => {}
            }
        }
    }

    /// Records that a write of this key was begun and may take effect after the end of the lease.
    pub fn late_write(&self, key: &KeyId) {
        if let Some(mut held) = self.held() {
            held.late_write(key);
        }
    }

    /// Takes the late writes that have not been reported to the state. A caller that fails to report them
    /// must record them again.
    pub fn take_late_writes(&self) -> BTreeSet<KeyId> {
        self.held()
            .map(|mut held| held.take_late_writes())
            .unwrap_or_default()
    }

    fn losing(&self, change: impl FnOnce(&mut HeldLeases)) {
        if let Some(shared) = &self.0 {
            change(&mut shared.held.lock());
            shared.lost.send_replace(());
        }
    }

    fn held(&self) -> Option<MutexGuard<'_, HeldLeases>> {
        self.0.as_ref().map(|shared| shared.held.lock())
    }
}
