//! What happens between two steps.

use super::readers::Pushing;
use super::*;
use crate::model::RotateCommand;

/// What becomes of a call of the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    Fine,
    /// Carried out, and the answer lost.
    LostAnswer,
    /// Not carried out, and no answer.
    LostRequest,
    /// It changes nothing, and says so.
    Refused,
    /// It is carried out after so many seconds. The process waits for it in vain, or has been replaced by another one.
    Late {
        seconds: i64,
        taken_over: bool,
    },
}

/// A call that is under way.
#[derive(Clone, Debug)]
pub(super) enum Late {
    Mint {
        name: String,
        slot: Option<ProviderKeyId>,
    },
    Store {
        value: Value,
        token: String,
        expected: Option<Version>,
    },
    Delete(ProviderKeyId),
    Active(ProviderKeyId, bool),
}

#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// The process looks: what becomes of its calls, after how many saves and calls it dies, how far lists lag.
    Pass {
        faults: Vec<Fault>,
        dies_after: Option<usize>,
        lag: i64,
        due: bool,
    },
    Check {
        reader: usize,
        pushing: Pushing,
    },
    Deliver,
    Wait {
        seconds: i64,
    },
    Die,
    Command {
        compromised: bool,
        even_if_broken: bool,
    },
    RollBack {
        reader: usize,
    },
    Force {
        reader: usize,
    },
    Enable {
        reader: usize,
        enabled: bool,
    },
    /// The provider takes no calls for so long.
    Away {
        seconds: i64,
    },
    /// The process's clock is ahead from now on, or set right again.
    ClockAhead {
        seconds: i64,
    },
    /// Another hand writes a new key of its own, a value that does not work, the newest value once more, an older one.
    WriteOther,
    WriteBroken,
    WriteSame,
    WriteOlder {
        back: usize,
    },
    /// The newest version is an older one again, where a source can do that.
    MoveBack {
        back: usize,
    },
    /// Another hand makes, uses, disables, enables or deletes a key at the provider.
    MakeKey,
    UseKey {
        key: usize,
    },
    DeleteKey {
        key: usize,
    },
    DisableKey {
        key: usize,
    },
    EnableKey {
        key: usize,
    },
    Configure {
        revoke: Revoke,
    },
}

impl Simulation {
    pub(super) fn happen(&mut self, happening: &Happening) {
        self.trace(|world| {
            let live: Vec<_> = world.readers.iter().map(|reader| reader.live).collect();
            format!("{happening:?}, live {live:?}")
        });
        let reader_of = |number: usize| number % self.readers.len();
        match happening {
            Happening::Pass {
                faults,
                dies_after,
                lag,
                due,
            } => {
                let _ = self.pass(faults, *dies_after, *lag, *due);
                self.pause(1);
            }
            Happening::Check { reader, pushing } => {
                self.check(reader_of(*reader), *pushing);
                self.traffic();
            }
            Happening::Deliver => self.deliver(),
            Happening::Wait { seconds } => self.pause(*seconds),
            Happening::Die => self.memory = None,
            Happening::Command {
                compromised,
                even_if_broken,
            } => {
                let command = RotateCommand {
                    compromised: *compromised,
                    even_if_broken: *compromised && *even_if_broken,
                    at: self.clock(),
                };
                self.rotation = self.rotation.asked(command);
            }
            Happening::RollBack { reader } => self.roll_back(reader_of(*reader)),
            Happening::Force { reader } => self.force(reader_of(*reader)),
            Happening::Enable { reader, enabled } => {
                // The rotated key is checked as long as it is rotated.
                let at = reader_of(*reader);
                self.readers[at].enabled = *enabled || at == 0;
            }
            Happening::Away { seconds } => {
                self.away_until = self.now + TimeDelta::seconds(*seconds);
            }
            Happening::ClockAhead { seconds } => {
                self.pause(150);
                let before = self.ahead;
                // Where a key is known by the time at which it was made, the clocks must agree somehow.
                let most = if self.setting.abilities.names {
                    i64::MAX
                } else {
                    240
                };
                self.ahead = TimeDelta::seconds((*seconds).clamp(-most, most));
                self.was_ahead |= self.ahead > before;
            }
            other => self.other_hands(other),
        }
    }

    fn other_hands(&mut self, happening: &Happening) {
        match happening {
            Happening::WriteOther => {
                if let Some(value) = self.make_key() {
                    self.write(value, None);
                }
            }
            Happening::WriteBroken => {
                self.values += 1;
                self.write(self.values, None);
            }
            Happening::WriteSame => {
                let value = self.versions[self.newest].1;
                self.write(value, None);
            }
            Happening::WriteOlder { back } => {
                let value = self.versions[self.newest.saturating_sub(*back)].1;
                self.brought_back(value);
                self.write(value, None);
            }
            Happening::MoveBack { back } => {
                self.newest = self.newest.saturating_sub(*back);
                self.brought_back(self.versions[self.newest].1);
            }
            Happening::MakeKey => {
                let _ = self.make_key();
            }
            Happening::UseKey { key } => {
                // Nobody has the value of a key that was made here and not stored.
                let known = |value: &Value| {
                    let by = self.key_of(*value).map(|key| key.by);
                    by != Some(Maker::Rotator)
                        || self.versions.iter().any(|(_, stored, _)| stored == value)
                };
                if let Some(value) = self.any_key(*key).filter(known) {
                    self.use_key(value);
                }
            }
            Happening::DeleteKey { key } => self.destroy(*key, Self::delete),
            Happening::DisableKey { key } if self.setting.abilities.disables => {
                self.destroy(*key, |world, id| {
                    world.set_active(id, false);
                });
            }
            Happening::EnableKey { key } if self.setting.abilities.disables => {
                if let Some(value) = self.any_key(*key) {
                    let id = self.key_of(value).expect("it is there").id.clone();
                    self.set_active(&id, true);
                }
            }
            Happening::Configure { revoke } => self.rotate.revoke = *revoke,
            _ => {}
        }
    }

