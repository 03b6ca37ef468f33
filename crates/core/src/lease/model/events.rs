//! The events that may happen next, and their effects.

use std::fmt;

use super::*;

/// An event. The replicas are called `A` and `B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Rotate,
    /// The time of a lease passes: the replicas that run and reach the state have renewed theirs.
    LeasePasses,
    /// The wait for late writes is over.
    LateWritesPast,
    /// A replica marks its late writes, renews its lease, evicts members that are late and claims a free key.
    Tick(usize),
    Release(usize),
    Run(usize),
    Step(usize, Call),
    /// A replica checks its lease, and is stopped before it sends.
    StepIntoGap(usize),
    /// A request arrives, and its answer comes back.
    Arrive(usize),
    ArriveUnanswered(usize),
    Vanish(usize),
    Pause(usize),
    Resume(usize),
    Crash(usize),
    Restart(usize),
    Cut(usize),
    Heal(usize),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |r: &usize| ["A", "B"][*r];
        let request = |n| format!("write {} of those under way", n + 1);
        match self {
            Self::Rotate => f.write_str("the store holds another version"),
            Self::LeasePasses => f.write_str("a lease passes"),
            Self::LateWritesPast => f.write_str("no late write can arrive any more"),
            Self::Tick(r) => write!(f, "{} renews, or joins and claims", name(r)),
            Self::Release(r) => write!(f, "{} gives the key back", name(r)),
            Self::Run(r) => write!(f, "{} begins a reconcile run", name(r)),
            Self::Step(r, Call::Fine) => write!(f, "{} takes a step", name(r)),
            Self::Step(r, Call::Lost) => write!(f, "{}'s save fails", name(r)),
            Self::Step(r, Call::Unanswered) => write!(f, "{}'s save is not answered", name(r)),
            Self::StepIntoGap(r) => write!(f, "{} is stopped just before it sends", name(r)),
            Self::Arrive(n) => write!(f, "{} arrives", request(*n)),
            Self::ArriveUnanswered(n) => {
                write!(f, "{} arrives, and its answer is lost", request(*n))
            }
            Self::Vanish(n) => write!(f, "{} is lost", request(*n)),
            Self::Pause(r) => write!(f, "{} is stopped", name(r)),
            Self::Resume(r) => write!(f, "{} goes on", name(r)),
            Self::Crash(r) => write!(f, "{} is killed", name(r)),
            Self::Restart(r) => write!(f, "{} is started again", name(r)),
            Self::Cut(r) => write!(f, "{} cannot reach the state", name(r)),
            Self::Heal(r) => write!(f, "{} reaches the state again", name(r)),
        }
    }
}

impl Situation {
    /// Returns everything that may happen next.
    pub fn possible(&self) -> Vec<Event> {
        let mut all = Vec::new();
        if self.limits.rotations > 0 {
            all.push(Event::Rotate);
        }
        if self.limits.leases > 0 {
            all.push(Event::LeasePasses);
        }
        let under_way = |request: &Request| request.before_the_mark;
        if self.state.marks.is_waiting() && !self.requests.iter().any(under_way) {
            all.push(Event::LateWritesPast);
        }
        let faults = self.limits.faults > 0;
        for (index, request) in self.requests.iter().enumerate() {
            all.push(Event::Arrive(index));
            if !request.awaited {
                all.push(Event::Vanish(index));
            } else if faults {
                all.extend([Event::ArriveUnanswered(index), Event::Vanish(index)]);
            }
        }
        for r in 0..2 {
            self.possible_for(r, &mut all);
        }
        all
    }

