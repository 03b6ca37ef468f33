//! The task that asks Flashback who has changed credentials.
//!
//! It asks about each workspace once an interval, leaves what it hears in the state, and wakes the keys
//! that have something to look into. It changes nothing itself, and says nothing of what was changed:
//! the key finds that in the state. A workspace that gives no answer holds up no other.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::flashback::{Account, FlashbackError};
use crate::fleet::{Current, Fleet};
use crate::model::{Edit, KeyId, WorkspaceId};
use crate::scheduler::Scheduler;
use crate::store::StoreError;
use crate::store::edits::{Heard, OVERLAP, Watch};

/// How often it is asked again whose account it is, and where events could not be had.
const AGAIN: Duration = Duration::from_secs(15 * 60);

/// How often the configuration is looked into while nothing is to be watched.
const OFF: Duration = Duration::from_secs(5);

/// The longest wait for the answers of one round: what comes later is asked for in the next.
const ROUND: Duration = Duration::from_secs(60);

/// From when on events are read where they were never read before.
const FIRST: TimeDelta = TimeDelta::hours(24);

/// The watch over edits.
pub struct EditWatch {
    current: Arc<Current>,
    scheduler: Scheduler,
    account: Option<(Account, Instant)>,
    /// Workspaces whose events cannot be had, and until when that is taken for so.
    without: HashMap<WorkspaceId, Instant>,
    /// What was last said of the account.
    said: Option<&'static str>,
}

/// Why a workspace could not be asked about.
enum Unasked {
    State,
    Flashback(FlashbackError),
}

impl From<StoreError> for Unasked {
    /// The state's outages are told by others.
    fn from(_: StoreError) -> Self {
        Self::State
    }
}

impl EditWatch {
    /// Over the fleet of the moment.
    pub fn new(current: Arc<Current>, scheduler: Scheduler) -> Self {
        Self {
            current,
            scheduler,
            account: None,
            without: HashMap::new(),
            said: None,
        }
    }

    /// Watches until it is dropped.
    pub async fn run(&mut self) {
        loop {
            let fleet = self.current.load();
            let Some(every) = fleet.config.watch_edits else {
                tokio::time::sleep(OFF).await;
                continue;
            };
            let began = Instant::now();
            self.round(&fleet, every).await;
            // An interval that a reload has shortened counts at once.
            while let Some(left) = self.interval().checked_sub(began.elapsed()) {
                if left.is_zero() {
                    break;
                }
                tokio::time::sleep(left.min(OFF)).await;
            }
        }
    }

    fn interval(&self) -> Duration {
        self.current.load().config.watch_edits.unwrap_or_default()
    }

    async fn round(&mut self, fleet: &Arc<Fleet>, every: Duration) {
        if let Some(own) = self.own(fleet).await {
            let now = Instant::now();
            self.without.retain(|_, until| *until > now);
            let held = |key: &KeyId| fleet.engine.holdings.has(key);
            let workspaces: BTreeSet<WorkspaceId> = fleet
                .units
                .iter()
                .filter(|(key, _)| held(key))
                .map(|(_, unit)| unit.config.settings.workspace_id.clone())
                .filter(|workspace| !self.without.contains_key(workspace))
                .collect();
            let asked = workspaces.iter().map(|workspace| {
                let answer = tokio::time::timeout(ROUND, ask(fleet, workspace, every, &own));
                async move { (workspace, answer.await) }
            });
            for (workspace, answer) in join_all(asked).await {
                if let Ok(Err(Unasked::Flashback(error))) = answer {
                    self.cannot(workspace, &error);
                }
            }
        }
        self.wake(fleet).await;
    }

    /// The user id of the account that the rotator works as: without it, own writes are not told from
    /// those of others.
    async fn own(&mut self, fleet: &Fleet) -> Option<String> {
        if self
            .account
            .as_ref()
            .is_none_or(|(_, at)| at.elapsed() > AGAIN)
        {
            let account = fleet.engine.flashback.account().await.ok()?;
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
            // It is asked again in the next round; an outage is told by the lane.
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

    /// Wakes this process's keys that have something to look into, whoever has heard of it.
    async fn wake(&self, fleet: &Fleet) {
        let Ok(edited) = fleet.engine.store.edited().await else {
            return;
        };
        let ours = |key: &KeyId| fleet.units.contains_key(key) && fleet.engine.holdings.has(key);
        let ours: Vec<KeyId> = edited.into_iter().filter(ours).collect();
        if !ours.is_empty() {
            fleet.engine.edited.mark(ours.iter().cloned());
            self.scheduler.changed(ours);
        }
    }
}

/// Asks about one workspace, where that is this process's to do, and keeps what it hears.
async fn ask(
    fleet: &Fleet,
    workspace: &WorkspaceId,
    every: Duration,
    own: &str,
) -> Result<(), Unasked> {
    let engine = &fleet.engine;
    let Watch::Mine { read_to } = engine.store.watch(workspace, every).await? else {
        return Ok(());
    };
    let since = read_to.map(|time| time - OVERLAP);
    let updates = engine.flashback.updates(workspace, since).await;
    let updates = updates.map_err(Unasked::Flashback)?;
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
    // What was before the watch began is nobody's drift.
    let heard: Vec<Heard> = match read_to {
        Some(_) => heard.collect(),
        None => Vec::new(),
    };
    engine.store.hear(workspace, newest, &heard).await?;
    Ok(())
}
