//! The task that keeps this process a member and carries out what [`balance`](super::balance) decides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::seq::SliceRandom as _;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::balance::{Balance, Contact, Wish};
use super::tell::Teller;
use super::{SetAside, Terms, Worker};
use crate::failpoint;
use crate::lease::LeaseTable;
use crate::model::{KeyId, ReplicaId};
use crate::state::StateError;
use crate::state::membership::{Membership, Renewal, Standing};
use crate::telemetry::metrics::Metrics;

/// The time between two ticks. It varies by a tenth, so that replicas that started together do not stay in
/// step.
const TICK: Duration = Duration::from_millis(500);

/// The smallest number of ticks in a lease. With a short lease, ticks are closer together than [`TICK`].
const TICKS: u32 = 6;

/// The largest number of keys claimed in one call, so that no call takes long.
const BATCH: u32 = 1_000;

/// The membership of this process.
pub struct MembershipTask {
    membership: Arc<dyn Membership>,
    leases: Arc<LeaseTable>,
    worker: Arc<dyn Worker>,
    terms: Terms,
    teller: Teller,
    /// Cancelled when no more keys are to be claimed.
    stop: CancellationToken,
    /// Cancelled when the process is to leave.
    leave: CancellationToken,
    replica: Option<ReplicaId>,
    /// The number of additional keys that it wants, as last announced to the other replicas.
    wants: u32,
    balance: Balance,
    contact: Contact,
    /// The keys that are known to the state.
    known: BTreeSet<KeyId>,
    /// Keys that are not leased according to this process, but may be according to the state. They are
    /// released first.
    doubtful: BTreeSet<KeyId>,
    /// Keys that no other replica claimed while they were free. They are not released as long as the number
    /// of daemons stays the same.
    nobody_elses: BTreeSet<KeyId>,
    daemons: u32,
    /// The keys whose repair was due at the last tick.
    due: BTreeSet<KeyId>,
    audited_at: Option<Instant>,
}

impl MembershipTask {
    /// Creates a task that has not joined yet. It claims no more keys once `stop` is cancelled, and leaves
    /// once `leave` is cancelled.
    pub fn new(
        membership: Arc<dyn Membership>,
        leases: Arc<LeaseTable>,
        worker: Arc<dyn Worker>,
        terms: Terms,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        leave: CancellationToken,
    ) -> Self {
        Self {
            membership,
            leases,
            worker,
            teller: Teller::new(metrics),
            terms,
            stop,
            leave,
            replica: None,
            wants: 0,
            balance: Balance::default(),
            contact: Contact::default(),
            known: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            nobody_elses: BTreeSet::new(),
            daemons: 0,
            due: BTreeSet::new(),
            audited_at: None,
        }
    }

    /// Runs until `leave` is cancelled, and then leaves.
    pub async fn run(&mut self) {
        let leave = self.leave.clone();
        loop {
            failpoint::reach("share_ticked");
            let mut ticked = self.tick().await;
            if ticked == Err(StateError::Lost) {
                self.evicted("the lease was over before the state was told something");
                ticked = Ok(());
            }
            self.worker.state_answers(ticked.is_ok());
            let tick = TICK.min(self.terms.lease / TICKS);
            let wait = tick.mul_f64(rand::random_range(0.9..1.1));
            if leave.run_until_cancelled(sleep(wait)).await.is_none() {
                break;
            }
        }
        if let Err(error) = self.go().await {
            tracing::warn!(%error, "the other replicas could not be told: they wait for the end of the lease");
        }
    }

    async fn tick(&mut self) -> Result<(), StateError> {
        self.report_late_writes().await?;
        self.give_back_doubtful().await?;
        let Some(standing) = self.renew().await? else {
            return Ok(());
        };
        if self.stop.is_cancelled() {
            return Ok(());
        }
        let configured = self.worker.configured();
        self.know(&configured).await?;
        let standing = match self.even_out(&configured, standing).await? {
            Some(standing) => standing,
            None => return Ok(()),
        };
        self.audit(&configured, &standing).await?;
        // Only keys that have newly come due are announced: each check of a key schedules the next one
        // itself.
        let due: BTreeSet<KeyId> = standing.due.into_iter().collect();
        let newly: Vec<KeyId> = due.difference(&self.due).cloned().collect();
        self.due = due;
        if !newly.is_empty() {
            self.worker.check_now(&newly);
        }
        self.worker.joined();
        Ok(())
    }

