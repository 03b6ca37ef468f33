//! How a record changes with what is said of a key: beside [`transition`](super::transition), which
//! has what is done with it.

use chrono::{DateTime, Utc};

use super::step::{HoldReason, Stand};
use crate::model::{
    Asked, Held, Live, Origin, Record, Stage, Stored, Verdict, Verification, Verifier, Version,
};

impl Record {
    /// Returns what the provider has said of this value so far, where that was a no.
    pub fn candidate_for(&self, value: &Stored) -> Option<&Verification> {
        let candidate = self.candidate.as_ref();
        candidate.filter(|candidate| candidate.subject == *value)
    }

    /// The provider has said something of a value that is not pushed yet. A no stands until the
    /// grace is over or a yes comes; silence after it does not take it back.
    pub fn probed(&self, value: &Stored, verdict: &Verdict, asked: Asked) -> Self {
        let earlier = self.candidate_for(value).cloned();
        let candidate = match (verdict, earlier) {
            (Verdict::Rejected(said), earlier) => {
                let begun = || Verification::begin(value.clone(), Stage::Before, true, asked.at);
                Some(Verification {
                    rejected: Some(said.clone()),
                    ..earlier.unwrap_or_else(begun)
                })
            }
            (Verdict::Inconclusive(_), earlier) => earlier,
            (Verdict::Works | Verdict::Unsupported(_), _) => None,
        };
        Self {
            candidate: candidate.map(|candidate| candidate.asked(asked)),
            ..self.clone()
        }
    }

    /// Flashback has said something of what it holds.
    pub fn validated(&self, verdict: &Verdict, asked: Asked) -> Self {
        let Some(verification) = &self.verification else {
            return self.clone();
        };
        match verdict {
            Verdict::Works => {
                let live = self.live.clone().map(|live| Live {
                    verified_by: Some(Verifier::Flashback),
                    verified_at: Some(asked.at),
                    ..live
                });
                // The version is good after all.
                let proven = verification.stage == Stage::Forward;
                Self {
                    live,
                    held: self.held.clone().filter(|_| !proven),
                    ..self.without_trial()
                }
                .holding_what_was_turned_back(verification)
            }
            Verdict::Unsupported(_) => self.unverifiable(),
            Verdict::Rejected(said) => {
                let live = self.live.clone().map(|live| Live {
                    verified_by: None,
                    verified_at: None,
                    ..live
                });
                let verification = Verification {
                    rejected: Some(said.clone()),
                    ..verification.asked(asked)
                };
                Self {
                    live,
                    verification: Some(verification),
                    ..self.clone()
                }
            }
            Verdict::Inconclusive(_) => Self {
                verification: Some(verification.asked(asked)),
                ..self.clone()
            },
        }
    }

    /// Nobody can tell any more whether what is on trial works: it stays.
    pub fn unverifiable(&self) -> Self {
        let next = self.without_trial();
        match &self.verification {
            Some(verification) => next.holding_what_was_turned_back(verification),
            None => next,
        }
    }

    fn without_trial(&self) -> Self {
        Self {
            verification: None,
            ..self.clone()
        }
    }

    /// The previous value is back in: the newest, which it has replaced, is held. Where that is
    /// held already and another was on trial meanwhile, it goes on being held.
    fn holding_what_was_turned_back(self, verification: &Verification) -> Self {
        let back = self.live.as_ref().filter(|live| {
            verification.stage == Stage::Back
                && live.fingerprint != verification.subject.fingerprint
        });
        let Some(instead) = back.map(Live::stored) else {
            return self;
        };
        let subject = Held {
            version: verification.subject.version.clone(),
            reason: verification.reason.clone().unwrap_or_default(),
            origin: Some(verification.subject.origin.clone()),
            instead: None,
            left_at: None,
        };
        let newest = self.held.clone().filter(|held| {
            held.version != subject.version && self.seen.as_ref() == Some(&held.version)
        });
        Self {
            held: Some(Held {
                instead: Some(instead),
                ..newest.unwrap_or(subject)
            }),
            ..self
        }
    }

