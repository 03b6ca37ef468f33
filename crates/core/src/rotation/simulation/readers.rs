//! The keys that read the secret: a reconcile of few lines on real records.

use super::*;
use crate::model::{
    AiLlmId, AiType, Held, Intent, KeyId, Live, Record, Settings, Stage as VerificationStage,
    Stored, Target, Verification, Verifier, WorkspaceId, is_over,
};

/// One of them, and what Flashback has for it.
#[derive(Clone, Debug)]
pub(super) struct SimulatedReader {
    pub(super) record: Record,
    pub(super) live: Value,
    pub(super) previous: Value,
    pub(super) enabled: bool,
    /// A person has rolled it back: the value is a matter of theirs.
    pub(super) by_hand: bool,
}

/// What becomes of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushing {
    Fine,
    LostAnswer,
    LostRequest,
}

impl SimulatedReader {
    pub(super) fn new(number: usize) -> Self {
        Self {
            record: Record::new(KeyId::new(format!("k{number}"))),
            live: 0,
            previous: 0,
            enabled: true,
            by_hand: false,
        }
    }
}

fn stored_as(version: &Version, value: Value) -> Stored {
    Stored {
        version: version.clone(),
        fingerprint: print_of(value),
        origin: origin("a"),
    }
}

fn settings() -> Settings {
    Settings {
        workspace_id: WorkspaceId::new("w"),
        name: "n".into(),
        ai_type: AiType::Openai,
        endpoint: String::new(),
        target: Target::Configuration,
    }
}

impl Simulation {
    /// Every key is checked.
    pub(super) fn deliver(&mut self) {
        for at in 0..self.readers.len() {
            self.check(at, Pushing::Fine);
        }
        self.pause(1);
    }

    /// Checks a key: pushes what is newest, verifies it, and puts the previous value back.
    pub(super) fn check(&mut self, at: usize, pushing: Pushing) {
        let (version, value, _) = self.versions[self.newest].clone();
        let clock = self.clock();
        let works = self.readers[at].live != 0 && self.works(self.readers[at].live);
        let reader = &mut self.readers[at];
        if !reader.enabled {
            return;
        }
        reader.record.seen = Some(version.clone());
        if reader
            .record
            .held
            .as_ref()
            .is_some_and(|held| held.version != version)
        {
            reader.record.held = None;
            reader.by_hand = false;
        }
        if reader.record.held.is_some() {
            return;
        }
        let is_there = reader
            .record
            .live
            .as_ref()
            .is_some_and(|live| live.version == version);
        if !is_there || reader.record.intent.is_some() {
            let same = reader
                .record
                .live
                .as_ref()
                .is_some_and(|live| live.fingerprint == print_of(value));
            if same && reader.record.intent.is_none() {
                // The same value under another version is noted.
                if let Some(live) = &mut reader.record.live {
                    live.version = version;
                }
                return;
            }
            push(reader, &version, value, pushing, clock);
            return;
        }
        let Some(verification) = reader.record.verification.clone() else {
            return;
        };
        if works {
            reader.record.verification = None;
            if let Some(live) = &mut reader.record.live {
                live.verified_by = Some(Verifier::Flashback);
                live.verified_at = Some(clock);
            }
        } else if is_over(verification.since, GRACE, clock) {
            self.put_back(at, &version, clock);
        }
    }

    fn put_back(&mut self, at: usize, version: &Version, clock: DateTime<Utc>) {
        let reader = &self.readers[at];
        let Some(previous) = reader.record.previous.clone() else {
            return;
        };
        let value = reader.previous;
        if !self.works(value) {
            // There is nothing to go back to. Whether it was rightly revoked was asked when it was.
            return;
        }
        hold(&mut self.readers[at], version, &previous, value, clock);
    }

    /// A person rolls a key back.
    pub(super) fn roll_back(&mut self, at: usize) {
        let clock = self.clock();
        let reader = &self.readers[at];
        let (Some(live), Some(previous), None) = (
            &reader.record.live,
            reader.record.previous.clone(),
            &reader.record.held,
        ) else {
            return;
        };
        let (version, value) = (live.version.clone(), reader.previous);
        self.brought_back(value);
        let reader = &mut self.readers[at];
        hold(reader, &version, &previous, value, clock);
        reader.by_hand = true;
    }

    /// A person forces what is newest.
    pub(super) fn force(&mut self, at: usize) {
        self.readers[at].record.held = None;
        self.readers[at].by_hand = false;
        self.check(at, Pushing::Fine);
    }
}

fn push(
    reader: &mut SimulatedReader,
    version: &Version,
    value: Value,
    pushing: Pushing,
    clock: DateTime<Utc>,
) {
    let intent = Intent {
        version: version.clone(),
        fingerprint: print_of(value),
        settings: settings(),
        action: crate::model::Action::Update,
        at: clock,
        drift: None,
    };
    reader.record.intent = Some(intent);
    if pushing == Pushing::LostRequest {
        return;
    }
    reader.live = value;
    if pushing == Pushing::LostAnswer {
        return;
    }
    if let Some(live) = reader.record.live.clone()
        && live.verified_by.is_some()
        && live.fingerprint != print_of(value)
    {
        reader.previous = known(live.fingerprint);
        reader.record.previous = Some(live.stored());
    }
    reader.record.intent = None;
    reader.record.ai_llm_id = Some(AiLlmId::new("a"));
    let stored = stored_as(version, value);
    reader.record.live = Some(live_of(&stored, clock, None));
    reader.record.verification = Some(Verification {
        subject: stored,
        stage: VerificationStage::After,
        fresh: reader.record.previous.is_some(),
        since: clock,
        tries: 0,
        asked_at: None,
        next_at: clock,
        rejected: None,
        reason: None,
        turned_down_at: None,
    });
}

/// Returns the value with this digest.
fn known(digest: Fingerprint) -> Value {
    (1..200)
        .find(|value| print_of(*value) == digest)
        .unwrap_or(0)
}

/// The previous value goes back in, and the newest version is held.
fn hold(
    reader: &mut SimulatedReader,
    version: &Version,
    previous: &Stored,
    value: Value,
    clock: DateTime<Utc>,
) {
    reader.record.held = Some(Held {
        version: version.clone(),
        reason: "broken".into(),
        origin: None,
        instead: Some(previous.clone()),
        left_at: None,
    });
    reader.live = value;
    reader.record.intent = None;
    reader.record.verification = None;
    reader.record.live = Some(live_of(previous, clock, Some(Verifier::Flashback)));
}

fn live_of(stored: &Stored, clock: DateTime<Utc>, verified_by: Option<Verifier>) -> Live {
    Live {
        version: stored.version.clone(),
        fingerprint: stored.fingerprint,
        origin: stored.origin.clone(),
        settings: settings(),
        created_at: Some(clock),
        pushed_at: clock,
        verified_by,
        verified_at: verified_by.map(|_| clock),
        shown: None,
    }
}
