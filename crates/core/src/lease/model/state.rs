//! A state in memory that several replicas share. It keeps the contract of
//! `state::membership`, as far as it concerns one key. Each method is one
//! transaction.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::Guards;
use super::outline::Known;
use crate::model::LATE_WRITE;
use crate::model::{FencingToken, Lease, Record, Repair, ReplicaId};

/// The simulated state.
#[derive(Clone)]
pub struct State {
    pub record: Rc<Known>,
    /// The members, each with whether it has renewed its lease in time.
    rows: BTreeMap<ReplicaId, bool>,
    joined: i64,
    pub claim: Option<Lease>,
    fences: i64,
    pub marks: Marks,
}

/// The marks that request further writes of the key.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    number: i64,
    /// A write is due at once.
    now: bool,
    /// A write is due once no request under way can arrive any more.
    late: bool,
}

/// The error for a replica that does not have the lease.
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

    /// Renews a lease. Returns `None` if the replica was evicted, or else whether it renewed in time.
    pub fn renew(&mut self, replica: ReplicaId, guards: Guards) -> Option<bool> {
        let was = self.rows.get(&replica).copied();
        if was.is_some() || !guards.renewal_excludes {
            self.rows.insert(replica, true);
        }
        was.or((!guards.renewal_excludes).then_some(false))
    }

    /// Evicts the members that have not renewed in time, on behalf of one that has.
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

    /// Lets a lease's time pass, in which only the given replicas have renewed.
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

    /// Returns `true` if the state takes this to be the current lease.
    pub fn is_held(&self, lease: Option<Lease>) -> bool {
        lease.is_some() && self.claim == lease
    }

    /// Returns the parts that decide the future.
    pub fn outline(&self) -> impl std::hash::Hash + use<> {
        let rows: Vec<_> = self.rows.iter().map(|(id, fresh)| (*id, *fresh)).collect();
        (rows, self.joined, self.claim, self.fences, self.marks)
    }
}

impl Marks {
    fn mark(&mut self, guards: Guards) {
        self.number += 1;
        self.now = true;
        // Without that guard there is one due time only, and the earlier one replaces the later.
        self.late = guards.marked_twice;
    }

    /// Clears the due mark after the save of a write that began under it.
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

    /// Makes the later write due: no request under way can arrive any more.
    pub fn come_due(&mut self) {
        self.number += 1;
        self.now = true;
        self.late = false;
    }

    pub fn none(self) -> bool {
        !self.now && !self.late
    }
}
