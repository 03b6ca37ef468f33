//! Carries out the rotation of a key: asks [`rotation::decide`](crate::rotation::decide) for the next step until it rests.
//!
//! It runs at the end of each check, under the key's guard and lease, on the record that the check has left. The record
//! is saved before each step with an effect at the provider or in the source, and after it. What is stored comes back as
//! any rotation does: the source's trigger or the next check sees a new version.

mod carry_out;
mod events;
mod find_out;
mod revoked;

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ask::Ask;
use super::context::Engine;
use super::due::due_at;
use super::managed_key::{KeyGuard, ManagedKey};
use super::problem::Fault;
use crate::failpoint;
use crate::model::{HistoryRow, KeyId, Record, RotateCommand, RotateConfig, Rotation};
use crate::provider::Provider;
use crate::rotation::{Proof, Question, Reader, Rest, Situation, Step, decide};
use crate::state::StateError;

use find_out::{Asking, FoundOut, Unanswered};

/// The greatest number of steps in one check. Only a key with many old ones has more to do, and goes on at the next one.
const MOST_STEPS: usize = 32;

/// The time after which a call whose answer was lost has had its effect, or never will: longer than any call may take,
/// and than a provider's list may be behind.
const DOUBT: Duration = Duration::from_secs(60);

/// Carries out the rotation of one key.
pub(super) struct Rotator<'a> {
    pub ask: Ask<'a>,
    pub guard: &'a mut KeyGuard,
    pub record: &'a mut Record,
    config: &'a RotateConfig,
    provider: &'a dyn Provider,
    proof: Proof,
    found_out: FoundOut,
}

/// What comes after a step.
enum Then {
    /// The next one.
    GoOn,
    /// Nothing more in this pass: it goes on at this time.
    Rest(Rest),
}

impl Then {
    fn at(until: DateTime<Utc>, waiting: Option<String>) -> Self {
        Self::Rest(Rest {
            until: Some(until),
            waiting,
        })
    }
}

/// Takes the rotation of a key as far as it gets now. Returns until when it rests; `None` if the key is not rotated.
pub(super) async fn rotate(
    ask: Ask<'_>,
    guard: &mut KeyGuard,
    record: &mut Record,
) -> Result<Option<Rest>, Fault> {
    let (engine, managed) = (ask.engine, ask.managed);
    let config = managed.config.rotate.as_deref();
    end_rotation(engine, managed, config, record).await?;
    let Some(config) = config else {
        return Ok(None);
    };
    let provider = &engine.providers[&config.provider];
    let proof = Proof::of(
        record,
        &readers(engine, managed).await?,
        &managed.config.origin,
    );
    let rotator = Rotator {
        ask,
        guard,
        record,
        config,
        provider: provider.as_ref(),
        proof,
        found_out: FoundOut::begin(),
    };
    Box::pin(rotator.run()).await.map(Some)
}

/// Forgets the rotations of a key that is not rotated any more, or by another provider. Nothing is revoked.
async fn end_rotation(
    engine: &Engine,
    managed: &ManagedKey,
    config: Option<&RotateConfig>,
    record: &mut Record,
) -> Result<(), Fault> {
    let Some(rotation) = record.rotation.as_deref() else {
        return Ok(());
    };
    if config.is_some_and(|config| config.provider == rotation.provider) {
        return Ok(());
    }
    events::ended(managed, rotation);
    let next = Record {
        rotation: None,
        ..record.clone()
    };
    engine.store.save(&next, None).await?;
    *record = next;
    Ok(())
}

/// Records that a person asks for a rotation.
pub(super) async fn ask_for_rotation(
    engine: &Engine,
    config: &RotateConfig,
    command: RotateCommand,
    record: Record,
) -> Result<Record, StateError> {
    let new = || Rotation::new(config.provider.clone());
    let rotation = record.rotation.as_deref().cloned().unwrap_or_else(new);
    let next = Record {
        rotation: Some(Box::new(rotation.asked(command))),
        ..record
    };
    engine.store.save(&next, None).await?;
    Ok(next)
}

