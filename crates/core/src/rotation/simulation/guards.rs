//! What must hold whenever the process is about to take a key away.

use super::*;
use crate::model::is_over;

impl Simulation {
    /// Notes what a saved change says of keys.
    pub(super) fn note(&mut self, change: &Change) {
        match change {
            Change::Adopted(Some(id)) => {
                self.adopted.insert(id.clone());
            }
            Change::Left(id, _) => {
                self.left.insert(id.clone());
            }
            Change::Forced(id) => {
                let value = self
                    .keys
                    .iter()
                    .find(|key| key.id == *id)
                    .map(|key| key.value);
                self.forced.extend(value);
            }
            _ => {}
        }
    }

    pub(super) fn is_forced(&self, value: Value) -> bool {
        self.forced.contains(&value)
    }

    fn key(&self, id: &ProviderKeyId) -> Option<IssuedHere> {
        self.keys.iter().find(|key| key.id == *id).cloned()
    }

    /// Returns the key that has a value in Flashback, or will have it at its next check.
    fn needs(&self, value: Value) -> Option<usize> {
        let newest = &self.versions[self.newest];
        self.readers.iter().position(|reader| {
            let is_held = reader
                .record
                .held
                .as_ref()
                .is_some_and(|held| held.version == newest.0);
            let takes = reader.enabled && !is_held && newest.1 == value;
            let intends = reader.record.intent.as_ref();
            let intends = intends.is_some_and(|intent| intent.fingerprint == print_of(value));
            let may_go_back = reader.record.verification.is_some() && reader.previous == value;
            reader.live == value || takes || intends || may_go_back
        })
    }

    /// Disabling or deleting an old key.
    pub(super) fn guard_revoke(&mut self, id: &ProviderKeyId) {
        // Nobody is harmed by what is not there.
        let Some(key) = self.key(id) else {
            return;
        };
        let old = self.rotation.old.iter().find(|old| old.key.id == *id);
        let Some(old) = old.cloned() else {
            return self.breach(&format!("{id} is no old key"));
        };
        if key.by != Maker::Rotator && !self.adopted.contains(id) {
            self.breach(&format!(
                "{id} is revoked, and was neither made nor adopted here"
            ));
        }
        let meddled = self
            .meddled_at
            .is_some_and(|at| self.now - at <= TimeDelta::seconds(LAG));
        let is_last = !self
            .keys
            .iter()
            .any(|other| other.active && other.id != *id);
        if key.active && is_last && !meddled {
            self.breach(&format!("{id} is revoked, and is the only active one"));
        }
        if self.is_forced(key.value) || old.compromised && old.even_if_broken {
            self.forced.insert(key.value);
            return;
        }
        if let Some(at) = self.needs(key.value) {
            self.breach(&format!("{id} is revoked, and reader {at} needs it"));
        }
        let live = self.readers[0].record.live.clone();
        let is_verified = |reader: &SimulatedReader| {
            let record = &reader.record;
            let untouched = record.live.is_none() && record.intent.is_none() && !reader.enabled;
            let is_same = record
                .live
                .as_ref()
                .zip(live.as_ref())
                .is_some_and(|(one, other)| {
                    one.version == other.version && one.verified_by.is_some()
                });
            untouched
                || is_same && self.works(reader.live)
                || self.destroyed.contains(&reader.live)
                || self.is_forced(reader.live)
        };
        if let Some(at) = self.readers.iter().position(|reader| !is_verified(reader)) {
            self.breach(&format!(
                "{id} is revoked, and its successor is not verified in reader {at}"
            ));
        }
        if old.compromised || self.was_ahead || !key.active {
            return;
        }
        let now = self.now;
        let within = |at: DateTime<Utc>, wait: Duration| {
            now - at < TimeDelta::from_std(wait).expect("short")
        };
        let tells = self.setting.abilities.last_use
            && matches!(self.setting.telling, Telling::Truth | Telling::Listed);
        if tells && key.used_at.is_some_and(|used| within(used, IDLE)) {
            self.breach(&format!("{id} is revoked, and was used a moment ago"));
        }
        let seen_live = self.seen_live.get(&key.value).copied();
        if seen_live.is_some_and(|at| within(at, OVERLAP / 8 * 7)) {
            self.breach(&format!("{id} is revoked, and the overlap is not over"));
        }
    }

    /// Deleting a key that was disabled here. One whose place is needed at once goes earlier, and so does one that the
    /// configuration wants deleted and not disabled. Of one that another hand has disabled the list may not say so yet,
    /// and one that another hand has enabled is disabled again by an earlier call that comes late.
    pub(super) fn guard_cool_off(&mut self, id: &ProviderKeyId) {
        let key = self.key(id);
        let key = key.filter(|key| !self.destroyed.contains(&key.value));
        let disabled_at = key.and_then(|key| key.disabled_at);
        let late = Duration::from_secs(LATEST.unsigned_abs());
        let is_over = disabled_at.is_none_or(|at| is_over(at, COOL_OFF - late, self.now));
        let is_urgent = self.rotation.command.is_some_and(|it| it.compromised);
        let disables = self.rotate.revoke != Revoke::Delete;
        if disables && !is_over && !is_urgent && !self.was_ahead {
            self.breach(&format!("{id} is deleted, and has not cooled off"));
        }
    }

    /// Removing a key whose value nobody has.
    pub(super) fn guard_discard(&mut self, id: &ProviderKeyId) {
        let Some(key) = self.key(id) else {
            return;
        };
        if key.by != Maker::Rotator {
            self.breach(&format!("{id} is removed, and was not made here"));
        }
        let at = self.needs(key.value);
        if let Some(at) = at.filter(|_| key.active && !self.destroyed.contains(&key.value)) {
            self.breach(&format!("{id} is removed, and reader {at} needs it"));
        }
    }

    /// Making a key, which in a slot revokes the one before.
    pub(super) fn guard_mint(&mut self, slot: Option<&ProviderKeyId>) {
        let Some(key) = slot.and_then(|slot| self.key(slot)) else {
            return;
        };
        let forced = self
            .rotation
            .command
            .is_some_and(|command| command.even_if_broken);
        if let Some(at) = self.needs(key.value).filter(|_| !forced) {
            self.breach(&format!(
                "the slot {} is taken, and reader {at} needs its key",
                key.id
            ));
        }
    }
}
