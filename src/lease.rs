//! What this process may work on, and until when.
//!
//! Flashback cannot refuse a writer who is late. So whoever writes has to know that the key is its
//! own, and has to be done before it may be somebody else's: [`Holdings::write`] lets a write go on only
//! as long as the lease lasts, and what was begun and not seen to end is a *stray*, which the state
//! is told of as soon as it answers.
//!
//! Time is measured from before a renewal was asked for, by this process's own monotonic clock: the
//! state began to count later, so the lease is over here before it is over there.

use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::model::{Fence, Hold, KeyId, ReplicaId};

/// The part of a lease at its end that is not made use of: clocks do not run equally fast, and who
/// breaks a write off needs a moment.
const UNUSED: u32 = 10;

/// The keys this process holds.
#[derive(Debug)]
pub struct Holdings(Option<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    replica: Option<ReplicaId>,
    until: Instant,
    claims: HashMap<KeyId, Fence>,
    strays: BTreeSet<KeyId>,
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
        Self(Some(Mutex::new(Shared {
            replica: None,
            until: Instant::now(),
            claims: HashMap::new(),
            strays: BTreeSet::new(),
        })))
    }

    /// It has joined under this number, and holds nothing.
    pub fn joined(&self, replica: ReplicaId) {
        if let Some(mut shared) = self.lock() {
            shared.replica = Some(replica);
            shared.claims.clear();
        }
    }

    /// A lease of this length was given. It was asked for at `asked_at`.
    pub fn renewed(&self, asked_at: Instant, lease: Duration) {
        if let Some(mut shared) = self.lock() {
            shared.until = asked_at + (lease - lease / UNUSED);
        }
    }

    /// These were claimed.
    pub fn claimed(&self, claims: impl IntoIterator<Item = (KeyId, Fence)>) {
        if let Some(mut shared) = self.lock() {
            shared.claims.extend(claims);
        }
    }

    /// It holds this key no more.
    pub fn gave_up(&self, key: &KeyId) {
        if let Some(mut shared) = self.lock() {
            shared.claims.remove(key);
        }
    }

    /// It was struck out: it holds nothing any more.
    pub fn struck_out(&self) {
        if let Some(mut shared) = self.lock() {
            shared.replica = None;
            shared.claims.clear();
        }
    }

    /// The keys it holds; `None` for all there are.
    pub fn keys(&self) -> Option<BTreeSet<KeyId>> {
        let shared = self.lock()?;
        Some(shared.claims.keys().cloned().collect())
    }

    /// Whether the key is held under this very claim.
    pub fn holds(&self, key: &KeyId, hold: Option<Hold>) -> bool {
        let Some(shared) = self.lock() else {
            return true;
        };
        hold.is_some_and(|hold| {
            shared.replica == Some(hold.replica) && shared.claims.get(key) == Some(&hold.fence)
        })
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
        if self.0.is_none() {
            return Ok(write.await);
        }
        let mut write = pin!(write);
        loop {
            let until = self.writable_until(key, hold).ok_or(Lost)?;
            // A process that was stopped for a while comes back to this question first.
            let go_on = poll_fn(|context| match Instant::now() < until {
                true => write.as_mut().poll(context).map(Some),
                false => Poll::Ready(None),
            });
            if let Ok(Some(answer)) = timeout_at(until, go_on).await {
                return Ok(answer);
            }
        }
    }

    /// `None` where the lease is over.
    fn writable_until(&self, key: &KeyId, hold: Option<Hold>) -> Option<Instant> {
        if !self.holds(key, hold) {
            return None;
        }
        let until = self.lock()?.until;
        (Instant::now() < until).then_some(until)
    }

    /// A write of this key was begun, and may have been carried out after the lease was over.
    pub fn stray(&self, key: &KeyId) {
        if let Some(mut shared) = self.lock() {
            shared.strays.insert(key.clone());
        }
    }

    /// Takes the strays that the state was not told of yet. Whoever fails at telling puts them back.
    pub fn take_strays(&self) -> BTreeSet<KeyId> {
        self.lock()
            .map(|mut shared| std::mem::take(&mut shared.strays))
            .unwrap_or_default()
    }

    fn lock(&self) -> Option<MutexGuard<'_, Shared>> {
        let shared = self.0.as_ref()?;
        Some(shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