    fn possible_for(&self, r: usize, all: &mut Vec<Event>) {
        let one = &self.replicas[r];
        let faults = self.limits.faults > 0;
        if one.dead {
            all.push(Event::Restart(r));
            return;
        }
        if faults && (self.double_faults || !one.trespassed) {
            all.push(Event::Crash(r));
        }
        if one.paused {
            all.push(Event::Resume(r));
            return;
        }
        if one.cut {
            all.push(Event::Heal(r));
        } else {
            all.push(Event::Tick(r));
            if faults {
                all.push(Event::Cut(r));
            }
        }
        let Some(run) = &one.run else {
            let ours = one.held.holds(&KEY, self.state.claim);
            // Any other reconcile run would change nothing.
            let matters = one.kept.is_some() || (ours && !self.is_in_sync());
            if !one.cut && matters {
                all.push(Event::Run(r));
            }
            if !one.cut && ours && self.limits.releases > 0 {
                all.push(Event::Release(r));
            }
            return;
        };
        if faults {
            all.push(Event::Pause(r));
        }
        if !matches!(run.stage, Stage::Sent(_)) {
            all.push(Event::Step(r, Call::Fine));
        }
        if faults && matches!(run.stage, Stage::Saving(..)) && !one.cut {
            all.extend([Event::Step(r, Call::Lost), Event::Step(r, Call::Unanswered)]);
        }
        if faults && matches!(run.stage, Stage::Beginning(_)) {
            all.push(Event::StepIntoGap(r));
        }
    }

    /// Returns the situation after an event.
    pub fn after(&self, event: Event) -> Self {
        let mut next = self.clone();
        next.happen(event);
        next.check_invariants();
        next
    }

    pub fn happen(&mut self, event: Event) {
        self.charge(event);
        match event {
            Event::Rotate => self.current += 1,
            Event::LeasePasses => self.lease_passes(),
            Event::LateWritesPast => self.state.marks.come_due(),
            Event::Tick(r) => self.tick(r),
            Event::Release(r) => {
                self.replicas[r].held.gave_up(&KEY);
                if let Some(id) = self.replicas[r].id {
                    self.state.release(id);
                }
            }
            Event::Run(r) => self.begin_run(r),
            Event::Step(r, call) => self.step(r, call, false),
            Event::StepIntoGap(r) => self.step(r, Call::Fine, true),
            Event::Arrive(index) => self.arrive(index, true),
            Event::ArriveUnanswered(index) => self.arrive(index, false),
            Event::Vanish(index) => {
                let request = self.requests.remove(index);
                self.unanswered(&request);
            }
            Event::Pause(r) => self.replicas[r].paused = true,
            Event::Resume(r) => self.resume(r),
            Event::Crash(r) => {
                self.replicas[r] = Replica {
                    dead: true,
                    ..Replica::default()
                };
                self.abandon(r);
            }
            Event::Restart(r) => self.replicas[r].dead = false,
            Event::Cut(r) => self.replicas[r].cut = true,
            Event::Heal(r) => self.replicas[r].cut = false,
        }
        for r in 0..2 {
            self.think(r);
        }
    }

    fn charge(&mut self, event: Event) {
        let limits = &mut self.limits;
        let of = match event {
            Event::Rotate => &mut limits.rotations,
            Event::LeasePasses => &mut limits.leases,
            Event::Release(_) => &mut limits.releases,
            Event::Step(_, Call::Lost | Call::Unanswered)
            | Event::StepIntoGap(_)
            | Event::ArriveUnanswered(_)
            | Event::Pause(_)
            | Event::Crash(_)
            | Event::Cut(_) => &mut limits.faults,
            Event::Vanish(index) if self.requests[index].awaited => &mut limits.faults,
            _ => return,
        };
        *of = of.saturating_sub(1);
    }

    pub fn tick(&mut self, r: usize) {
        let asked_at = self.instant();
        let one = &mut self.replicas[r];
        if !one.held.take_late_writes().is_empty() && self.guards.mark {
            self.state.mark(self.guards);
            self.mark_requests();
        }
        let one = &mut self.replicas[r];
        one.trespassed = false;
        match one.id.map(|id| (id, self.state.renew(id, self.guards))) {
            Some((id, Some(in_time))) => {
                one.held.renewed(asked_at, LEASE);
                if in_time {
                    self.state.evict(id);
                }
            }
            Some((_, None)) => {
                one.held.evicted();
                self.break_off(r);
                self.join(r);
            }
            None => self.join(r),
        }
        let claim = self.replicas[r].id;
        let claim = claim.and_then(|id| self.state.claim(id, self.guards));
        if let Some(fencing_token) = claim {
            self.replicas[r].held.claimed([(key(), fencing_token)]);
            self.mark_requests();
        }
    }

