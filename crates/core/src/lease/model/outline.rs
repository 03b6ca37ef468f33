//! A hash of the parts of a situation that decide its future: situations with equal hashes are explored once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;

use super::*;
use crate::reconcile::{Read, Remote};

/// A record with its hash. Many situations share one record.
pub struct Known {
    record: Record,
    outline: u64,
}

impl Known {
    pub fn of(record: Record) -> Rc<Self> {
        let mut to = DefaultHasher::new();
        hash(&record, &mut to);
        Rc::new(Self {
            outline: to.finish(),
            record,
        })
    }
}

impl Deref for Known {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

impl Situation {
    pub fn outline(&self) -> u64 {
        let mut to = DefaultHasher::new();
        (
            self.limits,
            self.current,
            &self.held,
            self.made,
            &self.requests,
        )
            .hash(&mut to);
        self.state.outline().hash(&mut to);
        self.state.record.outline.hash(&mut to);
        for one in &self.replicas {
            replica(one, self.instant(), &mut to);
        }
        to.finish()
    }
}

fn replica(one: &Replica, now: Instant, to: &mut impl Hasher) {
    let Replica {
        dead,
        paused,
        cut,
        held,
        id,
        run,
        kept,
        taken,
        trespassed,
    } = one;
    (dead, paused, cut, id, taken, trespassed).hash(to);
    held.outline(now).hash(to);
    if let Some(kept) = kept {
        1.hash(to);
        kept.outline.hash(to);
    }
    if let Some(run) = run {
        2.hash(to);
        hash_run(run, to);
    }
}

fn hash_run(run: &Run, to: &mut impl Hasher) {
    let Run { known, stage } = run;
    hash(&known.record, to);
    let seen = match &known.observation {
        Observation::Present { version, .. } => Some(version),
        Observation::Missing(_) => None,
    };
    let read = match &known.newest {
        Some(Read::Value(value)) => Some(&value.stored.version),
        _ => None,
    };
    (seen, read).hash(to);
    match &known.remote {
        Remote::Found(id) => id.hash(to),
        other => std::mem::discriminant(other).hash(to),
    }
    known.rejection.as_ref().map(rejection).hash(to);
    std::mem::discriminant(stage).hash(to);
    match stage {
        Stage::Deciding => {}
        Stage::Saving(next, then) => {
            next.outline.hash(to);
            std::mem::discriminant(then).hash(to);
            match then {
                Then::Decide | Then::Outcome => {}
                Then::Write(write) => push(write, to),
                Then::TurnedDown(turned_down) => rejection(turned_down).hash(to),
            }
        }
        Stage::Beginning(write) | Stage::InTheGap(write) | Stage::Sent(write) => push(write, to),
        Stage::Answered(write, answer) => {
            push(write, to);
            answer.as_ref().map_err(rejection).hash(to);
        }
    }
}

fn rejection(rejection: &Rejection) -> (Option<AiLlmId>, Option<Action>) {
    match rejection {
        Rejection::Gone(id) => (Some(id.clone()), None),
        Rejection::Refused { action, .. } => (None, Some(*action)),
    }
}

fn push(push: &Push, to: &mut impl Hasher) {
    let Push { before, push } = push;
    before.outline.hash(to);
    let version = &push.value.stored.version;
    (&push.id, push.action, version, push.reason.as_str()).hash(to);
}

/// Leaves out times: in this model they matter only to a resync, which is far in the future.
fn hash(record: &Record, to: &mut impl Hasher) {
    let Record {
        key: _,
        ai_llm_id,
        created: _,
        live,
        intent,
        refusal,
        held,
        previous,
        verification,
        candidate,
        acknowledged: _,
        rotation,
        seen,
        look: _,
        lease,
        repair,
        edits: _,
        unheard: _,
        heard: _,
    } = record;
    assert!(held.is_none() && verification.is_none() && candidate.is_none() && rotation.is_none());
    let live = live.as_ref();
    let live = live.map(|live| (&live.version, live.fingerprint));
    let intent = intent.as_ref();
    let intent = intent.map(|intent| (&intent.version, intent.fingerprint, intent.action));
    let refused = refusal.as_ref().map(|refusal| &refusal.version);
    let previous = previous.as_ref();
    let previous = previous.map(|value| (&value.version, value.fingerprint));
    (
        ai_llm_id, live, intent, refused, previous, seen, lease, repair,
    )
        .hash(to);
}