/// Returns the other keys that read the secret of a key that is rotated, with their records.
async fn readers(engine: &Engine, managed: &ManagedKey) -> Result<Vec<Reader>, Fault> {
    let mut readers = Vec::new();
    for (key, enabled) in managed.sharers.iter() {
        readers.push(Reader {
            record: engine.store.load(key).await?,
            enabled: *enabled,
        });
    }
    Ok(readers)
}

/// Returns the name of the `number`th key that is made for this key, by which it is known at the provider: no other
/// key, and no other installation, gives it.
fn provider_name(engine: &Engine, key: &KeyId, number: u64) -> String {
    /// The longest part of a key's id in a name: Google's ids have 63 characters at most.
    const LONGEST: usize = 32;
    let tag = engine.fingerprinter.bytes(key.as_str().as_bytes()).short();
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9') => c,
        _ => '-',
    };
    let slug: String = key.as_str().chars().map(plain).take(LONGEST).collect();
    format!("rotator-{}-{slug}-{number}", &tag[..8])
}

impl Rotator<'_> {
    async fn run(mut self) -> Result<Rest, Fault> {
        if self.value_of(&self.rotation()).is_none() {
            // The record is about another key meanwhile.
            self.guard.minted = None;
        }
        for _ in 0..MOST_STEPS {
            let step = self.decide();
            let then = match step {
                Step::Rest(rest) => return Ok(rest),
                Step::Ask(question) => self.ask(question).await?,
                step => self.carry_out(step).await?,
            };
            if let Then::Rest(rest) = then {
                return Ok(rest);
            }
        }
        Ok(Rest::default())
    }

    fn decide(&self) -> Step {
        let (managed, engine) = (self.ask.managed, self.ask.engine);
        let rotation = self.rotation();
        let seen = self.record.seen.as_ref();
        let held = self.record.held.as_ref().map(|held| &held.version);
        decide(&Situation {
            now: self.found_out.since,
            rotate: self.config,
            abilities: self.provider.abilities(),
            rotation: &rotation,
            proof: &self.proof,
            seen,
            held: held.filter(|held| Some(*held) == seen),
            due_at: due_at(&managed.key, self.config, self.record),
            doubt: doubt(),
            has_value: self.value_of(&rotation).is_some(),
            name: &provider_name(engine, &managed.key, rotation.number + 1),
            list: self.found_out.list.as_deref(),
            found: self.found_out.found.as_ref().map(Option::as_ref),
            newest: self.found_out.newest.as_ref(),
            last_uses: &self.found_out.last_uses,
        })
    }

    /// Finds out what is asked for. Without an answer, the pass ends.
    async fn ask(&mut self, question: Question) -> Result<Then, Fault> {
        let asking = Asking {
            ask: self.ask,
            provider: self.provider,
            record: self.record,
        };
        match self.found_out.find_out(question, &asking).await? {
            Ok(()) => Ok(Then::GoOn),
            Err(Unanswered::Provider(id, error)) => self.provider_failed(id.as_ref(), &error).await,
            Err(Unanswered::Source(error)) => self.source_failed(&error).await,
            Err(Unanswered::Later) => Ok(Then::at(Utc::now() + doubt(), None)),
        }
    }

    /// Returns the record of the rotations so far.
    fn rotation(&self) -> Rotation {
        let new = || Rotation::new(self.config.provider.clone());
        self.record.rotation.as_deref().cloned().unwrap_or_else(new)
    }

    /// Saves the record with these rotations, and a line of the audit trail with it.
    async fn save(&mut self, rotation: Rotation, row: Option<HistoryRow>) -> Result<(), Fault> {
        let next = Record {
            rotation: Some(Box::new(rotation)),
            ..self.record.clone()
        };
        self.ask.engine.store.save(&next, row.as_ref()).await?;
        *self.record = next;
        Ok(())
    }
}

/// Returns [`DOUBT`], which tests shorten.
fn doubt() -> Duration {
    failpoint::interval("FLASHBACK_ROTATOR_DOUBT_MS", DOUBT)
}
