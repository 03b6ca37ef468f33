//! The questions to Flashback: its lists, and whether a key works.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::Ask;
use crate::engine::context::Engine;
use crate::engine::lists::List;
use crate::engine::problem::Fault;
use crate::failpoint;
use crate::flashback::{FlashbackError, Validation};
use crate::model::{AiLlmId, Record, Target, TargetKind, Verdict};
use crate::reconcile::{Compared, Drift, Knowledge, ListAge, Remote, compare, find};
use crate::upstream::{Failure as _, in_background};

/// The greatest age of a list when a person waits (`sync`, `plan`).
const GOOD_FOR_PEOPLE: Duration = Duration::from_secs(10);

/// The greatest age of a list that tells whether a name is free. Names are unique: if that has changed since, the write
/// is turned down and the list asked for again.
const GOOD_FOR_NAMES: Duration = Duration::from_secs(30);

/// The greatest age of a list that is compared before a write.
const GOOD_BEFORE_A_WRITE: Duration = Duration::from_secs(2);

/// The longest wait for a list before a write. A workspace that cannot be listed delays no rotation for longer.
const WAIT_BEFORE_A_WRITE: Duration = Duration::from_secs(5);

impl Ask<'_> {
    /// Finds the key's name or id in the list.
    ///
    /// After a write whose outcome is not known, or one that was turned down in this check, only a new list will do.
    /// Keys that want one at the same time share it.
    pub async fn list(&self, known: &Knowledge) -> Result<Remote, Fault> {
        let started = Instant::now();
        let good_for = match self.waited_for {
            true => GOOD_FOR_PEOPLE,
            false => GOOD_FOR_NAMES,
        };
        let good_for = good_for.min(self.engine.lists.good_for);
        let afresh = known.record.intent.is_some() || known.rejection.is_some();
        let will_do = |since: Instant, came: bool| {
            since >= started || (came && !afresh && since.elapsed() < good_for)
        };
        let settings = &self.managed.config.settings;
        let remote = match self.listed(settings.target.kind(), will_do).await? {
            Ok(list) => {
                let intent = known.record.intent.as_ref();
                let earlier = intent.map(|intent| intent.settings.name.as_str());
                let names: Vec<&str> = [&*settings.name].into_iter().chain(earlier).collect();
                let id = match &settings.target {
                    Target::StoredKey { id } => id.as_ref(),
                    Target::Configuration => None,
                };
                find(settings, &known.record, &list.about(id, &names))
            }
            Err(
                error @ (FlashbackError::Refused { .. }
                | FlashbackError::NotFound { .. }
                | FlashbackError::Unsendable { .. }),
            ) => Remote::Unlistable(error.to_string()),
            Err(error) => return Err(Fault::Flashback(error)),
        };
        failpoint::reach("list_answered");
        Ok(remote)
    }

    /// Compares the record with the list of its workspace.
    pub async fn compare(&self, record: &Record, age: ListAge) -> Result<Compared, Fault> {
        let list = self.list_to_compare(age).await?;
        failpoint::reach("list_compared");
        let pushed_at = record.live.as_ref().map(|live| live.pushed_at);
        let listed = list.filter(|list| age == ListAge::Zero || is_newer(list.asked_at, pushed_at));
        let drift = match listed {
            Some(list) => {
                let written = record.live.as_ref().map(|live| &*live.settings.name);
                let names: Vec<&str> = written.into_iter().collect();
                compare(record, &list.about(record.ai_llm_id.as_ref(), &names))
            }
            None => Drift::Unknown,
        };
        Ok(Compared { drift, age })
    }

    /// Returns a list to compare the record with, if there is one.
    async fn list_to_compare(&self, age: ListAge) -> Result<Option<Arc<List>>, Fault> {
        let started = Instant::now();
        let kept = self.engine.lists.good_for;
        let good_for = match self.waited_for {
            true => GOOD_FOR_PEOPLE.min(kept),
            false => kept,
        };
        let will_do = |since: Instant, came: bool| match age {
            ListAge::Zero => since >= started,
            ListAge::Seconds if came => since + GOOD_BEFORE_A_WRITE >= started,
            ListAge::Seconds | ListAge::Minutes => since.elapsed() < good_for,
        };
        let listed = self.listed(self.managed.config.settings.target.kind(), will_do);
        let list = match age {
            ListAge::Seconds => match tokio::time::timeout(WAIT_BEFORE_A_WRITE, listed).await {
                Ok(list) => list?,
                Err(_) => return Ok(None),
            },
            ListAge::Zero | ListAge::Minutes => in_background(listed).await?,
        };
        Ok(list.ok())
    }

    /// Asks Flashback whether the key works. Returns its verdict, and how long it asked callers to wait.
    pub async fn validate(&self, id: &AiLlmId) -> Result<(Verdict, Option<Duration>), Fault> {
        match self.managed.config.settings.target.kind() {
            TargetKind::Configuration => self.validate_all(std::slice::from_ref(id)).await,
            TargetKind::StoredKey => match self.users_of(id).await? {
                Ok(users) => self.validate_all(&users).await,
                Err(error) => Ok(unvalidated(&error)),
            },
        }
    }

    /// Asks about each of these configurations, which all have the same key. The key works if it works in all of them.
    async fn validate_all(&self, all: &[AiLlmId]) -> Result<(Verdict, Option<Duration>), Fault> {
        let mut worst = match all {
            [] => Verdict::Unsupported("no configuration uses the stored key".to_owned()),
            _ => Verdict::Works,
        };
        let mut wait = None;
        for id in all {
            let validate = async {
                let _place = self.managed.place().await;
                self.engine.flashback.validate(id).await
            };
            let (verdict, retry_after) = match self.unless_stopped(validate).await? {
                Ok(Validation::Valid) => (Verdict::Works, None),
                Ok(Validation::Invalid(said)) => (Verdict::Rejected(said), None),
                Err(error) => unvalidated(&error),
            };
            let verdict = match all.len() {
                1 => verdict,
                _ => verdict.of(id),
            };
            if verdict.gravity() > worst.gravity() {
                worst = verdict;
            }
            wait = wait.max(retry_after);
        }
        Ok((worst, wait))
    }

    /// Returns the configurations that take their credentials from a stored key now.
    async fn users_of(
        &self,
        stored_key: &AiLlmId,
    ) -> Result<Result<Vec<AiLlmId>, FlashbackError>, Fault> {
        let started = Instant::now();
        let will_do = |since: Instant, _| since >= started;
        let list = self.listed(TargetKind::Configuration, will_do).await?;
        Ok(list.map(|list| list.using(stored_key).cloned().collect()))
    }

    async fn listed(
        &self,
        kind: TargetKind,
        will_do: impl Fn(Instant, bool) -> bool,
    ) -> Result<Result<Arc<List>, FlashbackError>, Fault> {
        let workspace = &self.managed.config.settings.workspace_id;
        let ask = async {
            let _place = self.managed.place().await;
            self.engine.flashback.list(workspace, kind).await
        };
        let Engine { lists, metrics, .. } = self.engine;
        let list = lists.get((workspace, kind), metrics, will_do, ask);
        self.unless_stopped(list).await
    }
}

/// Returns `true` if a list was asked for after the last push, so that it shows that. If the clock was set back since
/// the push, the list counts as newer: nothing is written because of it alone.
fn is_newer(asked_at: DateTime<Utc>, pushed_at: Option<DateTime<Utc>>) -> bool {
    pushed_at.is_none_or(|at| asked_at > at || at > Utc::now())
}

/// Classifies a validation that gave no verdict, with the wait that Flashback asked for.
fn unvalidated(error: &FlashbackError) -> (Verdict, Option<Duration>) {
    (error.verdict(), error.class().retry_after())
}
