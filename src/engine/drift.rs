//! The half of a pass that notices what somebody changed in Flashback, and the lists it goes by:
//! one for each workspace, shared by all its keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::Fault;
use super::pass::Pass;
use crate::failpoint;
use crate::flashback::{FlashbackError, Listed};
use crate::model::WorkspaceId;
use crate::reconcile::{Compared, Drift, compare};

/// How long a list is good for when nobody waits for the answer, and how soon a workspace that gave
/// none is asked again.
const GOOD_FOR: Duration = Duration::from_secs(5 * 60);

/// The same where somebody waits (`sync`, `plan`): they want to know how it stands now.
const GOOD_FOR_PEOPLE: Duration = Duration::from_secs(10);

/// The last list of each workspace.
pub struct Lists {
    good_for: Duration,
    workspaces: Mutex<HashMap<WorkspaceId, Place>>,
}

/// Whoever asks for a list holds this meanwhile: whoever else wants one waits for the answer.
type Place = Arc<tokio::sync::Mutex<Option<Answer>>>;

/// What came of asking for a list.
struct Answer {
    since: Instant,
    list: Option<Arc<List>>,
}

/// A list, at most as old as `asked_at` says.
pub struct List {
    asked_at: DateTime<Utc>,
    all: Vec<Listed>,
}

/// A moment before a list is asked for.
#[derive(Clone, Copy)]
pub struct Before {
    since: Instant,
    at: DateTime<Utc>,
}

impl Before {
    pub fn now() -> Self {
        Self {
            since: Instant::now(),
            at: Utc::now(),
        }
    }
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            good_for: failpoint::interval("FLASHBACK_ROTATOR_LIST_EVERY_MS", GOOD_FOR),
            workspaces: Mutex::default(),
        }
    }
}

impl Lists {
    fn place(&self, workspace: &WorkspaceId) -> Place {
        let mut workspaces = self
            .workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(workspaces.entry(workspace.clone()).or_default())
    }

    /// The last list if it will do, and else the one that `ask` brings.
    async fn get(
        &self,
        workspace: &WorkspaceId,
        will_do: impl Fn(Instant) -> bool,
        ask: impl Future<Output = Result<Vec<Listed>, FlashbackError>>,
    ) -> Option<Arc<List>> {
        let place = self.place(workspace);
        let mut place = place.lock().await;
        if let Some(answer) = place.as_ref().filter(|answer| will_do(answer.since)) {
            return answer.list.clone();
        }
        let before = Before::now();
        let list = match ask.await {
            Ok(all) => Some(Arc::new(List {
                asked_at: before.at,
                all,
            })),
            Err(error) => {
                tracing::debug!(
                    workspace_id = %workspace,
                    error = %error,
                    "no list to compare with; what was changed in Flashback is not noticed for now"
                );
                None
            }
        };
        *place = Some(Answer {
            since: before.since,
            list: list.clone(),
        });
        list
    }

    /// Takes a list that was asked for to another end.
    pub fn note(&self, workspace: &WorkspaceId, before: Before, all: Vec<Listed>) {
        let place = self.place(workspace);
        // Somebody is about to have a newer one.
        let Ok(mut place) = place.try_lock() else {
            return;
        };
        let list = Some(Arc::new(List {
            asked_at: before.at,
            all,
        }));
        if place
            .as_ref()
            .is_none_or(|answer| answer.since < before.since)
        {
            *place = Some(Answer {
                since: before.since,
                list,
            });
        }
    }
}

impl Pass<'_> {
    /// Holds what is on record against a list of its workspace.
    pub(super) async fn compare(&mut self, afresh: bool) -> Result<(), Fault> {
        let started = Instant::now();
        let lists = &self.engine.lists;
        let good_for = match self.waited_for {
            true => GOOD_FOR_PEOPLE.min(lists.good_for),
            false => lists.good_for,
        };
        let workspace = &self.unit.config.settings.workspace_id;
        let will_do = |since: Instant| match afresh {
            true => since >= started,
            false => since.elapsed() < good_for,
        };
        let list = lists.get(workspace, will_do, async {
            let _place = self.unit.places.acquire().await.expect("never closed");
            self.engine.flashback.list(workspace).await
        });
        let list = self.unless_stopped(list).await?;
        failpoint::reach("list_compared");
        let drift = match list.filter(|list| afresh || self.is_newer(list.asked_at)) {
            Some(list) => {
                let all: Vec<_> = list
                    .all
                    .iter()
                    .map(|Listed { id, settings }| (id, settings))
                    .collect();
                compare(&self.record, &all)
            }
            None => Drift::Unknown,
        };
        self.compared = Some(Compared { drift, afresh });
        Ok(())
    }

    /// A list tells nothing of a push that was not over when it was asked for. One of this very pass
    /// was asked for after it, whatever the clock says; where that was set back, the other is let
    /// pass, as nothing is written by it alone.
    fn is_newer(&self, asked_at: DateTime<Utc>) -> bool {
        let pushed_at = self.record.live.as_ref().map(|live| live.pushed_at);
        pushed_at.is_none_or(|at| asked_at > at || at > Utc::now())
    }

    /// Remembers that a repair is seen to have worked.
    pub(super) async fn note_comparison(&mut self) -> Result<(), Fault> {
        let Some(compared) = &self.compared else {
            return Ok(());
        };
        let next = self.record.compared(&compared.drift);
        if next != self.record {
            self.save(next, None).await?;
        }
        Ok(())
    }
}
