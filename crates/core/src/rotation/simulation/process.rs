//! The process: asks for the next step and carries it out, as the engine does.

use super::*;
use crate::model::{IssuedKey, LastUse, NextKey};

/// What a pass has found out, and how much of its fate is left.
struct Pass<'a> {
    faults: &'a [Fault],
    /// The number of saves and calls that it lives to see.
    left: usize,
    lag: i64,
    now: DateTime<Utc>,
    list: Option<Vec<IssuedKey>>,
    found: Option<Option<ProviderKeyId>>,
    newest: Option<Newest>,
    last_uses: Vec<(ProviderKeyId, LastUse)>,
}

/// What the process sees of a call.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Done,
    Refused,
    None,
}

impl Pass<'_> {
    /// One more save or call: `Err` if the process dies now.
    fn lives(&mut self) -> Result<(), End> {
        self.left = self.left.checked_sub(1).ok_or(End::Died)?;
        Ok(())
    }

    fn fault(&mut self) -> Fault {
        let (first, rest) = self.faults.split_first().unwrap_or((&Fault::Fine, &[]));
        self.faults = rest;
        *first
    }

    /// What was found out is not so any more after a step with an effect.
    fn forget(&mut self, now: DateTime<Utc>) {
        self.now = now;
        self.list = None;
        self.found = None;
        self.newest = None;
        self.last_uses.clear();
    }
}

impl Simulation {
    /// Makes one pass.
    pub(super) fn pass(
        &mut self,
        faults: &[Fault],
        dies_after: Option<usize>,
        lag: i64,
        due: bool,
    ) -> End {
        self.passes += 1;
        // A pass is a part of a check, which observes the source first.
        self.readers[0].record.seen = Some(self.versions[self.newest].0.clone());
        // What a lost answer has left in Flashback is not on record.
        let is_known = |reader: &&SimulatedReader| {
            let live = reader.record.live.as_ref();
            live.is_some_and(|live| live.fingerprint == print_of(reader.live))
        };
        let known = self.readers.iter().filter(is_known);
        let seen: Vec<_> = known.map(|reader| reader.live).collect();
        let began = self.now;
        let mut pass = Pass {
            faults,
            left: dies_after.unwrap_or(usize::MAX),
            lag,
            now: self.clock(),
            list: None,
            found: None,
            newest: None,
            last_uses: Vec::new(),
        };
        for _ in 0..LONGEST_PASS + STEPS_OF_OLD * self.rotation.old.len() {
            let step = self.decide(&pass, due);
            self.trace(|_| format!("{step:?}"));
            match self.carry_out(step, &mut pass) {
                Ok(()) => {}
                Err(End::Died) => {
                    self.memory = None;
                    return End::Died;
                }
                Err(End::Rested(rest)) => {
                    // One that died may have saved nothing of what it saw.
                    self.seen_live
                        .extend(seen.iter().map(|value| (*value, began)));
                    if rest.until.is_some_and(|until| until <= self.clock()) {
                        self.breach(&format!("a rest that is over: {rest:?}"));
                    }
                    return End::Rested(rest);
                }
                Err(end) => return end,
            }
        }
        self.breach(&format!("a pass that does not end: {:?}", self.rotation));
        End::Failed
    }

    fn decide(&self, pass: &Pass<'_>, due: bool) -> Step {
        let rotated = &self.readers[0].record;
        let others: Vec<_> = self.readers[1..]
            .iter()
            .map(|reader| Reader {
                record: reader.record.clone(),
                enabled: reader.enabled,
            })
            .collect();
        let seen = rotated.seen.as_ref();
        let held = rotated.held.as_ref().map(|held| &held.version);
        let name = format!("key-{}", self.rotation.number + 1);
        decide(&Situation {
            now: pass.now,
            rotate: &self.rotate,
            abilities: self.setting.abilities,
            rotation: &self.rotation,
            proof: &Proof::of(rotated, &others, &origin("a")),
            seen,
            held: held.filter(|held| Some(*held) == seen),
            due_at: due.then_some(pass.now),
            doubt: DOUBT,
            has_value: self.has_value(),
            name: &name,
            list: pass.list.as_deref(),
            found: pass.found.as_ref().map(Option::as_ref),
            newest: pass.newest.as_ref(),
            last_uses: &pass.last_uses,
        })
    }

