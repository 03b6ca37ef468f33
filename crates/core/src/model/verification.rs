//! The verification of a value: its provider is asked before it is pushed, or Flashback after.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AiLlmId, Stored, is_ahead, is_over};

/// The verification of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The value that is verified: the new one, also while the previous one is live again.
    pub subject: Stored,
    /// The stage it has come to.
    pub stage: Stage,
    /// `true` if another value was live before, which can be put back.
    pub fresh: bool,
    /// The time at which the grace period began.
    pub since: DateTime<Utc>,
    /// The number of questions that were asked in a row at the present pace.
    pub tries: u32,
    /// The time at which the last question was asked.
    pub asked_at: Option<DateTime<Utc>>,
    /// The time at which the next question is to be asked.
    pub next_at: DateTime<Utc>,
    /// The text of the last verdict, if that was a rejection.
    pub rejected: Option<String>,
    /// The reason why the value was removed from Flashback again.
    pub reason: Option<String>,
    /// The time at which Flashback refused the previous value, which was to be put back.
    pub turned_down_at: Option<DateTime<Utc>>,
}

/// The stages of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The provider is asked about the value, which is not pushed yet.
    Before,
    /// The value was pushed, and Flashback is asked about it.
    After,
    /// The value did not work. The previous one is put back, and Flashback is asked about that.
    Back,
    /// The previous value does not work either. The new one is pushed again and stays, whatever is said of it.
    Forward,
    /// A person has rolled back. The previous value stays, whatever is said of it.
    Kept,
}

impl Stage {
    /// Returns the word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Back => "back",
            Self::Forward => "forward",
            Self::Kept => "kept",
        }
    }
}

/// The service that has verified a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verifier {
    /// Its provider, before it was pushed.
    Provider,
    /// Flashback, which has called the provider with it.
    Flashback,
}

impl Verifier {
    /// Returns the word for JSON and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Flashback => "flashback",
        }
    }
}

/// The answer of a verifier about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Works,
    /// It does not work; the text names the verifier and its answer.
    Rejected(String),
    /// It is not known for now, for this reason.
    Inconclusive(String),
    /// The verifier cannot verify it, for this reason.
    Unsupported(String),
}

impl Verdict {
    /// Returns the word for metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Rejected(_) => "rejected",
            Self::Inconclusive(_) => "inconclusive",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// Adds the id of the configuration to the text.
    #[must_use]
    pub fn of(self, id: &AiLlmId) -> Self {
        let named = |said| format!("{id}: {said}");
        match self {
            Self::Works => Self::Works,
            Self::Rejected(said) => Self::Rejected(named(said)),
            Self::Inconclusive(why) => Self::Inconclusive(named(why)),
            Self::Unsupported(why) => Self::Unsupported(named(why)),
        }
    }

    /// Returns the gravity of the verdict: of several verdicts on one key the gravest counts.
    pub fn gravity(&self) -> u8 {
        match self {
            Self::Works => 0,
            Self::Unsupported(_) => 1,
            Self::Inconclusive(_) => 2,
            Self::Rejected(_) => 3,
        }
    }
}

/// One answer about a value, and what it means for the next question.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The time of the answer.
    pub at: DateTime<Utc>,
    /// The wait before the next question.
    pub wait: Duration,
    /// The grace period: the time within which a fresh key must begin to work.
    pub grace: Duration,
}

impl Verification {
    /// Returns a verification that begins now.
    pub fn begin(subject: Stored, stage: Stage, fresh: bool, now: DateTime<Utc>) -> Self {
        Self {
            subject,
            stage,
            fresh,
            since: now,
            tries: 0,
            asked_at: None,
            next_at: now,
            rejected: None,
            reason: None,
            turned_down_at: None,
        }
    }

    /// Returns the same verification at another stage.
    #[must_use]
    pub fn enter(&self, stage: Stage, now: DateTime<Utc>) -> Self {
        Self {
            reason: self.reason.clone(),
            ..Self::begin(self.subject.clone(), stage, self.fresh, now)
        }
    }

    /// Returns `true` if the next question has to wait.
    pub fn waits(&self, now: DateTime<Utc>) -> bool {
        let asked_at = self.asked_at.unwrap_or(self.since);
        now < self.next_at && !is_ahead(asked_at, now)
    }

    /// Returns `true` if the grace period was over at `time`.
    pub fn late(&self, grace: Duration, time: DateTime<Utc>) -> bool {
        is_over(self.since, grace, time)
    }

    /// Returns `true` if the value was rejected, and still was at the end of the grace period.
    pub fn failed(&self, grace: Duration) -> bool {
        self.rejected.is_some() && self.asked_at.is_some_and(|at| self.late(grace, at))
    }

    /// Returns `true` if a rollback that Flashback has refused is to be tried again.
    pub fn may_turn_back_again(
        &self,
        after: impl Fn(DateTime<Utc>) -> Duration,
        now: DateTime<Utc>,
    ) -> bool {
        let over = |at| is_over(at, after(at), now);
        self.rejected.is_some() && self.turned_down_at.is_some_and(over)
    }

    /// Returns the number of questions that were asked in a row at the pace of `now`, and `true` if that is the calm
    /// pace. The pace is quick within the grace period and calm after it, when nothing waits for the answer.
    pub fn pace(&self, grace: Duration, now: DateTime<Utc>) -> (u32, bool) {
        let calm = |time| self.stage == Stage::Forward || self.late(grace, time);
        let changed = self.asked_at.is_some_and(|at| calm(at) != calm(now));
        (if changed { 0 } else { self.tries }, calm(now))
    }

    /// Returns the verification after an answer that did not end it. The last question within the grace period comes
    /// at its very end.
    #[must_use]
    pub fn asked(&self, asked: Asked) -> Self {
        let (tries, calm) = self.pace(asked.grace, asked.at);
        let next_at = asked.at + asked.wait;
        Self {
            tries: tries + 1,
            asked_at: Some(asked.at),
            next_at: match calm {
                true => next_at,
                false => next_at.min(self.since + asked.grace),
            },
            ..self.clone()
        }
    }
}