    /// Marks the keys that may have been written after their lease. This comes before anything else.
    async fn report_late_writes(&self) -> Result<(), StateError> {
        let late_writes: Vec<KeyId> = self.leases.take_late_writes().into_iter().collect();
        if late_writes.is_empty() {
            return Ok(());
        }
        let marked = self.membership.mark(&late_writes).await;
        if marked.is_err() {
            late_writes
                .iter()
                .for_each(|key| self.leases.late_write(key));
        }
        marked
    }

    /// Renews the lease, joining first if necessary. Returns `None` if the replica was evicted twice in a
    /// row.
    async fn renew(&mut self) -> Result<Option<Standing>, StateError> {
        for _ in 0..2 {
            let replica = match self.replica {
                Some(replica) => replica,
                None => self.join().await?,
            };
            let asked_at = Instant::now();
            let lease = self.terms.lease;
            let renewal = Renewal {
                lease,
                wants: self.wants,
                evict: self.contact.may_evict(asked_at, lease),
            };
            let renewed = self.membership.renew(replica, renewal).await;
            self.teller.renewal(&renewed);
            match renewed? {
                Some(standing) => {
                    self.leases.renewed(asked_at, lease);
                    self.contact.renewed(asked_at, lease);
                    return Ok(Some(standing));
                }
                None => self.evicted("the lease was over before it was renewed"),
            }
        }
        Ok(None)
    }

    async fn join(&mut self) -> Result<ReplicaId, StateError> {
        let (asked_at, lease) = (Instant::now(), self.terms.lease);
        let replica = self.membership.join(&self.terms.member, lease).await?;
        self.leases.joined(replica);
        self.leases.renewed(asked_at, lease);
        self.replica = Some(replica);
        self.wants = 0;
        Ok(replica)
    }

    /// Handles an eviction: all keys are lost.
    fn evicted(&mut self, why: &str) {
        let lost = self.held();
        self.leases.evicted();
        self.replica = None;
        self.doubtful.clear();
        self.nobody_elses.clear();
        self.teller.lost(lost.len(), why);
        self.worker.lost(&lost);
    }

    fn held(&self) -> Vec<KeyId> {
        let held = self.leases.keys().unwrap_or_default();
        held.into_iter().collect()
    }

    async fn give_back_doubtful(&mut self) -> Result<(), StateError> {
        let Some(replica) = self.replica.filter(|_| !self.doubtful.is_empty()) else {
            return Ok(());
        };
        let keys: Vec<KeyId> = self.doubtful.iter().cloned().collect();
        self.membership.release(replica, &keys).await?;
        self.doubtful.clear();
        Ok(())
    }

    async fn know(&mut self, configured: &BTreeSet<KeyId>) -> Result<(), StateError> {
        let unknown: Vec<KeyId> = configured.difference(&self.known).cloned().collect();
        if !unknown.is_empty() {
            self.membership.know(&unknown).await?;
            self.known.extend(unknown);
        }
        Ok(())
    }

    /// Releases and claims keys. Returns the standing afterwards, or `None` if the replica was evicted.
    async fn even_out(
        &mut self,
        configured: &BTreeSet<KeyId>,
        standing: Standing,
    ) -> Result<Option<Standing>, StateError> {
        if std::mem::replace(&mut self.daemons, standing.daemons) != standing.daemons {
            self.nobody_elses.clear();
        }
        let held = self.leases.keys().unwrap_or_default();
        let gone: Vec<KeyId> = held.difference(configured).cloned().collect();
        self.give(&gone, gone.len(), &standing).await?;

        let of_use = held.intersection(configured).count();
        let role = self.terms.member.role;
        let wish = self
            .balance
            .decide(role, &standing, number(configured.len()), number(of_use));
        if wish.give > 0 {
            let mut keys: Vec<KeyId> = held
                .intersection(configured)
                .filter(|key| !self.nobody_elses.contains(*key))
                .cloned()
                .collect();
            keys.shuffle(&mut rand::rng());
            self.give(&keys, wish.give as usize, &standing).await?;
        }
        let claimed = self.claim(configured, &held, &wish, &standing).await?;
        let wants = wish.wants.saturating_sub(claimed);
        if std::mem::replace(&mut self.wants, wants) < wants {
            // The other replicas should learn of it within a tick.
            return self.renew().await;
        }
        Ok(Some(standing))
    }