    /// A version that Flashback has not got is not to be pushed by itself.
    pub fn holding(
        &self,
        version: Version,
        origin: Origin,
        reason: &HoldReason,
        now: DateTime<Utc>,
    ) -> Self {
        // What is live, or was being put back, stays where somebody wants it so, whatever is said
        // of it.
        let kept = |verification: &Verification| match (verification.stage, reason) {
            (Stage::Before | Stage::Kept, _) => Some(verification.clone()),
            (_, HoldReason::ByHand) => self.kept(now),
            _ => Some(verification.clone()),
        };
        Self {
            held: Some(Held {
                version,
                reason: reason.to_string(),
                origin: Some(origin),
                instead: self.live.as_ref().map(Live::stored),
                left_at: None,
            }),
            verification: self.verification.as_ref().and_then(kept),
            candidate: None,
            ..self.clone()
        }
    }

    /// An older value is to be put back in the place of `from`.
    pub fn turning_back(
        &self,
        to: Stored,
        from: Version,
        origin: Origin,
        reason: &HoldReason,
        now: DateTime<Utc>,
    ) -> Self {
        let next = Self {
            previous: Some(to.clone()),
            ..self.clone()
        };
        match (reason, &self.verification) {
            (HoldReason::Flashback(_), Some(verification)) => Self {
                verification: Some(Verification {
                    reason: Some(reason.to_string()),
                    ..verification.enter(Stage::Back, now)
                }),
                ..next
            },
            _ => Self {
                held: Some(Held {
                    version: from,
                    reason: reason.to_string(),
                    origin: Some(origin),
                    instead: Some(to),
                    left_at: None,
                }),
                verification: None,
                candidate: None,
                ..next
            },
        }
    }

    /// The value on trial stays, or goes back in, though it was rejected. It is asked about again
    /// when it would have been.
    pub fn letting_stand(&self, stand: Stand, now: DateTime<Utc>) -> Self {
        let Some(verification) = &self.verification else {
            return self.clone();
        };
        let mark = || Held {
            version: verification.subject.version.clone(),
            reason: HoldReason::Flashback(verification.rejected.clone().unwrap_or_default())
                .to_string(),
            origin: Some(verification.subject.origin.clone()),
            instead: None,
            left_at: None,
        };
        Self {
            held: (stand == Stand::Held)
                .then(mark)
                .or_else(|| self.held.clone()),
            verification: Some(Verification {
                asked_at: verification.asked_at,
                next_at: verification.next_at,
                rejected: verification.rejected.clone(),
                turned_down_at: (stand == Stand::ForNow).then_some(now),
                ..verification.enter(Stage::Forward, now)
            }),
            ..self.clone()
        }
    }

    /// What is live stays, and goes on proving itself.
    pub fn keeping(&self, now: DateTime<Utc>) -> Self {
        let instead = self.live.as_ref().map(Live::stored);
        let held = self.held.clone().map(|held| Held { instead, ..held });
        Self {
            held,
            verification: self.kept(now),
            ..self.clone()
        }
    }

    fn kept(&self, now: DateTime<Utc>) -> Option<Verification> {
        let live = self.live.as_ref()?;
        Some(Verification::begin(live.stored(), Stage::Kept, false, now))
    }

    /// The older value could not be written again.
    pub fn leaving_older(&self, now: DateTime<Utc>) -> Self {
        self.with_older(Some(now))
    }

    /// The older value was written again.
    pub(super) fn reading_older_again(&self) -> Self {
        self.with_older(None)
    }

    fn with_older(&self, left_at: Option<DateTime<Utc>>) -> Self {
        let held = self.held.clone().map(|held| Held { left_at, ..held });
        Self {
            held,
            ..self.clone()
        }
    }
}
