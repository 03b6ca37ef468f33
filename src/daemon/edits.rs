//! The task that asks Flashback who has changed credentials.
//!
//! It asks about each workspace once per interval, records the edits in the state and wakes the keys that
//! they concern. It changes nothing in Flashback and logs no edit: reconciling the key finds the edit in the
//! state. A workspace that does not answer delays no other.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::flashback::{Account, FlashbackError};
use crate::model::{Edit, KeyId, WorkspaceId};
use crate::runtime::{Runtime, RuntimeHandle};
use crate::scheduler::Scheduler;
use crate::state::StateError;
use crate::state::edits::{Heard, OVERLAP, Watch};

/// The time for which the rotator's account is remembered, and that the events of a workspace cannot be read.
const AGAIN: Duration = Duration::from_secs(15 * 60);

/// The longest wait before the configuration is read again, so that a reload takes effect.
const OFF: Duration = Duration::from_secs(5);

/// The time before now at which reading starts for a workspace whose first answer holds no events.
const FIRST: TimeDelta = TimeDelta::hours(24);

/// Watches for edits of credentials in Flashback.
pub struct EditWatch {
    runtime: Arc<RuntimeHandle>,
    scheduler: Scheduler,
    account: Option<(Account, Instant)>,
    /// Workspaces with a request under way.
    asking: HashSet<WorkspaceId>,
    /// Workspaces whose events cannot be read, each with the time until which it is not asked about.
    without: HashMap<WorkspaceId, Instant>,
    /// The last warning about the account.
    said: Option<&'static str>,
}

/// The reason why a workspace's edits could not be read.
enum Unasked {
    State,
    Flashback(FlashbackError),
}

/// A workspace and the outcome of reading its events.
type Answer = (WorkspaceId, Result<(), Unasked>);

impl From<StateError> for Unasked {
    /// Discards the error: outages of the state are logged elsewhere.
    fn from(_: StateError) -> Self {
        Self::State
    }
}

impl EditWatch {
    /// Creates a watch over the workspaces of the current runtime.
    pub fn new(runtime: Arc<RuntimeHandle>, scheduler: Scheduler) -> Self {
        Self {
            runtime,
            scheduler,
            account: None,
            asking: HashSet::new(),
            without: HashMap::new(),
            said: None,
        }
    }

    /// Watches until the future is dropped.
    pub async fn run(&mut self) {
        let mut asked = FuturesUnordered::new();
        // After a panic no request is under way any more.
        self.asking.clear();
        loop {
            let runtime = self.runtime.load();
            let Some(every) = runtime.config.watch_edits else {
                tokio::time::sleep(OFF).await;
                continue;
            };
            let began = Instant::now();
            self.ask(&runtime, every, &mut asked).await;
            // Also finds the edits that another replica has recorded.
            self.wake(&runtime).await;
            drop(runtime);
            // An interval that a reload has shortened takes effect at once.
            while let Some(left) = self.interval().checked_sub(began.elapsed())
                && !left.is_zero()
            {
                match tokio::time::timeout(left.min(OFF), asked.next()).await {
                    Ok(Some(answer)) => self.heard(answer).await,
                    Ok(None) => tokio::time::sleep(left.min(OFF)).await,
                    Err(_) => {}
                }
            }
        }
    }

    fn interval(&self) -> Duration {
        self.runtime.load().config.watch_edits.unwrap_or_default()
    }

    /// Asks about each workspace that has no request under way.
    async fn ask(
        &mut self,
        runtime: &Arc<Runtime>,
        every: Duration,
        asked: &mut FuturesUnordered<BoxFuture<'static, Answer>>,
    ) {
        let Some(own) = self.own(runtime).await else {
            return;
        };
        let now = Instant::now();
        self.without.retain(|_, until| *until > now);
        let held = |key: &KeyId| runtime.engine.leases.has(key);
        let workspaces: BTreeSet<WorkspaceId> = runtime
            .managed_keys
            .iter()
            .filter(|(key, _)| held(key))
            .map(|(_, managed)| managed.config.settings.workspace_id.clone())
            .filter(|workspace| !self.without.contains_key(workspace))
            .filter(|workspace| !self.asking.contains(workspace))
            .collect();
        for workspace in workspaces {
            self.asking.insert(workspace.clone());
            let (runtime, own) = (Arc::clone(runtime), own.clone());
            let asking = async move {
                let answer = ask(&runtime, &workspace, every, &own).await;
                (workspace, answer)
            };
            asked.push(asking.boxed());
        }
    }

