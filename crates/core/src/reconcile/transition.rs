//! The changes of a record by what was done and found. The engine and the tests that try every order of events
//! use the same ones.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::knowledge::Rules;
use super::pushed::{self, Pushed};
use super::step::{HoldReason, Stand};
use crate::model::{
    Action, AiLlmId, Asked, Held, Intent, Live, Origin, Record, Refusal, Settings, Stage, Stored,
    Verdict, Verification, Verifier, Version, is_over,
};

/// The time after which Flashback has reported a write as an event, or never will.
const HEARD_AFTER: Duration = Duration::from_secs(10 * 60);

impl Record {
    /// Returns the record after a push that Flashback has accepted.
    pub fn pushed(&self, pushed: Pushed) -> Self {
        pushed::pushed(self, pushed)
    }

    /// Returns the record to be saved before a write is sent: it names what is about to be written, and where.
    pub fn begun(&self, intent: Intent, id: Option<&AiLlmId>) -> Self {
        let mut next = self.clone();
        if intent.action != Action::Update {
            // Another configuration than the one on record, if there was one: what that holds
            // says nothing about this.
            next.previous = self.last_good();
            next.live = None;
        }
        next.ai_llm_id = id.cloned();
        if intent.action != Action::Create {
            let pushed_at = self.live.as_ref().map(|live| live.pushed_at);
            let pause = pushed_at.is_some_and(|at| is_over(at, HEARD_AFTER, intent.at));
            next.edits = self.edits.begun(pause);
        }
        next.intent = Some(intent);
        next
    }

    /// Returns the value to put back if the next one does not work: the live one, or the one before it while the
    /// live one is still being verified.
    pub(super) fn last_good(&self) -> Option<Stored> {
        let proven = match &self.verification {
            None => true,
            Some(verification) => {
                verification.stage == Stage::Kept && verification.rejected.is_none()
            }
        };
        let live = self.live.as_ref().filter(|_| proven).map(Live::stored);
        live.or_else(|| self.previous.clone())
    }

    /// Returns the record after Flashback said that it has no configuration of the id on record.
    pub fn gone(&self) -> Self {
        Self {
            ai_llm_id: None,
            previous: self.last_good(),
            live: None,
            intent: None,
            ..self.clone()
        }
    }

    /// Returns the record after the live value was found under another version or origin.
    pub fn noted(&self, version: &Version, origin: &Origin) -> Self {
        let Some(live) = &self.live else {
            return self.clone();
        };
        let renamed = |value: &Stored| match value.fingerprint == live.fingerprint {
            true => Stored {
                version: version.clone(),
                fingerprint: value.fingerprint,
                origin: origin.clone(),
            },
            false => value.clone(),
        };
        let verification = self.verification.as_ref().map(|verification| {
            let back = verification.stage == Stage::Back
                && verification.subject.fingerprint != live.fingerprint;
            Verification {
                subject: renamed(match back {
                    // The value that was put back is the newest now, and its verification goes on.
                    true => self.previous.as_ref().unwrap_or(&verification.subject),
                    false => &verification.subject,
                }),
                stage: if back {
                    Stage::After
                } else {
                    verification.stage
                },
                fresh: verification.fresh && !back,
                ..verification.clone()
            }
        });
        Self {
            previous: self.previous.as_ref().map(renamed),
            verification,
            live: Some(Live {
                version: version.clone(),
                origin: origin.clone(),
                ..live.clone()
            }),
            refusal: None,
            ..self.clone()
        }
    }

    /// Returns the record after Flashback refused a version.
    pub fn refused(
        &self,
        version: Version,
        origin: Origin,
        settings: Settings,
        error: String,
        rules: &Rules,
        now: DateTime<Utc>,
    ) -> Self {
        let brought_forward = |before: &&Refusal| {
            before.is_of(&version, &origin, &settings) && before.at < rules.since
        };
        let before = self.refusal.as_ref().filter(brought_forward);
        let early = before.map_or(0, |before| before.early.saturating_add(1));
        let refusal = Some(Refusal {
            version,
            origin,
            settings,
            at: now,
            early,
            error,
        });
        Self {
            refusal,
            ..self.clone()
        }
    }

    /// Returns the record after the reported updates were evaluated. Credentials that another user has written are
    /// not known to work, and may have put right what was refused.
    pub fn hearing(&self) -> Self {
        let edits = self.edits.heard(&self.unheard);
        let changed = edits.changed_by.is_some();
        let live = self.live.clone().map(|live| Live {
            verified_by: live.verified_by.filter(|_| !changed),
            verified_at: live.verified_at.filter(|_| !changed),
            ..live
        });
        Self {
            live,
            refusal: self.refusal.clone().filter(|_| !changed),
            edits,
            heard: self.unheard.iter().map(|edit| edit.id).collect(),
            unheard: Vec::new(),
            ..self.clone()
        }
    }

    /// Returns the record after the source was seen to have this version. Holds and provider verdicts on other
    /// versions are dropped.
    pub fn having_seen(&self, version: &Version) -> Self {
        let candidate = |verification: &Verification| verification.subject.version == *version;
        Self {
            seen: Some(version.clone()),
            held: self.held.clone().filter(|held| held.version == *version),
            candidate: self.candidate.clone().filter(candidate),
            ..self.clone()
        }
    }

    /// Returns the verification of a value that the provider has rejected so far, if it is this value.
    pub fn candidate_for(&self, value: &Stored) -> Option<&Verification> {
        let candidate = self.candidate.as_ref();
        candidate.filter(|candidate| candidate.subject == *value)
    }

    /// Returns the record after the provider's verdict on a value that is not pushed yet. A rejection counts until
    /// the grace is over or the provider accepts the value; an inconclusive answer does not cancel it.
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

    /// Returns the record after Flashback's verdict on the live value.
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
                    ..self.without_verification()
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

    /// Returns the record after a verification that ends without a verdict: the live value stays.
    pub fn unverifiable(&self) -> Self {
        let next = self.without_verification();
        match &self.verification {
            Some(verification) => next.holding_what_was_turned_back(verification),
            None => next,
        }
    }

    fn without_verification(&self) -> Self {
        Self {
            verification: None,
            ..self.clone()
        }
    }

    /// Returns the record with a hold on the value that the previous one has replaced. A hold on the newest version
    /// that exists already stays.
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

    /// Returns the record with a hold on a version that is not live.
    pub fn holding(
        &self,
        version: Version,
        origin: Origin,
        reason: &HoldReason,
        now: DateTime<Utc>,
    ) -> Self {
        // A value that is live or was being put back stays if a person wants it so, whatever the verdict.
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

    /// Returns the record after the decision to put a previous value back in place of `from`.
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

    /// Returns the record after the decision to leave a rejected value in Flashback, or to push it again. The time
    /// of the next question stays the same.
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

    /// Returns the record after the decision to keep the live value and to go on verifying it.
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

    /// Returns the record after a previous value could not be written again.
    pub fn leaving_older(&self, now: DateTime<Utc>) -> Self {
        self.with_older(Some(now))
    }

    /// Returns the record after a previous value was written again.
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