    /// Another hand makes a key and uses it at once; `None` if there is no room for one, or if nobody else makes keys here.
    fn make_key(&mut self) -> Option<Value> {
        let abilities = self.setting.abilities;
        let tells = abilities.last_use && !matches!(self.setting.telling, Telling::Never);
        let alone = !abilities.names && !tells && abilities.mints;
        let is_full = abilities
            .limit
            .is_some_and(|limit| self.keys.len() >= limit);
        if alone || is_full || abilities.slots {
            return None;
        }
        let value = self.issue("theirs", Maker::Other);
        self.use_key(value);
        Some(value)
    }

    /// Who brings back a value that is dead for good wants it so. So does who brings back one that a call under way is
    /// about to take for good: no call can be taken back, and nobody is told of it before. What is disabled is enabled
    /// again if it is an old key here, and not compromised.
    pub(super) fn brought_back(&mut self, value: Value) {
        let id = self.key_of(value).map(|key| key.id.clone());
        let mut old = self.rotation.old.iter();
        let old = old.find(|old| Some(&old.key.id) == id.as_ref());
        let comes_back = self.setting.abilities.disables && old.is_some_and(|old| !old.compromised);
        let is_taken = self.late.iter().any(|(_, late)| match late {
            Late::Mint { slot, .. } => slot.is_some() && *slot == id,
            Late::Active(disabled, false) => Some(disabled) == id.as_ref() && !comes_back,
            Late::Active(_, true) | Late::Store { .. } | Late::Delete(_) => false,
        });
        if !self.works(value) && !comes_back || is_taken {
            self.destroyed.insert(value);
        }
    }

    fn any_key(&self, number: usize) -> Option<Value> {
        let count = self.keys.len().max(1);
        self.keys.get(number % count).map(|key| key.value)
    }

    fn destroy(&mut self, number: usize, how: impl Fn(&mut Self, &ProviderKeyId)) {
        let Some(value) = self.any_key(number) else {
            return;
        };
        let id = self.key_of(value).expect("it is there").id.clone();
        self.destroyed.insert(value);
        self.meddled_at = Some(self.now);
        how(self, &id);
    }

    /// A call arrives at last.
    pub(super) fn arrive(&mut self, call: Late) {
        match call {
            Late::Mint { name, slot } => {
                let _ = self.make(&name, slot.as_ref());
            }
            Late::Store {
                value,
                token,
                expected,
            } => {
                let _ = self.store(value, &token, expected.as_ref());
            }
            Late::Delete(id) => {
                // Who has gone back to it meanwhile has gone back to what was as good as dead.
                let value = self
                    .keys
                    .iter()
                    .find(|key| key.id == id)
                    .map(|key| key.value);
                self.destroyed.extend(value);
                self.delete(&id);
            }
            Late::Active(id, active) => {
                self.set_active(&id, active);
            }
        }
    }

    /// The provider makes a key; `None` if there are as many as it allows.
    pub(super) fn make(
        &mut self,
        name: &str,
        slot: Option<&ProviderKeyId>,
    ) -> Option<(ProviderKeyId, Value)> {
        if let Some(slot) = slot {
            let value = self.regenerate(slot, name, Maker::Rotator)?;
            return Some((slot.clone(), value));
        }
        let limit = self.setting.abilities.limit;
        if limit.is_some_and(|limit| self.keys.len() >= limit) {
            return None;
        }
        let value = self.issue(name, Maker::Rotator);
        let key = self.key_of(value).expect("it was made");
        Some((key.id.clone(), value))
    }

    /// The source takes a value; `None` if it has another version than was expected.
    ///
    /// A write that comes again makes no second version. Where another hand has brought back the one from before
    /// meanwhile, it makes its own the newest again: AWS moves the label to it, and a file or KV 1, whose versions are
    /// the digests of their content, has the same content again.
    pub(super) fn store(
        &mut self,
        value: Value,
        token: &str,
        expected: Option<&Version>,
    ) -> Option<Version> {
        let is_ours =
            |(_, _, known): &(Version, Value, Option<String>)| known.as_deref() == Some(token);
        let ours = self.versions.iter().position(is_ours);
        let newest = &self.versions[self.newest].0;
        if ours != Some(self.newest) && self.setting.compares && Some(newest) != expected {
            return None;
        }
        let Some(ours) = ours else {
            return Some(self.write(value, Some(token.to_owned())));
        };
        self.newest = ours;
        Some(self.versions[ours].0.clone())
    }
}
