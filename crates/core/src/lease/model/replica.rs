//! A replica: the reconcile runs of the engine, cut into the steps between which other
//! events may happen. The decision, the transitions and [`HeldLeases`] are the program's own.

use std::rc::Rc;

use super::*;
use crate::reconcile::{
    Compared, Conclusion, Knowledge, Question, Read, ReadValue, Reason, Rejection, Rest, Step,
    decide, find,
};

#[derive(Clone, Default)]
pub struct Replica {
    pub dead: bool,
    pub paused: bool,
    /// `true` if it cannot reach the state.
    pub cut: bool,
    pub held: HeldLeases,
    pub id: Option<ReplicaId>,
    pub run: Option<Run>,
    /// The outcome of a write that could not be saved.
    pub kept: Option<Rc<Known>>,
    /// The value that Flashback accepted, and the lease it was written under, until that is saved.
    pub taken: Option<(Lease, u8)>,
    /// `true` if it has written without the lease and has not marked the key yet.
    pub trespassed: bool,
}

#[derive(Clone)]
pub struct Run {
    pub known: Rc<Knowledge>,
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
    pub push: Rc<reconcile::Push>,
}

impl Push {
    /// Returns the index of the version that is written.
    pub fn index(&self) -> u8 {
        let number = self.push.value.stored.version.number();
        u8::try_from(number.expect("a number")).expect("small") - 1
    }
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

impl Situation {
    /// Begins a reconcile run: loads the record, saves a kept outcome and asks the source.
    pub fn begin_run(&mut self, r: usize) {
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
        let known = self.knowledge();
        let version = version(self.current);
        let stage = match known.record.seen.as_ref() == Some(&version) {
            true => Stage::Deciding,
            false => Stage::Saving(Known::of(known.record.having_seen(&version)), Then::Decide),
        };
        let known = Rc::new(known);
        self.replicas[r].run = Some(Run { known, stage });
    }

    /// Returns the knowledge with which a check begins: the record, and the version that the source has.
    fn knowledge(&self) -> Knowledge {
        Knowledge {
            observation: Observation::Present {
                version: version(self.current),
                written_at: None,
            },
            compared: Some(Compared::outdated()),
            ..Knowledge::new(Arc::clone(&CONFIG), RULES, self.state.load(), self.now)
        }
    }

    /// Takes the next step of a reconcile run. With `gap`, the replica is stopped between checking the lease
    /// and sending.
    pub fn step(&mut self, r: usize, call: Call, gap: bool) {
        let Some(mut run) = self.replicas[r].run.take() else {
            return;
        };
        let goes_on = match run.stage.clone() {
            Stage::Deciding => self.decide(&mut run),
            Stage::Saving(next, then) => self.save(r, &mut run, next, then, call),
            Stage::Beginning(push) => self.begin_write(r, &mut run, push, gap),
            Stage::InTheGap(push) => {
                self.send(r, &mut run, push);
                true
            }
            Stage::Sent(_) => unreachable!("it waits for its answer"),
            Stage::Answered(push, answer) => self.answered(r, &mut run, push, answer),
        };
        self.replicas[r].run = goes_on.then_some(run);
    }

    fn decide(&mut self, run: &mut Run) -> bool {
        let known = Rc::make_mut(&mut run.known);
        match decide(known) {
            Step::Rest(_) => return false,
            Step::Ask(Question::Read(_)) => {
                let version = version(self.current);
                known.newest = Some(Read::Value(self.read(self.current)));
                if known.record.seen.as_ref() != Some(&version) {
                    let next = Known::of(known.record.having_seen(&version));
                    run.stage = Stage::Saving(next, Then::Decide);
                }
            }
            Step::Ask(Question::List) => {
                let listed = |id: &AiLlmId| Listed {
                    id: id.clone(),
                    appearance: APPEARANCE.clone(),
                };
                let all: Vec<Listed> = self.held.iter().map(|one| listed(&one.id)).collect();
                let all: Vec<&Listed> = all.iter().collect();
                known.remote = find(&CONFIG.settings, &known.record, &all);
            }
            Step::Push(push) => {
                let next = Known::of(known.begin(&push));
                let push = Push {
                    before: Known::of(known.record.clone()),
                    push: Rc::new(*push),
                };
                run.stage = Stage::Saving(next, Then::Write(push));
            }
            Step::Conclude(conclusion @ Conclusion::Note(_)) => {
                let next = known.conclude(&conclusion);
                run.stage = Stage::Saving(Known::of(next), Then::Decide);
            }
            step => panic!("no such step in this situation: {step:?}"),
        }
        true
    }

    fn read(&self, index: u8) -> ReadValue {
        ReadValue {
            stored: self.stored(index),
            credentials: Arc::clone(&CREDENTIALS),
        }
    }

    /// Returns `true` if the next step calls the source or Flashback.
    pub fn asks_somebody(&self, run: &Run) -> bool {
        matches!(
            decide(&run.known),
            Step::Ask(Question::Read(_)) | Step::Ask(Question::List)
        )
    }

    /// Returns `true` if a reconcile run would end at once, with nothing to do.
    pub fn is_in_sync(&self) -> bool {
        let known = self.knowledge();
        let seen = known.record.seen.as_ref() == Some(&version(self.current));
        seen && decide(&known) == Step::Rest(Rest::InSync)
    }

    fn save(&mut self, r: usize, run: &mut Run, next: Rc<Known>, then: Then, call: Call) -> bool {
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
        let known = Rc::make_mut(&mut run.known);
        known.record.clone_from(&next);
        run.stage = match then {
            Then::Write(push) => Stage::Beginning(push),
            Then::Decide => Stage::Deciding,
            Then::Outcome => {
                self.replicas[r].taken = None;
                Stage::Deciding
            }
            Then::TurnedDown(rejection) => {
                known.turned_down(rejection);
                Stage::Deciding
            }
        };
        true
    }

    fn begin_write(&mut self, r: usize, run: &mut Run, push: Push, gap: bool) -> bool {
        if self.guards.recheck && !self.may_write(r, run.known.record.lease) {
            self.late_write(r);
            return false;
        }
        if gap {
            run.stage = Stage::InTheGap(push);
            self.replicas[r].paused = true;
        } else {
            self.send(r, run, push);
        }
        true
    }

    fn send(&mut self, r: usize, run: &mut Run, push: Push) {
        let lease = run.known.record.lease;
        let out_of_the_gap = matches!(run.stage, Stage::InTheGap(_));
        if !self.state.is_held(lease) {
            match out_of_the_gap {
                true => self.replicas[r].trespassed = true,
                false => self.fail("a write is begun without the lease"),
            }
        }
        let value = self.values[usize::from(push.index())];
        if self.replicas[r].taken == lease.map(|lease| (lease, value))
            && push.push.reason == Reason::Unfinished
        {
            self.fail("a value is written twice because the state was away");
        }
        self.requests.push(Request {
            from: r,
            awaited: true,
            before_the_mark: false,
            id: push.push.id.clone(),
            value,
        });
        run.stage = Stage::Sent(push);
    }

    fn answered(
        &mut self,
        r: usize,
        run: &mut Run,
        push: Push,
        answer: Result<AiLlmId, Rejection>,
    ) -> bool {
        let lease = run.known.record.lease;
        if self.guards.bound && !self.may_write(r, lease) {
            self.late_write(r);
            return false;
        }
        run.stage = match answer {
            Ok(id) => {
                let value = self.values[usize::from(push.index())];
                self.replicas[r].taken = lease.map(|lease| (lease, value));
                let next = Rc::make_mut(&mut run.known).pushed(&push.push, id, None);
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
