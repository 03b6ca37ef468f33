//! A value that has to prove itself: to its provider before it is pushed, or in Flashback after.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AiLlmId, Stored, is_ahead, is_over};

/// A value on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The value the trial began with: the new one, also while the previous one is back.
    pub subject: Stored,
    /// How far it has come.
    pub stage: Stage,
    /// The value was not live before, so that what was can be put back.
    pub fresh: bool,
    /// The grace counts from here.
    pub since: DateTime<Utc>,
    /// How often it was asked about at this pace.
    pub tries: u32,
    /// When it was last asked about.
    pub asked_at: Option<DateTime<Utc>>,
    /// When it is to be asked about next.
    pub next_at: DateTime<Utc>,
    /// The last verdict was a no, in these words.
    pub rejected: Option<String>,
    /// Why the subject was taken out again.
    pub reason: Option<String>,
    /// When Flashback did not take the older value that was to be put back.
    #[serde(default)]
    pub turned_down_at: Option<DateTime<Utc>>,
}

/// How far a trial has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The provider is asked about the subject, which is not pushed yet.
    Before,
    /// The subject was pushed, and Flashback is asked.
    After,
    /// It did not work: what was live before is put back, and Flashback is asked about that.
    Back,
    /// Nothing better is to be had: the subject is, or goes, in again, whatever is said of it.
    Forward,
    /// An older value stays, whatever is said of it: somebody wanted it so.
    Kept,
}

impl Stage {
    /// The word used in metrics and logs.
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

/// Who has taken a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verifier {
    /// Its provider, before it was pushed.
    Provider,
    /// Flashback, which has called the provider with it.
    Flashback,
}

impl Verifier {
    /// The word used in JSON and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Flashback => "flashback",
        }
    }
}

/// What was said of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Works,
    /// It does not: who said what, for people.
    Rejected(String),
    /// Nothing is known of it for now: why, for people.
    Inconclusive(String),
    /// Nobody there can tell: why, for people.
    Unsupported(String),
}

impl Verdict {
    /// The word used in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Rejected(_) => "rejected",
            Self::Inconclusive(_) => "inconclusive",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// Names the configuration that it was said of.
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

    /// Which of several verdicts on one key counts: the highest.
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
    /// When.
    pub at: DateTime<Utc>,
    /// How long to wait before the next question.
    pub wait: Duration,
    /// How long a fresh key may take to work.
    pub grace: Duration,
}

impl Verification {
    /// One that begins now.
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

    /// The next stage of the same trial.
    #[must_use]
    pub fn enter(&self, stage: Stage, now: DateTime<Utc>) -> Self {
        Self {
            reason: self.reason.clone(),
            ..Self::begin(self.subject.clone(), stage, self.fresh, now)
        }
    }

    /// Whether the next question has to wait.
    pub fn waits(&self, now: DateTime<Utc>) -> bool {
        let asked_at = self.asked_at.unwrap_or(self.since);
        now < self.next_at && !is_ahead(asked_at, now)
    }

    /// Whether the grace was over at `time`.
    pub fn late(&self, grace: Duration, time: DateTime<Utc>) -> bool {
        is_over(self.since, grace, time)
    }

    /// Whether it was rejected, and nothing else was said up to the end of the grace.
    pub fn failed(&self, grace: Duration) -> bool {
        self.rejected.is_some() && self.asked_at.is_some_and(|at| self.late(grace, at))
    }

    /// Whether the way back that Flashback did not take is to be tried again.
    pub fn may_turn_back_again(
        &self,
        after: impl Fn(DateTime<Utc>) -> Duration,
        now: DateTime<Utc>,
    ) -> bool {
        let over = |at| is_over(at, after(at), now);
        self.rejected.is_some() && self.turned_down_at.is_some_and(over)
    }

    /// How many questions in a row were asked at the pace that holds at `now`, and whether that is
    /// the calm one: within the grace the end of it is near, later nobody waits for the answer.
    pub fn pace(&self, grace: Duration, now: DateTime<Utc>) -> (u32, bool) {
        let calm = |time| self.stage == Stage::Forward || self.late(grace, time);
        let changed = self.asked_at.is_some_and(|at| calm(at) != calm(now));
        (if changed { 0 } else { self.tries }, calm(now))
    }

    /// After an answer that was not the end of it. The last question within the grace comes at its
    /// very end.
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
