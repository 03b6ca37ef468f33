//! The decision as it was before it said what it wants, kept to hold the new one against it.

mod drift;
mod push;
mod verification;

use chrono::{DateTime, Utc};

use self::push::{known_id, push};
use super::{Compared, HoldReason, ListAge, Reason, Rejection, Remote, Rest, Rules, Stand, What};
use crate::config::VerifyConfig;
use crate::model::{
    Action, AiLlmId, KeyCommand, Live, Missing, Observation, Origin, Record, Settings, Stage,
    Stored, Version, is_over,
};
use crate::secret::Fingerprint;

/// All that is known when a decision is asked for.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What the configuration in Flashback should look like.
    pub settings: &'a Settings,
    /// Where its value is taken from.
    pub origin: &'a Origin,
    /// What is remembered.
    pub record: &'a Record,
    /// What the store was seen to hold.
    pub observation: &'a Observation,
    /// What was read from it in this pass.
    pub reading: Option<&'a Read>,
    /// What was read of an older version in this pass.
    pub older: Option<&'a Older>,
    /// What the store said in this pass about the version before the one on trial.
    pub before: Option<&'a Result<Version, String>>,
    /// The provider was asked in this pass about the value that was read, and nothing it said
    /// stands in the way.
    pub cleared: bool,
    /// What Flashback's list said in this pass.
    pub remote: &'a Remote,
    /// What it said in this pass about the configuration on record.
    pub compared: Option<&'a Compared>,
    /// Where there is none, one may be made.
    pub may_create: bool,
    /// How a push of this pass was turned down.
    pub rejection: Option<&'a Rejection>,
    /// What somebody wants done, as long as it is not.
    pub command: KeyCommand,
    /// The intervals that matter.
    pub rules: Rules,
    /// How keys are verified.
    pub verify: &'a VerifyConfig,
    /// The time.
    pub now: DateTime<Utc>,
}

/// What a read of the store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A value, known by its digest.
    Value {
        /// The version it belongs to, which may be newer than the one observed.
        version: Version,
        /// Its keyed digest.
        fingerprint: Fingerprint,
    },
    /// Something that cannot be a key.
    Malformed {
        /// The version it belongs to.
        version: Version,
        /// For people; never a value.
        error: String,
    },
    /// It went away.
    Missing(Missing),
}

/// What a read of one older version found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    /// Which was asked for.
    pub version: Version,
    /// Of which origin.
    pub origin: Origin,
    /// Its digest, or why it cannot be had.
    pub found: Result<Fingerprint, String>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the value of this version.
    Read(Version),
    /// Ask Flashback for the configurations of the workspace.
    List,
    /// Hold what was written against the list of the workspace, which may be so old.
    Compare(ListAge),
    /// Write the value that was read.
    Push {
        /// `Create`, `Update` or `Adopt`.
        action: Action,
        /// Where to; `None` for `Create`.
        id: Option<AiLlmId>,
        /// Why.
        reason: Reason,
        /// Which value.
        what: What,
    },
    /// Read this older version, to put it back.
    ReadOlder {
        /// Which.
        version: Version,
        /// Where.
        origin: Origin,
    },
    /// Ask the store which version stands before this one.
    FindOlder(Version),
    /// Ask the provider about the value that was read.
    Probe,
    /// Ask Flashback whether what it holds works.
    Validate(AiLlmId),
    /// Remember that this version is not to be pushed by itself.
    Hold {
        /// Which.
        version: Version,
        /// Why.
        reason: HoldReason,
    },
    /// Remember that the value on trial, or the live one where somebody wants that, is to be
    /// replaced by an older one.
    TurnBack {
        /// The older one.
        to: Stored,
        /// The version that is held then.
        from: Version,
        /// Why.
        reason: HoldReason,
    },
    /// Remember that the value on trial is in Flashback, or goes back in, for want of a better one.
    LetStand {
        /// For how long.
        stand: Stand,
        /// Why nothing better is to be had.
        why: String,
    },
    /// The value on trial cannot go back in: what is live is kept instead.
    Keep,
    /// Nobody can tell any more whether the value on trial works.
    EndTrial,
    /// Remember that an older value should have been written again and could not be read.
    Leave(String),
    /// Remember that the live value now goes by this version. No push.
    Note(Version),
    /// Remember that Flashback refused this version with these settings.
    Refuse {
        /// What was refused.
        version: Version,
        /// Flashback's words.
        error: String,
    },
    /// Nothing more in this pass.
    Rest(Rest),
}

/// The next step for one key.
pub fn decide(facts: &Facts<'_>) -> Step {
    if facts.command == KeyCommand::RollBack
        && let Some(step) = verification::back_by_hand(facts)
    {
        return step;
    }
    match newest(facts) {
        Step::Rest(rest) => verification::settle(facts, rest),
        step => step,
    }
}