    /// Releases up to `most` of these keys, leaving out those that are being worked on.
    async fn give(
        &mut self,
        keys: &[KeyId],
        most: usize,
        standing: &Standing,
    ) -> Result<(), StateError> {
        let aside: Vec<SetAside> = self.worker.set_aside(keys, most);
        let keys: Vec<KeyId> = aside.iter().map(|aside| aside.key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        self.worker.flush().await?;
        for key in &keys {
            self.leases.gave_up(key);
        }
        self.doubtful.extend(keys.iter().cloned());
        self.worker.lost(&keys);
        self.give_back_doubtful().await?;
        let held = self.held().len();
        self.teller.released(&keys, held, standing.daemons);
        // From here on the keys may be worked on by the replica that claims them.
        drop(aside);
        Ok(())
    }

    /// Claims keys and returns how many it obtained.
    async fn claim(
        &mut self,
        configured: &BTreeSet<KeyId>,
        held: &BTreeSet<KeyId>,
        wish: &Wish,
        standing: &Standing,
    ) -> Result<u32, StateError> {
        let Some(replica) = self.replica.filter(|_| wish.claim > 0) else {
            return Ok(0);
        };
        let mut open: BTreeSet<KeyId> = configured.difference(held).cloned().collect();
        let mut got = 0;
        while got < wish.claim {
            let most = (wish.claim - got).min(BATCH);
            let asked: Vec<KeyId> = open.iter().cloned().collect();
            self.doubtful.clone_from(&open);
            let claims = self.membership.claim(replica, &asked, most).await?;
            self.doubtful.clear();
            let keys: Vec<KeyId> = claims.iter().map(|(key, _)| key.clone()).collect();
            self.leases.claimed(claims);
            got += number(keys.len());
            if !keys.is_empty() {
                for key in &keys {
                    open.remove(key);
                }
                if wish.over {
                    self.nobody_elses.extend(keys.iter().cloned());
                }
                self.worker.took(&keys).await;
                let held = held.len() + got as usize;
                self.teller.claimed(&keys, held, standing.daemons);
            }
            // If the next renewal is due soon, the rest is claimed after it.
            if number(keys.len()) < most || self.is_pressed() {
                break;
            }
        }
        if wish.over && got == 0 {
            self.balance.in_vain();
        }
        Ok(got)
    }

    /// Returns `true` if calls have taken so long that the next renewal must come before anything else.
    fn is_pressed(&self) -> bool {
        !self.contact.is_fresh(Instant::now(), self.terms.lease)
    }

    /// Compares the number of keys that the state counts with what this process knows, once per lease.
    async fn audit(
        &mut self,
        configured: &BTreeSet<KeyId>,
        standing: &Standing,
    ) -> Result<(), StateError> {
        let held = self.leases.keys().unwrap_or_default();
        self.teller.standing(standing.daemons, held.len());
        let due = |at: Instant| at.elapsed() >= self.terms.lease;
        if self.audited_at.is_some_and(|at| !due(at)) || self.is_pressed() {
            return Ok(());
        }
        let Some(replica) = self.replica else {
            return Ok(());
        };
        let free = match standing.free {
            0 => 0,
            _ => {
                let keys: Vec<KeyId> = configured.iter().cloned().collect();
                self.membership.unheld(&keys).await?.len()
            }
        };
        self.teller.free(free);
        let all = self.membership.replicas().await?;
        let counted = all.iter().find(|other| other.id == replica);
        let counted = counted.map(|this| this.keys as usize);
        match counted {
            Some(counted) if counted > held.len() => {
                self.doubtful = self.known.difference(&held).cloned().collect();
                self.give_back_doubtful().await?;
            }
            Some(counted) if counted < held.len() => {
                // The state was restored to an earlier point: other replicas may claim the keys that it does
                // not know of.
                self.membership.leave(replica).await?;
                self.evicted("the state has lost claims: was it restored from a copy?");
            }
            _ => {}
        }
        self.audited_at = Some(Instant::now());
        Ok(())
    }

    /// Leaves and releases all keys.
    async fn go(&mut self) -> Result<(), StateError> {
        let held = self.held();
        let flushed = self.worker.flush().await;
        // Running writes are stopped before another replica may begin to write.
        self.leases.evicted();
        let Some(replica) = self.replica.take() else {
            return Ok(());
        };
        self.report_late_writes().await?;
        self.membership.leave(replica).await?;
        self.teller
            .released(&held, 0, self.daemons.saturating_sub(1));
        flushed
    }
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
