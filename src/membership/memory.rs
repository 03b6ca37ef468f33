//! A shared state in memory, on the clock of the test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::model::{FencingToken, KeyId, ReplicaId};
use crate::state::StateError;
use crate::state::membership::{Member, Membership, Renewal, Replica, Role, Standing};

#[derive(Default)]
pub struct Tables {
    replicas: BTreeMap<ReplicaId, Row>,
    holders: BTreeMap<KeyId, Option<ReplicaId>>,
    fences: i64,
    joined: i64,
    pub marked: BTreeSet<KeyId>,
}

struct Row {
    member: Member,
    until: Instant,
    wants: u32,
}

/// One replica's connection to the state. It can be cut.
#[derive(Clone, Default)]
pub struct Link {
    tables: Arc<Mutex<Tables>>,
    cut: Arc<AtomicBool>,
    /// Set by a test to have the next claim carried out and its answer lost.
    pub lose_claim: Arc<AtomicBool>,
}

impl Link {
    /// Returns another connection to the same state.
    pub fn another(&self) -> Self {
        Self {
            tables: Arc::clone(&self.tables),
            ..Self::default()
        }
    }

    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock()
    }

    /// Returns the replica that has leased each key, according to the state.
    pub fn holders(&self) -> BTreeMap<KeyId, Option<ReplicaId>> {
        self.tables().holders.clone()
    }

    fn asked(&self) -> Result<MutexGuard<'_, Tables>, StateError> {
        match self.cut.load(Ordering::Relaxed) {
            true => Err(away()),
            false => Ok(self.tables()),
        }
    }
}

fn away() -> StateError {
    StateError::Failed {
        place: "memory".to_owned(),
        reason: "as the test says".to_owned(),
    }
}

impl Tables {
    /// Removes a replica and frees its keys.
    pub fn evict(&mut self, replica: ReplicaId) {
        self.replicas.remove(&replica);
        for holder in self.holders.values_mut() {
            holder.take_if(|holder| *holder == replica);
        }
    }

    /// Restores the state to a time before the key was claimed.
    pub fn forget_claim(&mut self, key: &KeyId) {
        self.holders.insert(key.clone(), None);
    }

    fn standing(&self, replica: ReplicaId) -> Standing {
        let daemons = || {
            let rows = self.replicas.iter();
            rows.filter(|(_, row)| row.member.role == Role::Daemon)
        };
        let count = |size: usize| u32::try_from(size).expect("few");
        Standing {
            daemons: count(daemons().count()),
            rank: count(daemons().filter(|(id, _)| **id < replica).count()),
            wanted: daemons()
                .filter(|(id, _)| **id != replica)
                .map(|(_, row)| row.wants)
                .sum(),
            free: count(
                self.holders
                    .values()
                    .filter(|holder| holder.is_none())
                    .count(),
            ),
            due: self
                .marked
                .iter()
                .filter(|key| self.holders.get(*key) == Some(&Some(replica)))
                .cloned()
                .collect(),
        }
    }
}

#[async_trait]
impl Membership for Link {
    async fn join(&self, member: &Member, lease: Duration) -> Result<ReplicaId, StateError> {
        let mut tables = self.asked()?;
        tables.joined += 1;
        let id = ReplicaId(tables.joined);
        let row = Row {
            member: member.clone(),
            until: Instant::now() + lease,
            wants: 0,
        };
        tables.replicas.insert(id, row);
        Ok(id)
    }

    async fn know(&self, keys: &[KeyId]) -> Result<(), StateError> {
        let mut tables = self.asked()?;
        for key in keys {
            tables.holders.entry(key.clone()).or_default();
        }
        Ok(())
    }

    async fn renew(
        &self,
        replica: ReplicaId,
        renewal: Renewal,
    ) -> Result<Option<Standing>, StateError> {
        let mut tables = self.asked()?;
        let now = Instant::now();
        let Some(row) = tables.replicas.get_mut(&replica) else {
            return Ok(None);
        };
        row.until = now + renewal.lease;
        row.wants = renewal.wants;
        if renewal.evict {
            let over: Vec<ReplicaId> = tables
                .replicas
                .iter()
                .filter(|(_, row)| row.until < now)
                .map(|(id, _)| *id)
                .collect();
            over.into_iter().for_each(|id| tables.evict(id));
        }
        Ok(Some(tables.standing(replica)))
    }

    async fn claim(
        &self,
        replica: ReplicaId,
        keys: &[KeyId],
        most: u32,
    ) -> Result<Vec<(KeyId, FencingToken)>, StateError> {
        let mut tables = self.asked()?;
        if !tables.replicas.contains_key(&replica) {
            return Err(StateError::Lost);
        }
        let mut claims = Vec::new();
        for key in keys {
            if claims.len() < most as usize && tables.holders.get(key) == Some(&None) {
                tables.holders.insert(key.clone(), Some(replica));
                tables.fences += 1;
                claims.push((key.clone(), FencingToken(tables.fences)));
            }
        }
        match self.lose_claim.swap(false, Ordering::Relaxed) {
            true => Err(away()),
            false => Ok(claims),
        }
    }

    async fn release(&self, replica: ReplicaId, keys: &[KeyId]) -> Result<(), StateError> {
        let mut tables = self.asked()?;
        for key in keys {
            if let Some(holder) = tables.holders.get_mut(key) {
                holder.take_if(|holder| *holder == replica);
            }
        }
        Ok(())
    }

    async fn leave(&self, replica: ReplicaId) -> Result<(), StateError> {
        self.asked()?.evict(replica);
        Ok(())
    }

    async fn mark(&self, keys: &[KeyId]) -> Result<(), StateError> {
        self.asked()?.marked.extend(keys.iter().cloned());
        Ok(())
    }

    async fn replicas(&self) -> Result<Vec<Replica>, StateError> {
        let tables = self.asked()?;
        let now = Instant::now();
        let keys = |id: ReplicaId| {
            let held = tables
                .holders
                .values()
                .filter(|holder| **holder == Some(id));
            u32::try_from(held.count()).expect("few")
        };
        let replica = |(id, row): (&ReplicaId, &Row)| Replica {
            id: *id,
            member: row.member.clone(),
            alive: row.until >= now,
            keys: keys(*id),
        };
        Ok(tables.replicas.iter().map(replica).collect())
    }

    async fn unheld(&self, keys: &[KeyId]) -> Result<Vec<KeyId>, StateError> {
        let tables = self.asked()?;
        let unheld = |key: &&KeyId| tables.holders.get(*key).copied().flatten().is_none();
        Ok(keys.iter().filter(unheld).cloned().collect())
    }
}