    /// Returns `true` if the value that is on record is in memory.
    fn has_value(&self) -> bool {
        match (&self.rotation.next, self.memory) {
            (Some(NextKey::Minted { fingerprint, .. }), Some(value)) => {
                *fingerprint == print_of(value)
            }
            _ => false,
        }
    }

    fn save(&mut self, next: Rotation, pass: &mut Pass<'_>) -> Result<(), End> {
        pass.lives()?;
        self.rotation = next;
        Ok(())
    }

    fn failed(&mut self, id: Option<&ProviderKeyId>, pass: &mut Pass<'_>) -> Result<(), End> {
        let next = self.rotation.failed(id, "it failed", None, self.clock());
        self.save(next, pass)?;
        Err(End::Failed)
    }

    /// Makes a call with an effect. Whatever comes of it, its answer is lost if the process dies.
    fn call(
        &mut self,
        pass: &mut Pass<'_>,
        provider: bool,
        late: Late,
        effect: impl FnOnce(&mut Self) -> bool,
    ) -> Result<Answer, End> {
        pass.lives()?;
        let fault = match provider && self.now < self.away_until {
            true => Fault::LostRequest,
            false => pass.fault(),
        };
        let answer = match fault {
            Fault::Fine | Fault::LostAnswer => match effect(self) {
                false => Answer::Refused,
                true if fault == Fault::Fine => Answer::Done,
                true => Answer::None,
            },
            Fault::LostRequest => Answer::None,
            Fault::Refused => Answer::Refused,
            Fault::Late {
                seconds,
                taken_over,
            } => {
                self.late
                    .push((self.now + TimeDelta::seconds(seconds), late));
                if taken_over {
                    return Err(End::Died);
                }
                Answer::None
            }
        };
        pass.lives()?;
        pass.forget(self.clock());
        Ok(answer)
    }

    fn carry_out(&mut self, step: Step, pass: &mut Pass<'_>) -> Result<(), End> {
        match step {
            Step::Rest(rest) => Err(End::Rested(rest)),
            Step::Ask(question) => self.find_out(question, pass),
            Step::Save(next, change) => {
                self.note(&change);
                self.save(*next, pass)
            }
            Step::Mint(next) => self.mint(next, pass),
            Step::Store => self.store_value(pass),
            Step::Discard(id) => {
                self.guard_discard(&id);
                let late = Late::Delete(id.clone());
                let answer = self.call(pass, true, late, |world| {
                    world.delete(&id);
                    true
                })?;
                if answer != Answer::Done {
                    return self.failed(None, pass);
                }
                self.save(self.rotation.discarded(self.clock()), pass)
            }
            Step::Disable(id) => {
                self.guard_revoke(&id);
                self.switch(&id, false, pass)
            }
            Step::Enable(id) => self.switch(&id, true, pass),
            Step::Delete(id) => {
                self.guard_revoke(&id);
                self.guard_cool_off(&id);
                let late = Late::Delete(id.clone());
                let answer = self.call(pass, true, late, |world| {
                    world.delete(&id);
                    true
                })?;
                if answer != Answer::Done {
                    return self.failed(Some(&id), pass);
                }
                let next = self.rotation.without(&id, None, self.clock());
                self.save(next, pass)
            }
        }
    }

    fn switch(&mut self, id: &ProviderKeyId, active: bool, pass: &mut Pass<'_>) -> Result<(), End> {
        let late = Late::Active(id.clone(), active);
        let answer = self.call(pass, true, late, |world| world.set_active(id, active))?;
        if answer != Answer::Done {
            return self.failed(Some(id), pass);
        }
        let next = match active {
            true => self.rotation.enabled(id, DOUBT, self.clock()),
            false => self.rotation.disabled(id, self.clock()),
        };
        self.save(next, pass)
    }

