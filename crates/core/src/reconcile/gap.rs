//! The gap between the value that is live and the one that should be, and the step that closes it.

use super::desired::Desired;
use super::home::{Home, Obstacle, home};
use super::knowledge::{Knowledge, Read, ReadValue};
use super::step::{Conclusion, Push, Question, Reason, Rest, Stand, Step, What};
use super::{drift, previous, verification};
use crate::model::{KeyCommand, Live};
use crate::secret::Fingerprint;

/// The gap between the value that is live and the one that should be.
#[derive(Clone, Copy)]
struct Gap<'a> {
    known: &'a Knowledge,
    desired: Desired<'a>,
    /// The fingerprint of the value that should be live. That of the newest version is known once it is read.
    fingerprint: Option<Fingerprint>,
}

/// Returns the next step towards the value that should be live; `None` if it is live already.
pub fn close(known: &Knowledge, desired: Desired<'_>) -> Option<Step> {
    let gap = Gap::before_reading(known, desired);
    let due = gap.reason();
    if due.is_none() && gap.has_same_version() {
        return None;
    }
    if matches!(due, Some(Reason::Resync | Reason::Repair))
        && let Some(step) = drift::before_resync(known)
    {
        return Some(step);
    }
    let value = match read(known, desired) {
        Ok(value) => value,
        Err(step) => return Some(*step),
    };
    let gap = Gap {
        fingerprint: Some(value.stored.fingerprint),
        ..gap
    };
    Some(match gap.reason() {
        None => Step::Conclude(Conclusion::Note(value.stored.version)),
        Some(reason) => gap.write(value, reason),
    })
}

/// Returns the value that should be live. `Err` is not a failure: it is the step to take instead, which reads the value
/// or records that it cannot be read.
fn read(known: &Knowledge, desired: Desired<'_>) -> Result<ReadValue, Box<Step>> {
    let (wanted, in_verification) = match (desired, &known.newest) {
        (Desired::Newest(_), Some(Read::Value(value))) => return Ok(value.clone()),
        (Desired::Newest(version), None) => {
            return Err(Box::new(Step::Ask(Question::Read(version.clone()))));
        }
        (Desired::Newest(_), Some(Read::Malformed { error, .. })) => {
            return Err(Box::new(Step::Rest(Rest::Malformed(error.clone()))));
        }
        (Desired::Newest(_), Some(Read::Missing(why))) => {
            return Err(Box::new(Step::Rest(Rest::Missing(*why))));
        }
        (
            Desired::Previous {
                value,
                in_verification,
            },
            _,
        ) => (value, in_verification),
    };
    previous::read(known, wanted)?
        .map_err(|why| Box::new(given_up(in_verification, Stand::Best, why)))
}

/// Returns the step that records why a previous version is not put back.
fn given_up(in_verification: bool, stand: Stand, why: String) -> Step {
    match in_verification {
        true => Step::Conclude(Conclusion::LetStand { stand, why }),
        false => Step::Conclude(Conclusion::Leave(why)),
    }
}

impl<'a> Gap<'a> {
    fn before_reading(known: &'a Knowledge, desired: Desired<'a>) -> Self {
        let fingerprint = match desired {
            Desired::Newest(_) => None,
            Desired::Previous { value, .. } => Some(value.fingerprint),
        };
        Self {
            known,
            desired,
            fingerprint,
        }
    }

    fn live(&self) -> Option<&'a Live> {
        self.known.record.live.as_ref()
    }

    fn has_same_settings(&self) -> bool {
        let wanted = &self.known.config.settings;
        self.live().is_some_and(|live| live.settings == *wanted)
    }

    fn has_same_version(&self) -> bool {
        let Desired::Newest(version) = self.desired else {
            // A previous version is identified by its value.
            return true;
        };
        let origin = &self.known.config.origin;
        let same = |live: &Live| live.version == *version && live.origin == *origin;
        self.has_same_settings() && self.live().is_some_and(same)
    }

    fn has_same_value(&self) -> bool {
        let fingerprint = self.live().map(|live| live.fingerprint);
        fingerprint.is_some() && fingerprint == self.fingerprint
    }

    /// Returns `true` if the value is live with the settings it should have.
    fn is_written(&self) -> bool {
        self.has_same_settings() && self.has_same_value()
    }

    /// Returns the reason for writing the value: the first one that applies. Before the newest version is read, these
    /// are the reasons that apply whatever its value is. A value that differs is written as a rotation and not as a
    /// repair; and a repair that is due but may not be written yet keeps a resync from coming before it.
    fn reason(&self) -> Option<Reason> {
        let (known, record) = (self.known, &self.known.record);
        let (newest, in_verification) = match self.desired {
            Desired::Newest(_) => (true, false),
            Desired::Previous {
                in_verification, ..
            } => (false, in_verification),
        };
        let differs = self.fingerprint.is_some() && !self.is_written();
        let in_place = newest || self.has_same_value();
        let best_guess = |value: &_| verification::goes_back_in(record, value);
        if newest && differs && self.fingerprint.as_ref().is_some_and(best_guess) {
            Some(Reason::BestGuess)
        } else if newest && known.command == KeyCommand::Force {
            Some(Reason::Forced)
        } else if let Some(intent) = record.intent.as_ref().filter(|_| in_place) {
            Some(Reason::of(intent))
        } else if !newest && in_place && differs {
            Some(Reason::SettingsChanged)
        } else if let Some(drifted) = drift::due(known) {
            Some(drifted)
        } else if !in_place {
            // The previous value is not live: the newest is, or nothing is because the configuration was deleted.
            Some(Reason::RolledBack)
        } else if known.repair_is_due() && !differs {
            Some(Reason::Repair)
        } else if known.resync_is_due() && !known.repair_is_due() && !in_verification {
            Some(Reason::Resync)
        } else if !differs {
            None
        } else if record.live.is_none() {
            Some(Reason::First)
        } else if self.has_same_value() {
            Some(Reason::SettingsChanged)
        } else {
            Some(Reason::Rotated)
        }
    }

    /// Returns the step that writes a value, or one that has to come before.
    fn write(&self, value: ReadValue, reason: Reason) -> Step {
        let known = self.known;
        if let Desired::Newest(_) = self.desired {
            let written = self.is_written() && known.record.intent.is_none();
            if let Some(step) = verification::ask_provider(known, &value, written) {
                return step;
            }
        }
        match (home(known), self.desired) {
            (Err(Obstacle::Step(step)), _) => *step,
            (Err(Obstacle::Refused(error)), Desired::Newest(_)) => {
                Step::Conclude(Conclusion::Refuse {
                    version: value.stored.version,
                    error,
                })
            }
            (
                Err(Obstacle::Refused(error)),
                Desired::Previous {
                    in_verification, ..
                },
            ) => given_up(in_verification, Stand::ForNow, error),
            (Ok(Home { action, id }), desired) => Step::Push(Box::new(Push {
                action,
                id,
                value,
                reason,
                what: match desired {
                    Desired::Newest(_) => What::Newest,
                    Desired::Previous { .. } => What::Older,
                },
            })),
        }
    }
}
