//! A state that several replicas share, in memory: it keeps the contract of
//! [`store::share`](crate::state::share), as far as one key goes. Each method is one transaction.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::Guards;
use super::outline::Known;
use crate::model::{FencingToken, Lease, Record, Repair, ReplicaId};
use crate::state::membership::LATE_WRITE;

/// Everything the state keeps.
#[derive(Clone)]
pub struct State {
    pub record: Rc<Known>,
    /// Who has joined and was not struck out, and whose lease is not over.
    rows: BTreeMap<ReplicaId, bool>,
    joined: i64,
    pub claim: Option<Lease>,
    fences: i64,
    pub marks: Marks,
}

/// What asks for the key to be written once more.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    number: i64,
    /// At once.
    now: bool,
    /// Once more when nothing can arrive any more that was under way.
    late: bool,
}

/// The key is somebody else's.
#[derive(Debug)]
pub struct Refused;

impl State {
    pub fn new(record: Record) -> Self {
        Self {
            record: Known::of(record),
            rows: BTreeMap::new(),
            joined: 0,
            claim: None,
            fences: 0,
            marks: Marks::default(),
        }
    }

    pub fn join(&mut self) -> ReplicaId {
        self.joined += 1;
        let id = ReplicaId(self.joined);
        self.rows.insert(id, true);
        id
    }

    /// `None` where it was struck out; else whether its lease was not over yet.
    pub fn renew(&mut self, replica: ReplicaId, guards: Guards) -> Option<bool> {
        let was = self.rows.get(&replica).copied();
        if was.is_some() || !guards.renewal_excludes {
            self.rows.insert(replica, true);
        }
        was.or((!guards.renewal_excludes).then_some(false))
    }

    /// Whoever was not late itself strikes out the others that are.
    pub fn evict(&mut self, by: ReplicaId) {
        self.rows.retain(|id, fresh| *fresh || *id == by);
        let rows = &self.rows;
        self.claim = self.claim.filter(|lease| rows.contains_key(&lease.replica));
    }

    pub fn claim(&mut self, replica: ReplicaId, guards: Guards) -> Option<FencingToken> {
        if self.claim.is_some() || !self.rows.contains_key(&replica) {
            return None;
        }
        self.fences += 1;
        let fencing_token = FencingToken(self.fences);
        self.claim = Some(Lease {
            replica,
            fencing_token,
        });
        if self.record.intent.is_some() && guards.late_repair {
            self.marks.late = true;
        }
        Some(fencing_token)
    }

    pub fn release(&mut self, replica: ReplicaId) {
        self.claim = self.claim.filter(|lease| lease.replica != replica);
    }

    /// A lease passes, in which these went on renewing theirs.
    pub fn lease_passes(&mut self, renewing: &[Option<ReplicaId>]) {
        for (id, fresh) in &mut self.rows {
            *fresh = renewing.contains(&Some(*id));
        }
    }

    pub fn load(&self) -> Record {
        Record {
            lease: self.claim,
            repair: self.marks.repair(),
            ..Record::clone(&self.record)
        }
    }

    pub fn save(&mut self, record: &Record, guards: Guards) -> Result<(), Refused> {
        if guards.fenced && record.lease != self.claim {
            return Err(Refused);
        }
        if let Some(repair) = record.repair.filter(|repair| repair.done) {
            self.marks.heeded(repair);
        }
        self.record = Known::of(Record {
            lease: None,
            repair: None,
            ..record.clone()
        });
        Ok(())
    }

    pub fn mark(&mut self, guards: Guards) {
        self.marks.mark(guards);
    }

    /// Whose claim it is, as the state sees it.
    pub fn is_held(&self, lease: Option<Lease>) -> bool {
        lease.is_some() && self.claim == lease
    }

    /// What decides how it goes on.
    pub fn outline(&self) -> impl std::hash::Hash + use<> {
        let rows: Vec<_> = self.rows.iter().map(|(id, fresh)| (*id, *fresh)).collect();
        (rows, self.joined, self.claim, self.fences, self.marks)
    }
}

impl Marks {
    fn mark(&mut self, guards: Guards) {
        self.number += 1;
        self.now = true;
        // Where there is one time only, the sooner one takes the place of the later.
        self.late = guards.marked_twice;
    }

    /// A record that was loaded with this says that it was written.
    fn heeded(&mut self, repair: Repair) {
        self.now &= repair.number != self.number;
    }

    fn repair(self) -> Option<Repair> {
        (self.now || self.late).then_some(Repair {
            number: self.number,
            due_in: if self.now { Duration::ZERO } else { LATE_WRITE },
            done: false,
        })
    }

    pub fn is_waiting(self) -> bool {
        self.late
    }

    /// Nothing that was under way can arrive any more.
    pub fn come_due(&mut self) {
        self.number += 1;
        self.now = true;
        self.late = false;
    }

    pub fn none(self) -> bool {
        !self.now && !self.late
    }
}
