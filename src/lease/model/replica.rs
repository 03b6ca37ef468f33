//! A replica: the reconcile runs of the [engine](crate::engine), cut into the steps between which other
//! events may happen. The decision, the transitions and [`HeldLeases`] are the program's own.

use std::rc::Rc;

use super::*;
use crate::reconcile::{
    Compared, Facts, Read, Reason, Rejection, Remote, Rest, Step, What, decide, find,
};

#[derive(Clone, Default)]
pub struct Replica {
    pub dead: bool,
    pub paused: bool,
    /// `true` if it cannot reach the state.
    pub cut: bool,
    pub held: HeldLeases,
    pub id: Option<ReplicaId>,
    pub look: Option<Look>,
    /// The outcome of a write that could not be saved.
    pub kept: Option<Rc<Known>>,
    /// The value that Flashback accepted, and the lease it was written under, until that is saved.
    pub taken: Option<(Lease, u8)>,
    /// `true` if it has written without the lease and has not marked the key yet.
    pub trespassed: bool,
}

#[derive(Clone)]
pub struct Look {
    pub record: Rc<Known>,
    /// The version that the source had.
    pub seen: u8,
    pub read: Option<u8>,
    pub remote: Remote,
    pub rejection: Option<Rejection>,
    pub stage: Stage,
}

#[derive(Clone)]
pub enum Stage {
    Deciding,
    Saving(Rc<Known>, Then),
    /// The intent is saved; the check of the lease is next.
    Beginning(Push),
    /// The lease was checked, and the request has not been sent yet.
    InTheGap(Push),
    Sent(Push),
    Answered(Push, Result<AiLlmId, Rejection>),
}

/// The continuation after a save.
#[derive(Clone)]
pub enum Then {
    Decide,
    Write(Push),
    /// The save records a write that Flashback accepted.
    Outcome,
    TurnedDown(Rejection),
}

#[derive(Clone)]
pub struct Push {
    pub before: Rc<Known>,
    pub id: Option<AiLlmId>,
    pub action: Action,
    pub version: u8,
    pub reason: Reason,
}

/// The result of a call to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Fine,
    /// The call is not carried out, and there is no answer.
    Lost,
    /// The call is carried out, and there is no answer.
    Unanswered,
}

impl World {
    /// Begins a reconcile run: loads the record, saves a kept outcome and asks the source.
    pub fn begin_look(&mut self, r: usize) {
        let record = self.state.load();
        let lease = record.lease;
        let ours = self.replicas[r].held.holds(&key(), lease);
        if let Some(kept) = self.replicas[r].kept.take() {
            if !ours || kept.lease != lease {
                self.late_write(r);
            } else if record.intent.is_some() {
                match self.state.save(&kept, self.guards) {
                    Ok(()) => self.replicas[r].taken = None,
                    Err(_) => self.late_write(r),
                }
            }
        }
        if !ours {
            return;
        }
        let record = Known::of(self.state.load());
        let version = version(self.current);
        let stage = match record.seen.as_ref() == Some(&version) {
            true => Stage::Deciding,
            false => Stage::Saving(Known::of(record.having_seen(&version)), Then::Decide),
        };
        self.replicas[r].look = Some(Look {
            record,
            seen: self.current,
            read: None,
            remote: Remote::Unasked,
            rejection: None,
            stage,
        });
    }

    /// Takes the next step of a reconcile run. With `gap`, the replica is stopped between checking the lease
    /// and sending.
    pub fn step(&mut self, r: usize, call: Call, gap: bool) {
        let Some(mut look) = self.replicas[r].look.take() else {
            return;
        };
        let goes_on = match look.stage.clone() {
            Stage::Deciding => self.decide(&mut look),
            Stage::Saving(next, then) => self.save(r, &mut look, next, then, call),
            Stage::Beginning(push) => self.begin_write(r, &mut look, push, gap),
            Stage::InTheGap(push) => {
                self.send(r, &mut look, push);
                true
            }
            Stage::Sent(_) => unreachable!("it waits for its answer"),
            Stage::Answered(push, answer) => self.answered(r, &mut look, push, answer),
        };
        self.replicas[r].look = goes_on.then_some(look);
    }

    fn decide(&mut self, look: &mut Look) -> bool {
        match self.decision(look) {
            Step::Rest(_) => return false,
            Step::Read(_) => {
                look.read = Some(self.current);
                let version = version(self.current);
                if look.record.seen.as_ref() != Some(&version) {
                    let next = Known::of(look.record.having_seen(&version));
                    look.stage = Stage::Saving(next, Then::Decide);
                }
            }
            Step::List => {
                let listed = |id: &AiLlmId| Listed {
                    id: id.clone(),
                    appearance: APPEARANCE.clone(),
                };
                let all: Vec<Listed> = self.held.iter().map(|one| listed(&one.id)).collect();
                let all: Vec<&Listed> = all.iter().collect();
                look.remote = find(&SETTINGS, &look.record, &all);
            }
            Step::Note(version) => {
                let next = Known::of(look.record.noted(&version, &ORIGIN));
                look.stage = Stage::Saving(next, Then::Decide);
            }
            Step::Push {
                action,
                id,
                reason,
                what: What::Newest,
            } => {
                let read = look.read.expect("a value was read");
                let intent = Intent {
                    version: version(read),
                    fingerprint: self.fingerprint(read),
                    settings: SETTINGS.clone(),
                    action,
                    at: self.now,
                    drift: reason.drift(),
                };
                let push = Push {
                    before: Rc::clone(&look.record),
                    id,
                    action,
                    version: read,
                    reason,
                };
                let next = Known::of(look.record.begun(intent, push.id.as_ref()));
                look.stage = Stage::Saving(next, Then::Write(push));
            }
            step => panic!("no such step in this world: {step:?}"),
        }
        true
    }

