//! The work of one command on shared keys: requested from the replicas that have leased them, or done under
//! leases of its own if no replica runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, interval, sleep};

use super::{SetAside, Worker};
use crate::lease::LeaseTable;
use crate::model::KeyId;
use crate::state::membership::{Membership, Role};
use crate::state::{Request, RequestId, RequestState, StateError, StateStore};

/// The interval at which the answer is polled.
const POLL: Duration = Duration::from_millis(250);

/// The interval at which the command checks that a replica is left to answer.
const LOOK: Duration = Duration::from_secs(1);

/// The time beyond the lease for which a key may be free, or all replicas may be gone. A takeover or a
/// restart takes less.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns `true` if a replica runs that carries out requests.
///
/// # Errors
/// Returns [`StateError`] if the state cannot be read.
pub async fn any_daemon(membership: &dyn Membership) -> Result<bool, StateError> {
    let replicas = membership.replicas().await?;
    let mut daemons = replicas.iter().filter(|replica| replica.alive);
    Ok(daemons.any(|replica| replica.member.role == Role::Daemon))
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The answer is a JSON document.
    Answered(String),
    /// Every replica is gone. The request waits for the next one.
    Abandoned,
    /// These keys have been free for too long: no replica leases them.
    Unheld(Vec<KeyId>),
}

/// Has the replicas carry out `request`, which names `keys`. Calls `progress` with the number of keys done
/// and their total number.
///
/// # Errors
/// Returns [`StateError`] if the state cannot be used.
pub async fn ask(
    store: &dyn StateStore,
    membership: &dyn Membership,
    (request, keys): (&Request, &[KeyId]),
    lease: Duration,
    progress: impl Fn(u32, u32),
) -> Result<Asked, StateError> {
    let id = store.submit(request).await?;
    let asking = Asking {
        store,
        membership,
        keys,
        limit: lease + PATIENCE,
    };
    tokio::select! {
        answer = asking.answer(id, progress) => answer.map(Asked::Answered),
        hopeless = asking.hopeless() => hopeless,
    }
}

struct Asking<'a> {
    store: &'a dyn StateStore,
    membership: &'a dyn Membership,
    keys: &'a [KeyId],
    limit: Duration,
}

impl Asking<'_> {
    async fn answer(
        &self,
        id: RequestId,
        progress: impl Fn(u32, u32),
    ) -> Result<String, StateError> {
        loop {
            match self.store.request_state(id).await? {
                RequestState::Answered(answer) => return Ok(answer),
                RequestState::Working { done, total } => progress(done, total),
                RequestState::Waiting => {}
            }
            sleep(POLL).await;
        }
    }

    /// Returns once there is no replica left to wait for.
    async fn hopeless(&self) -> Result<Asked, StateError> {
        let mut look = interval(LOOK);
        let mut daemon_at = Instant::now();
        let mut free_since: BTreeMap<KeyId, Instant> = BTreeMap::new();
        loop {
            look.tick().await;
            let now = Instant::now();
            if any_daemon(self.membership).await? {
                daemon_at = now;
            } else if now - daemon_at > self.limit {
                return Ok(Asked::Abandoned);
            }
            let free: BTreeSet<KeyId> = self
                .membership
                .unheld(self.keys)
                .await?
                .into_iter()
                .collect();
            free_since.retain(|key, _| free.contains(key));
            for key in free {
                free_since.entry(key).or_insert(now);
            }
            let over = free_since.iter().filter(|(_, at)| now - **at > self.limit);
            let over: Vec<KeyId> = over.map(|(key, _)| key.clone()).collect();
            if !over.is_empty() && daemon_at == now {
                return Ok(Asked::Unheld(over));
            }
        }
    }
}

/// The worker of a command that works on its keys itself.
pub struct Hired {
    /// The keys of the command.
    pub keys: BTreeSet<KeyId>,
    /// The state.
    pub store: Arc<dyn StateStore>,
}

#[async_trait]
impl Worker for Hired {
    fn configured(&self) -> BTreeSet<KeyId> {
        self.keys.clone()
    }

    fn set_aside(&self, _: &[KeyId], _: usize) -> Vec<SetAside> {
        Vec::new()
    }

    async fn flush(&self) -> Result<(), StateError> {
        self.store.flush().await
    }

    async fn took(&self, _: &[KeyId]) {}

    fn lost(&self, _: &[KeyId]) {}

    fn check_now(&self, _: &[KeyId]) {}

    fn state_answers(&self, _: bool) {}

    fn joined(&self) {}
}

/// Waits until all of these keys are leased, or until other processes have kept some of them for too long.
/// Returns those that are leased.
pub async fn all_held(
    leases: &LeaseTable,
    keys: &BTreeSet<KeyId>,
    lease: Duration,
) -> BTreeSet<KeyId> {
    let asked_at = Instant::now();
    loop {
        let held = leases.keys().unwrap_or_default();
        if held.is_superset(keys) || asked_at.elapsed() > lease + PATIENCE {
            return held;
        }
        sleep(POLL / 5).await;
    }
}
