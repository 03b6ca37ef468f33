//! The half of a pass that keeps a working key from being replaced by a broken one: it asks, reads
//! older versions, and remembers what was decided. What people must hear of (a version held, or
//! rolled back) is said before it is remembered: a process that dies between the two says it
//! twice, and none keeps it to itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;

use super::pass::Pass;
use super::{Fault, tell};
use crate::document::Taken;
use crate::failpoint;
use crate::flashback::{FlashbackError, Validation};
use crate::model::{
    Action, AiLlmId, Asked, HistoryRow, KeyCommand, Origin, Outcome, Record, Stage, Stored,
    TargetKind, Verdict, Verification, Verifier, Version,
};
use crate::reconcile::{HoldReason, Older, Read, Stand};
use crate::retry::{self, Class, Limits};
use crate::source::{Exact, Previous};
use crate::upstream::Failure as _;
use crate::verify::Probe;

impl Pass<'_> {
    /// Asks the provider about the value that was read.
    pub(super) async fn probe(&mut self) -> Result<(), Fault> {
        let (
            Some(Read::Value {
                version,
                fingerprint,
            }),
            Some(credentials),
        ) = (&self.reading, &self.credentials)
        else {
            unreachable!("the decision asks for a probe only after a value was read")
        };
        let value = Stored {
            version: version.clone(),
            fingerprint: *fingerprint,
            origin: self.managed.config.origin.clone(),
        };
        let settings = &self.managed.config.settings;
        let probe = self.engine.provider.probe(settings, credentials);
        let verdict = match self.unless_stopped(probe).await? {
            Probe::Works => Verdict::Works,
            Probe::Rejected(said) => Verdict::Rejected(said),
            Probe::Inconclusive(why) => Verdict::Inconclusive(why),
        };
        failpoint::reach("provider_answered");
        self.count(Stage::Before, &verdict);
        let earlier = self.record.candidate.as_ref();
        let earlier = earlier.filter(|candidate| candidate.subject == value);
        let asked = self.asked(earlier, None);
        let first = earlier.is_none();
        let next = self.record.probed(&value, &verdict, asked);
        match &verdict {
            Verdict::Works => self.cleared = Some(Some(Verifier::Provider)),
            _ if next.candidate.is_none() => self.cleared = Some(None),
            _ => {}
        }
        match &verdict {
            Verdict::Rejected(said) if first => {
                tell::provider_rejects(self.managed, &self.record, &value.version, said);
            }
            Verdict::Inconclusive(why) if self.cleared.is_some() => {
                tell::provider_silent(self.managed, &self.record, &value.version, why);
            }
            _ => {}
        }
        if next != self.record {
            self.save(next, None).await?;
            failpoint::reach("probe_recorded");
        }
        Ok(())
    }

    /// Asks Flashback about what it holds; `false` where that was broken off.
    pub(super) async fn validate(&mut self, id: &AiLlmId) -> Result<bool, Fault> {
        let Some(verification) = self.record.verification.clone() else {
            unreachable!("the decision asks for a validation only in a trial")
        };
        let asked = match self.managed.config.settings.target.kind() {
            TargetKind::Configuration => self.ask_about(std::slice::from_ref(id)).await,
            TargetKind::StoredKey => match self.users_of(id).await {
                Ok(Ok(users)) => self.ask_about(&users).await,
                Ok(Err(error)) => Ok(unvalidated(&error)),
                Err(fault) => Err(fault),
            },
        };
        let (verdict, retry_after) = match asked {
            Ok(answer) => answer,
            Err(_) => return Ok(false),
        };
        failpoint::reach_in(verification.stage.as_str(), "validation_answered");
        self.count(verification.stage, &verdict);
        let asked = self.asked(Some(&verification), retry_after);
        let next = self.record.validated(&verdict, asked);
        self.tell_if_rolled_back(&next);
        let verified = match &verdict {
            Verdict::Works => Some(Verifier::Flashback),
            _ => None,
        };
        self.save_verified(next, verified).await?;
        failpoint::reach_in(verification.stage.as_str(), "verdict_recorded");
        match &verdict {
            Verdict::Works => tell::verified(self.managed, &self.record, verification.stage),
            Verdict::Unsupported(why) => self.tell_unsupported(why),
            Verdict::Rejected(_) | Verdict::Inconclusive(_) => {
                tell::not_yet(self.managed, &self.record, verification.stage, &verdict);
                self.tell_of_a_kept_one(&verification);
            }
        }
        Ok(true)
    }

    /// Asks Flashback about each of these configurations, which all hold the same key: it works where it
    /// works in all of them.
    async fn ask_about(&self, all: &[AiLlmId]) -> Result<(Verdict, Option<Duration>), Fault> {
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

    /// Nobody can tell any more, because nobody is asked.
    pub(super) async fn end_trial(&mut self) -> Result<(), Fault> {
        let why = Verdict::Unsupported("nobody is asked".to_owned());
        let next = self.record.validated(&why, self.asked(None, None));
        self.tell_if_rolled_back(&next);
        self.save(next, None).await
    }

    pub(super) async fn lease(
        &mut self,
        version: Version,
        reason: &HoldReason,
    ) -> Result<(), Fault> {
        self.consume_order(reason);
        let row = self.held_row(&version, reason);
        let origin = self.managed.config.origin.clone();
        let next = self.record.holding(version, origin, reason, Utc::now());
        tell::version_held(self.managed, &next);
        self.save(next, Some(&row)).await?;
        failpoint::reach("hold_recorded");
        Ok(())
    }

    pub(super) async fn turn_back(
        &mut self,
        to: Stored,
        from: Version,
        reason: &HoldReason,
    ) -> Result<(), Fault> {
        self.consume_order(reason);
        if let HoldReason::Flashback(said) = reason {
            let follows = format!("version {} is put back", to.version);
            tell::verification_failed(self.managed, &self.record, said, &follows);
        }
        let origin = self.managed.config.origin.clone();
        let next = self
            .record
            .turning_back(to, from, origin, reason, Utc::now());
        self.save(next, None).await?;
        failpoint::reach("turn_back_recorded");
        Ok(())
    }

    pub(super) async fn let_stand(&mut self, stand: Stand, why: &str) -> Result<(), Fault> {
        self.rejection = None;
        let record = &self.record;
        let subject = record
            .verification
            .as_ref()
            .map(|verification| verification.subject.fingerprint);
        let live = record.live.as_ref().map(|live| live.fingerprint);
        let follows = match (stand, subject == live) {
            (_, false) => format!("the newest version goes back in: {why}"),
            (Stand::Held, true) => format!("it is left in place and held: {why}"),
            (Stand::Best, true) => format!("it is left in place: {why}"),
            (Stand::ForNow, true) => format!("it is left in place for now: {why}"),
        };
        let rejected = self.record.verification.as_ref().and_then(|verification| {
            let said = verification
                .rejected
                .as_ref()
                .or(verification.reason.as_ref());
            said.cloned()
        });
        let said = rejected.unwrap_or_default();
        tell::verification_failed(self.managed, &self.record, &said, &follows);
        let next = self.record.letting_stand(stand, Utc::now());
        if stand == Stand::Held {
            tell::version_held(self.managed, &next);
        }
        self.save(next, None).await?;
        failpoint::reach("standing_recorded");
        Ok(())
    }

    pub(super) async fn keep(&mut self) -> Result<(), Fault> {
        self.save(self.record.keeping(Utc::now()), None).await?;
        failpoint::reach("keeping_recorded");
        Ok(())
    }

    pub(super) async fn leave(&mut self, why: String) -> Result<(), Fault> {
        self.rejection = None;
        tell::left(self.managed, &self.record, &why);
        self.save(self.record.leaving_older(Utc::now()), None)
            .await?;
        self.left = Some(why);
        Ok(())
    }

    /// Reads an older version. What a policy keeps from being read is as good as gone.
    pub(super) async fn read_older(
        &mut self,
        version: Version,
        origin: Origin,
    ) -> Result<(), Fault> {
        let found = match origin.source == *self.managed.source.id() {
            false => Err(format!(
                "version {version} is in the source `{}`, and the key has another one now",
                origin.source
            )),
            true => self.credentials_of(&version, &origin).await?,
        };
        let found = found.map(|taken| {
            let fingerprint = self.engine.fingerprinter.credentials(&taken.credentials);
            self.older_credentials = Some(taken.credentials);
            fingerprint
        });
        self.older = Some(Older {
            version,
            origin,
            found,
        });
        failpoint::reach("older_read");
        Ok(())
    }

    async fn credentials_of(
        &self,
        version: &Version,
        origin: &Origin,
    ) -> Result<Result<Taken, String>, Fault> {
        let read = self.managed.source.read_exact(&origin.path, version);
        let unreadable = |why: String| Ok(Err(format!("version {version}: {why}")));
        match self.unless_stopped(read).await? {
            Ok(Exact::Present { document, .. }) => match document.credentials(&origin.fields) {
                Ok(taken) => Ok(Ok(taken)),
                Err(error) => unreadable(error.to_string()),
            },
            Ok(Exact::Gone(why)) => unreadable(why.describe().to_owned()),
            Err(error) if error.class() == Class::Refused => unreadable(error.to_string()),
            Err(error) => Err(Fault::Source(error)),
        }
    }

    pub(super) async fn find_older(&mut self, version: &Version) -> Result<(), Fault> {
        let find = self
            .managed
            .source
            .previous(&self.managed.config.origin.path, version);
        self.before = Some(match self.unless_stopped(find).await? {
            Ok(Previous::Version(older)) => Ok(older),
            Ok(Previous::Gone(why)) => Err(format!("before version {version}: {}", why.describe())),
            Err(error) if error.class() == Class::Refused => Err(error.to_string()),
            Err(error) => return Err(Fault::Source(error)),
        });
        Ok(())
    }

    /// The next question comes after this answer's wait: soon while the end of the grace is near,
    /// calmly when nobody waits for it.
    fn asked(&self, verification: Option<&Verification>, retry_after: Option<Duration>) -> Asked {
        let (at, grace) = (Utc::now(), self.managed.config.verify.grace);
        let engine = self.engine;
        let (tries, calm) =
            verification.map_or((0, false), |verification| verification.pace(grace, at));
        let limits = match calm {
            true => Limits {
                initial: engine.retry.max,
                max: engine.rules.refused.max(engine.retry.max),
                ..engine.retry
            },
            false => engine.retry,
        };
        Asked {
            at,
            wait: retry::wait(limits, tries, retry_after),
            grace,
        }
    }

    fn count(&self, stage: Stage, verdict: &Verdict) {
        self.engine
            .metrics
            .verification(stage.as_str(), verdict.as_str());
    }

    fn consume_order(&mut self, reason: &HoldReason) {
        self.rejection = None;
        if *reason == HoldReason::ByHand {
            self.command = KeyCommand::None;
        }
    }

    /// A hold without a push is no change in Flashback, and yet one that people look for.
    fn held_row(&self, version: &Version, reason: &HoldReason) -> HistoryRow {
        let managed = self.managed;
        HistoryRow {
            at: Utc::now(),
            key: managed.key.clone(),
            source: managed.source.id().clone(),
            name: managed.config.settings.name.clone(),
            ai_llm_id: self.record.ai_llm_id.clone(),
            previous_version: self.record.live.as_ref().map(|live| live.version.clone()),
            version: version.clone(),
            action: Action::Hold,
            outcome: Outcome::Succeeded,
            elapsed: Duration::ZERO,
            verified_by: None,
            reason: reason.to_string(),
            error: None,
        }
    }

    async fn save_verified(&mut self, next: Record, by: Option<Verifier>) -> Result<(), Fault> {
        let Some(by) = by else {
            return self.save(next, None).await;
        };
        self.engine.store.save_verified(&next, by).await?;
        self.record = next;
        Ok(())
    }

    fn tell_if_rolled_back(&self, next: &Record) {
        let turning = |verification: &Verification| verification.stage == Stage::Back;
        if self.record.verification.as_ref().is_some_and(turning) && next.verification.is_none() {
            self.engine.rolled_back(self.managed, next);
        }
    }

    /// Said once, when the grace of what somebody has put back is over.
    fn tell_of_a_kept_one(&self, before: &Verification) {
        let grace = self.managed.config.verify.grace;
        if let Some(verification) = &self.record.verification
            && verification.stage == Stage::Kept
            && verification.failed(grace)
            && !before.failed(grace)
        {
            let said = verification.rejected.clone().unwrap_or_default();
            tell::verification_failed(self.managed, &self.record, &said, "it stays all the same");
        }
    }

    /// Said once in the life of the process: it is Flashback's doing and no key's.
    fn tell_unsupported(&self, why: &str) {
        if !self.engine.told_unsupported.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                reason = why,
                "Flashback does not validate keys; they are not verified after a push"
            );
        }
    }
}

/// Classifies a validation that gave no verdict, with the wait that Flashback asked for.
fn unvalidated(error: &FlashbackError) -> (Verdict, Option<Duration>) {
    (error.verdict(), error.class().retry_after())
}