    /// Returns whether the next step calls the source or Flashback.
    pub fn asks_somebody(&self, look: &Look) -> bool {
        matches!(self.decision(look), Step::Read(_) | Step::List)
    }

    pub fn decision(&self, look: &Look) -> Step {
        let reading = look.read.map(|index| Read::Value {
            version: version(index),
            fingerprint: self.fingerprint(index),
        });
        decide(&Facts {
            settings: &SETTINGS,
            origin: &ORIGIN,
            record: &look.record,
            observation: &Observation::Present {
                version: version(look.seen),
                written_at: None,
            },
            reading: reading.as_ref(),
            older: None,
            before: None,
            cleared: false,
            remote: &look.remote,
            compared: Some(&Compared::outdated()),
            may_create: true,
            rejection: look.rejection.as_ref(),
            command: KeyCommand::None,
            rules: RULES,
            verify: &VERIFY,
            now: self.now,
        })
    }

    /// Returns whether a reconcile run would end at once, with nothing to do.
    pub fn is_in_sync(&self) -> bool {
        let look = Look {
            record: Known::of(self.state.load()),
            seen: self.current,
            read: None,
            remote: Remote::Unasked,
            rejection: None,
            stage: Stage::Deciding,
        };
        let seen = look.record.seen.as_ref() == Some(&version(self.current));
        seen && self.decision(&look) == Step::Rest(Rest::InSync)
    }

    fn save(&mut self, r: usize, look: &mut Look, next: Rc<Known>, then: Then, call: Call) -> bool {
        let call = if self.replicas[r].cut {
            Call::Lost
        } else {
            call
        };
        let saved = match call {
            Call::Lost => None,
            Call::Fine => Some(self.state.save(&next, self.guards)),
            // Without an answer the replica cannot tell an accepted save from a lost one.
            Call::Unanswered => self.state.save(&next, self.guards).err().map(Err),
        };
        let outcome = matches!(then, Then::Outcome);
        match saved {
            Some(Ok(())) => {}
            Some(Err(_)) => {
                if outcome {
                    self.late_write(r);
                }
                return false;
            }
            None => {
                if outcome && self.guards.kept {
                    self.replicas[r].kept = Some(next);
                }
                return false;
            }
        }
        look.record = next;
        look.stage = match then {
            Then::Write(push) => Stage::Beginning(push),
            Then::Decide => Stage::Deciding,
            Then::Outcome => {
                self.replicas[r].taken = None;
                Stage::Deciding
            }
            Then::TurnedDown(rejection) => {
                let remote = std::mem::replace(&mut look.remote, Remote::Unasked);
                look.remote = remote.after(&rejection, look.rejection.as_ref());
                look.rejection = Some(rejection);
                Stage::Deciding
            }
        };
        true
    }

    fn begin_write(&mut self, r: usize, look: &mut Look, push: Push, gap: bool) -> bool {
        if self.guards.recheck && !self.may_write(r, look.record.lease) {
            self.late_write(r);
            return false;
        }
        if gap {
            look.stage = Stage::InTheGap(push);
            self.replicas[r].paused = true;
        } else {
            self.send(r, look, push);
        }
        true
    }

    fn send(&mut self, r: usize, look: &mut Look, push: Push) {
        let lease = look.record.lease;
        let out_of_the_gap = matches!(look.stage, Stage::InTheGap(_));
        if !self.state.is_held(lease) {
            match out_of_the_gap {
                true => self.replicas[r].trespassed = true,
                false => self.fail("a write is begun without the lease"),
            }
        }
        let value = self.values[usize::from(push.version)];
        if self.replicas[r].taken == lease.map(|lease| (lease, value))
            && push.reason == Reason::Unfinished
        {
            self.fail("a value is written twice because the state was away");
        }
        self.requests.push(Request {
            from: r,
            awaited: true,
            before_the_mark: false,
            id: push.id.clone(),
            value,
        });
        look.stage = Stage::Sent(push);
    }

    fn answered(
        &mut self,
        r: usize,
        look: &mut Look,
        push: Push,
        answer: Result<AiLlmId, Rejection>,
    ) -> bool {
        let lease = look.record.lease;
        if self.guards.bound && !self.may_write(r, lease) {
            self.late_write(r);
            return false;
        }
        look.stage = match answer {
            Ok(id) => {
                let index = push.version;
                self.replicas[r].taken =
                    lease.map(|lease| (lease, self.values[usize::from(index)]));
                look.rejection = None;
                let next = look.record.pushed(self.taken(id, index));
                Stage::Saving(Known::of(next), Then::Outcome)
            }
            Err(rejection) => {
                let next = match &rejection {
                    Rejection::Gone(_) => Known::of(push.before.gone()),
                    Rejection::Refused { .. } => push.before,
                };
                Stage::Saving(next, Then::TurnedDown(rejection))
            }
        };
        true
    }

    pub fn may_write(&self, r: usize, lease: Option<Lease>) -> bool {
        let held = &self.replicas[r].held;
        held.may_write(&key(), lease, self.instant()).is_some()
    }

    /// Records that a write began whose end was not seen under the lease.
    pub fn late_write(&mut self, r: usize) {
        self.replicas[r].held.late_write(&KEY);
        self.abandon(r);
    }
}