    fn join(&mut self, r: usize) {
        let id = self.state.join();
        let asked_at = self.instant();
        let one = &mut self.replicas[r];
        one.id = Some(id);
        one.held.joined(id);
        one.held.renewed(asked_at, LEASE);
    }

    /// Notes the requests under way when a key is marked: they arrive, if at all, before the late write is
    /// due.
    fn mark_requests(&mut self) {
        if self.state.marks.is_waiting() {
            for request in &mut self.requests {
                request.before_the_mark = true;
            }
        }
    }

    /// Ends the leases of replicas that did not renew, a little before they end in the state.
    fn lease_passes(&mut self) {
        self.elapsed += LEASE - LAST_OF_IT;
        let now = self.instant();
        let mut renewing = [None, None];
        for (r, renewing) in renewing.iter_mut().enumerate() {
            let one = &mut self.replicas[r];
            if one.dead || one.paused {
                continue;
            }
            let renews = |id: &ReplicaId| {
                let renewed = self.state.renew(*id, self.guards);
                renewed.is_some()
            };
            *renewing = one.id.filter(|_| !one.cut).filter(renews);
            match renewing {
                Some(_) => one.held.renewed(now, LEASE),
                None => self.break_off(r),
            }
        }
        self.elapsed += LAST_OF_IT;
        self.state.lease_passes(&renewing);
    }

    /// Aborts a write that has lost its lease.
    fn break_off(&mut self, r: usize) {
        let Some(run) = &self.replicas[r].run else {
            return;
        };
        let writing = matches!(run.stage, Stage::Sent(_) | Stage::Answered(..));
        if self.guards.bound && writing && !self.may_write(r, run.known.record.lease) {
            self.late_write(r);
            self.replicas[r].run = None;
        }
    }

    fn resume(&mut self, r: usize) {
        self.replicas[r].paused = false;
        // The step at which it was stopped comes first; then the lease is checked again.
        let one = &self.replicas[r];
        if matches!(&one.run, Some(run) if matches!(run.stage, Stage::InTheGap(_))) {
            self.step(r, Call::Fine, false);
        }
        self.break_off(r);
    }

    fn arrive(&mut self, index: usize, answered: bool) {
        let request = self.requests.remove(index);
        let answer = self.write(request.id.as_ref(), request.value);
        if !answered {
            self.unanswered(&request);
            return;
        }
        if let Some(run) = &mut self.replicas[request.from].run
            && request.awaited
            && let Stage::Sent(push) = &run.stage
        {
            run.stage = Stage::Answered(push.clone(), answer);
        }
    }

    /// Ends the reconcile run that waits for the request. Its intent stays.
    fn unanswered(&mut self, request: &Request) {
        if request.awaited {
            self.replicas[request.from].run = None;
        }
    }

    /// Stops waiting for the requests that a replica has sent.
    pub fn abandon(&mut self, r: usize) {
        for request in self.requests.iter_mut().filter(|request| request.from == r) {
            request.awaited = false;
        }
    }

    /// Takes the steps that involve only the replica itself, since their order among other events does not
    /// matter.
    fn think(&mut self, r: usize) {
        loop {
            let one = &self.replicas[r];
            let alone = !one.paused
                && one.run.as_ref().is_some_and(|run| match &run.stage {
                    Stage::Deciding => !self.asks_somebody(run),
                    Stage::Answered(..) => true,
                    _ => false,
                });
            if !alone {
                return;
            }
            self.step(r, Call::Fine, false);
        }
    }
}