/// What the store's newest version asks for, as if no other had ever been live.
fn newest(facts: &Facts<'_>) -> Step {
    let version = match (facts.observation, facts.reading) {
        (Observation::Missing(why), _) | (_, Some(Read::Missing(why))) => {
            return Step::Rest(Rest::Missing(*why));
        }
        (_, Some(Read::Value { version, .. } | Read::Malformed { version, .. }))
        | (Observation::Present { version, .. }, None) => version,
    };
    if let Some(rest) = stands_in_the_way(facts, version) {
        return Step::Rest(rest);
    }
    let due = push_is_due(facts);
    let live = facts
        .record
        .live
        .as_ref()
        .filter(|live| live.settings == *facts.settings);
    let current = |live: &Live| live.version == *version && live.origin == *facts.origin;
    if due.is_none() && live.is_some_and(current) {
        return Step::Rest(Rest::InSync);
    }
    if matches!(due, Some(Reason::Resync | Reason::Repair))
        && let Some(step) = drift::before_resync(facts)
    {
        return step;
    }
    let fingerprint = match facts.reading {
        None => return Step::Read(version.clone()),
        Some(Read::Malformed { error, .. }) => {
            return Step::Rest(Rest::Malformed(error.clone()));
        }
        Some(Read::Value { fingerprint, .. }) => fingerprint,
        Some(Read::Missing(why)) => return Step::Rest(Rest::Missing(*why)),
    };
    let same = live.is_some_and(|live| live.fingerprint == *fingerprint);
    if due.is_none() && same {
        return Step::Note(version.clone());
    }
    let value = Stored {
        version: version.clone(),
        fingerprint: *fingerprint,
        origin: facts.origin.clone(),
    };
    let written = same && facts.record.intent.is_none();
    if let Some(step) = verification::ask_first(facts, &value, written) {
        return step;
    }
    let reason = match !same && verification::goes_back_in(facts, &value) {
        true => Reason::BestGuess,
        // Another value is more than a repair.
        false => due
            .filter(|due| same || *due != Reason::Repair)
            .unwrap_or_else(|| what_changed(facts, fingerprint)),
    };
    push(facts, version, reason, What::Newest)
}

/// What keeps this version from being pushed, whatever else is the case.
fn stands_in_the_way(facts: &Facts<'_>, version: &Version) -> Option<Rest> {
    if facts.command == KeyCommand::Force {
        return None;
    }
    if let Some(held) = &facts.record.held
        && held.is(version, facts.origin)
        && !is_to_be_written_again(facts, version)
    {
        return Some(Rest::Held(held.reason.clone()));
    }
    if let Some(verification) = &facts.record.verification
        && verification.stage == Stage::Back
        && verification.subject.is(version, facts.origin)
    {
        let why = verification.reason.clone().unwrap_or_default();
        return Some(Rest::Held(why));
    }
    let refusal = facts.record.refusal.as_ref()?;
    let wait = facts.rules.refused_for(refusal.at, refusal.early);
    let waiting = !is_over(refusal.at, wait, facts.now);
    let same = refusal.is_of(version, facts.origin, facts.settings);
    (same && waiting).then(|| Rest::Refused {
        error: refusal.error.clone(),
        until: refusal.at + wait,
    })
}

/// Whether this version is what Flashback holds, and the configuration wants it with other
/// settings, which may be what was wrong, or somebody has changed those in Flashback, or may have
/// written to it.
fn is_to_be_written_again(facts: &Facts<'_>, version: &Version) -> bool {
    let live = facts.record.live.as_ref();
    live.is_some_and(|live| {
        let otherwise =
            live.settings != *facts.settings || drift::due(facts).is_some() || repair_is_due(facts);
        live.stored().is(version, facts.origin) && otherwise
    })
}

/// Why an unchanged key would be pushed all the same.
fn push_is_due(facts: &Facts<'_>) -> Option<Reason> {
    if facts.command == KeyCommand::Force {
        Some(Reason::Forced)
    } else if let Some(intent) = &facts.record.intent {
        Some(Reason::of(intent))
    } else if let Some(drifted) = drift::due(facts) {
        Some(drifted)
    } else if repair_is_due(facts) {
        Some(Reason::Repair)
    } else {
        let live = facts.record.live.as_ref();
        live.is_some_and(|live| resync_is_due(facts, live))
            .then_some(Reason::Resync)
    }
}

/// Whether what is live was written so long ago that it is written again.
fn resync_is_due(facts: &Facts<'_>, live: &Live) -> bool {
    is_over(live.pushed_at, facts.rules.resync, facts.now)
}

/// Whether what should be live is to be written once more, whatever is known of it.
fn repair_is_due(facts: &Facts<'_>) -> bool {
    facts.record.repair.is_some_and(|repair| repair.is_due())
}

fn what_changed(facts: &Facts<'_>, fingerprint: &Fingerprint) -> Reason {
    match &facts.record.live {
        None => Reason::First,
        Some(live) if live.fingerprint == *fingerprint => Reason::SettingsChanged,
        Some(_) => Reason::Rotated,
    }
}