    fn mint(&mut self, next: NextKey, pass: &mut Pass<'_>) -> Result<(), End> {
        let NextKey::Minting { name, slot, .. } = &next else {
            unreachable!("a key is made first")
        };
        let (name, slot) = (name.clone(), slot.clone());
        self.guard_mint(slot.as_ref());
        self.save(self.rotation.minting(next, self.clock()), pass)?;
        let late = Late::Mint {
            name: name.clone(),
            slot: slot.clone(),
        };
        let mut made = None;
        let answer = self.call(pass, true, late, |world| {
            made = world.make(&name, slot.as_ref());
            made.is_some()
        })?;
        match (answer, made) {
            (Answer::Done, Some((id, value))) => {
                self.memory = Some(value);
                let token = format!("token-{value}");
                let next = self
                    .rotation
                    .minted(id, print_of(value), token, self.clock());
                self.save(next, pass)
            }
            (Answer::Refused, _) => {
                let next = self.rotation.without_next();
                self.save(next, pass)?;
                self.failed(None, pass)
            }
            _ => self.failed(None, pass),
        }
    }

    fn store_value(&mut self, pass: &mut Pass<'_>) -> Result<(), End> {
        let (
            Some(NextKey::Minted {
                expected,
                token,
                doubtful,
                ..
            }),
            Some(value),
        ) = (self.rotation.next.clone(), self.memory)
        else {
            unreachable!("there is a value")
        };
        let late = Late::Store {
            value,
            token: token.clone(),
            expected: expected.clone(),
        };
        let mut stored = None;
        let mut conflict = false;
        let answer = self.call(pass, false, late, |world| {
            stored = world.store(value, &token, expected.as_ref());
            conflict = stored.is_none();
            !conflict
        })?;
        match (answer, stored) {
            (Answer::Done, Some(version)) => {
                self.memory = None;
                let next = self.rotation.stored(version, self.clock());
                self.save(next, pass)?;
                Err(End::Rested(Rest::default()))
            }
            _ if conflict && answer == Answer::Refused && !doubtful => {
                let newest = self.newest_of();
                pass.newest = Some(newest);
                Ok(())
            }
            _ => self.failed(None, pass),
        }
    }

    fn newest_of(&self) -> Newest {
        let (version, value, _) = &self.versions[self.newest];
        Newest {
            version: Some(version.clone()),
            fingerprint: Some(print_of(*value)),
        }
    }

    fn find_out(&mut self, question: Question, pass: &mut Pass<'_>) -> Result<(), End> {
        let is_away = self.now < self.away_until && question != Question::Newest;
        if is_away || pass.fault() != Fault::Fine {
            let id = match &question {
                Question::LastUse(id) => Some(id),
                _ => None,
            };
            return self.failed(id, pass);
        }
        match question {
            Question::List => pass.list = Some(self.list(pass.lag)),
            Question::Find => {
                let live = self.readers[0]
                    .record
                    .live
                    .as_ref()
                    .map(|live| live.fingerprint);
                // It is the list that shows what a value is like, so it finds what is not there any more.
                let is_it = |key: &&IssuedHere| Some(print_of(key.value)) == live;
                let shown = self.shown_before(pass.lag);
                let found = shown.iter().find(is_it).map(|key| key.id.clone());
                pass.found = Some(found.filter(|_| self.setting.findable));
            }
            Question::Newest => pass.newest = Some(self.newest_of()),
            Question::LastUse(id) => {
                let told = match self.setting.abilities.last_use {
                    true => self.last_use(&id),
                    false => LastUse::Unknown,
                };
                pass.last_uses.push((id, told));
            }
        }
        Ok(())
    }
}