    /// Handles the answer about one workspace.
    async fn heard(&mut self, (workspace, answer): Answer) {
        self.asking.remove(&workspace);
        match answer {
            Ok(()) => {
                let runtime = self.runtime.load();
                self.wake(&runtime).await;
            }
            Err(Unasked::Flashback(error)) => self.cannot(&workspace, &error),
            Err(Unasked::State) => {}
        }
    }

    /// Returns the user id of the account that the rotator works as; `None` if Flashback does not say.
    /// Without it the rotator's own writes cannot be distinguished from edits by other users.
    async fn own(&mut self, runtime: &Runtime) -> Option<String> {
        if self
            .account
            .as_ref()
            .is_none_or(|(_, at)| at.elapsed() > AGAIN)
        {
            let account = runtime.engine.flashback.account().await.ok()?;
            self.account = Some((account, Instant::now()));
        }
        let (account, _) = self.account.as_ref()?;
        let words = match (&account.user_id, account.sees_all_events()) {
            (None, _) => Some(
                "Flashback does not say which account this is: edits of credentials by others are not noticed before the resync",
            ),
            (Some(_), false) => Some(
                "the account is no OWNER or ADMINISTRATOR, and sees no edits by others: what they change in credentials is not noticed before the resync",
            ),
            (Some(_), true) => None,
        };
        if let Some(words) = words.filter(|words| self.said != Some(words)) {
            tracing::warn!(role = account.org_role, "{words}");
        }
        self.said = words;
        account.user_id.clone()
    }

    fn cannot(&mut self, workspace: &WorkspaceId, error: &FlashbackError) {
        if !matches!(
            error,
            FlashbackError::Refused { .. } | FlashbackError::NotFound { .. }
        ) {
            // The failure may be temporary: the next round asks again, and the upstream logs outages.
            return;
        }
        tracing::warn!(
            workspace_id = %workspace,
            error = %error,
            "Flashback tells no events of the workspace: edits of credentials by others are not noticed before the resync"
        );
        let until = Instant::now() + AGAIN;
        self.without.insert(workspace.clone(), until);
    }

    /// Wakes the keys of this process that have edits to examine, whichever replica recorded them.
    async fn wake(&self, runtime: &Runtime) {
        let Ok(edited) = runtime.engine.store.edited().await else {
            return;
        };
        let ours =
            |key: &KeyId| runtime.managed_keys.contains_key(key) && runtime.engine.leases.has(key);
        let ours: Vec<KeyId> = edited.into_iter().filter(ours).collect();
        if !ours.is_empty() {
            runtime.engine.edited.mark(ours.iter().cloned());
            self.scheduler.changed(ours);
        }
    }
}

/// Asks about one workspace, unless another replica has done so within `every`, and records the edits.
async fn ask(
    runtime: &Runtime,
    workspace: &WorkspaceId,
    every: Duration,
    own: &str,
) -> Result<(), Unasked> {
    let engine = &runtime.engine;
    let Watch::Mine { read_to } = engine.store.watch(workspace, every).await? else {
        return Ok(());
    };
    let since = read_to.map(|time| time - OVERLAP);
    let updates = engine.flashback.updates(workspace, since).await;
    let updates = updates.map_err(Unasked::Flashback)?;
    let own = match updates.iter().all(|update| update.user_id == own) {
        true => own.to_owned(),
        // The rotator may have been given another account since.
        false => {
            let account = engine.flashback.account().await;
            let account = account.map_err(Unasked::Flashback)?;
            account.user_id.unwrap_or_else(|| own.to_owned())
        }
    };
    let newest = updates.iter().map(|update| update.at).max();
    let newest = newest.max(read_to).unwrap_or_else(|| Utc::now() - FIRST);
    let heard = updates.into_iter().map(|update| Heard {
        ai_llm_id: update.ai_llm_id,
        edit: Edit {
            id: update.id,
            own: update.user_id == own,
            user_id: update.user_id,
        },
        at: update.at,
    });
    // Edits from before the watch began are not drift.
    let heard: Vec<Heard> = match read_to {
        Some(_) => heard.collect(),
        None => Vec::new(),
    };
    engine.store.hear(workspace, newest, &heard).await?;
    Ok(())
}
