//! What happens to a key, as log lines: one event for one fact.

use std::time::Duration;

use super::ManagedKey;
use crate::flashback::FlashbackError;
use crate::model::{Action, AiLlmId, Problem, ProblemKind, Record, Stage, Told, Verdict, Version};
use crate::reconcile::Reason;
use crate::source::SourceError;
use crate::telemetry::event;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn id(record: &Record) -> Option<&str> {
    record.ai_llm_id.as_ref().map(AiLlmId::as_str)
}

/// Names what holds the key in Flashback, for a log line.
fn noun(managed: &ManagedKey) -> &'static str {
    managed.config.settings.target.kind().noun()
}

fn live(record: &Record) -> Option<&str> {
    record.live.as_ref().map(|live| live.version.label())
}

pub fn rotation_detected(
    managed: &ManagedKey,
    record: &Record,
    previous: &Version,
    version: &Version,
) {
    tracing::info!(
        event = event::ROTATION_DETECTED,
        key = %managed.key,
        source = %managed.source.id(),
        version = version.label(),
        previous_version = previous.label(),
        ai_llm_id = id(record),
        "the store holds another version"
    );
}

pub fn push_started(
    managed: &ManagedKey,
    record: &Record,
    before: &Record,
    action: Action,
    reason: &Reason,
    attempt: u32,
) {
    tracing::info!(
        event = event::PUSH_STARTED,
        key = %managed.key,
        source = %managed.source.id(),
        version = record.intent.as_ref().map(|intent| intent.version.label()),
        previous_version = live(before),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        action = action.as_str(),
        reason = reason.as_str(),
        attempt,
        "writing the key to Flashback"
    );
}

pub fn push_succeeded(
    managed: &ManagedKey,
    record: &Record,
    before: &Record,
    action: Action,
    attempt: u32,
    elapsed: Duration,
) {
    let made = match action {
        Action::Create => Some((event::CONFIG_CREATED, "was created")),
        Action::Adopt => Some((event::CONFIG_ADOPTED, "that was there was adopted")),
        _ => None,
    };
    if let Some((event, what)) = made {
        tracing::info!(
            event,
            key = %managed.key,
            source = %managed.source.id(),
            version = live(record),
            ai_llm_id = id(record),
            workspace_id = %managed.config.settings.workspace_id,
            "the {} {what}",
            noun(managed)
        );
    }
    tracing::info!(
        event = event::PUSH_SUCCEEDED,
        key = %managed.key,
        source = %managed.source.id(),
        version = live(record),
        previous_version = live(before),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        action = action.as_str(),
        attempt,
        elapsed_ms = millis(elapsed),
        "Flashback has the key"
    );
}

/// A write that was begun may have been carried out when the key was somebody else's.
pub fn lease_lost(managed: &ManagedKey, record: &Record) {
    let intent = record.intent.as_ref().map(|intent| &intent.version);
    let version = intent.or(record.live.as_ref().map(|live| &live.version));
    tracing::warn!(
        event = event::LEASE_LOST,
        key = %managed.key,
        source = %managed.source.id(),
        version = version.map(Version::label),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        "the lease was over before the write was seen to end; the newest key is written once more"
    );
}

pub fn push_retrying(
    managed: &ManagedKey,
    record: &Record,
    version: Option<&Version>,
    attempt: u32,
    error: &FlashbackError,
    wait: Duration,
) {
    tracing::warn!(
        event = event::PUSH_RETRYING,
        key = %managed.key,
        source = %managed.source.id(),
        version = version.map(Version::label),
        previous_version = live(record),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        attempt,
        error = %error,
        retry_in_ms = millis(wait),
        "the key did not get to Flashback; it is tried again"
    );
}

pub fn push_failed(managed: &ManagedKey, record: &Record, attempt: u32, error: &str) {
    tracing::error!(
        event = event::PUSH_FAILED,
        key = %managed.key,
        source = %managed.source.id(),
        version = record.seen.as_ref().map(Version::label),
        previous_version = live(record),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        attempt,
        error,
        "the key did not get to Flashback; given up for now"
    );
}

/// Of a value that is not in Flashback, and may be soon.
pub fn provider_rejects(managed: &ManagedKey, record: &Record, version: &Version, said: &str) {
    tracing::warn!(
        key = %managed.key,
        source = %managed.source.id(),
        version = version.label(),
        previous_version = live(record),
        error = said,
        "the provider does not take the key; it is asked again until the grace is over"
    );
}

pub fn provider_silent(managed: &ManagedKey, record: &Record, version: &Version, why: &str) {
    tracing::warn!(
        key = %managed.key,
        source = %managed.source.id(),
        version = version.label(),
        previous_version = live(record),
        reason = why,
        "the provider does not say whether it takes the key; the rotation goes on"
    );
}

/// One answer of many.
pub fn not_yet(managed: &ManagedKey, record: &Record, stage: Stage, verdict: &Verdict) {
    let error = match verdict {
        Verdict::Rejected(said) => Some(said),
        Verdict::Inconclusive(why) | Verdict::Unsupported(why) => Some(why),
        Verdict::Works => None,
    };
    tracing::debug!(
        key = %managed.key,
        source = %managed.source.id(),
        version = live(record),
        stage = stage.as_str(),
        outcome = verdict.as_str(),
        error,
        "Flashback was asked whether the key works"
    );
}

pub fn verified(managed: &ManagedKey, record: &Record, stage: Stage) {
    tracing::info!(
        key = %managed.key,
        source = %managed.source.id(),
        version = live(record),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        stage = stage.as_str(),
        "Flashback says that the key works"
    );
}

/// What was live through the grace does not work. `follows` says what is done about it.
pub fn verification_failed(managed: &ManagedKey, record: &Record, said: &str, follows: &str) {
    tracing::error!(
        event = event::VERIFICATION_FAILED,
        key = %managed.key,
        source = %managed.source.id(),
        version = live(record),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        error = said,
        "the key in Flashback does not work; {follows}"
    );
}

pub fn rolled_back(managed: &ManagedKey, record: &Record) {
    let held = record.held.as_ref();
    tracing::warn!(
        event = event::ROLLED_BACK,
        key = %managed.key,
        source = %managed.source.id(),
        version = live(record),
        previous_version = held.map(|held| held.version.label()),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        reason = held.map(|held| held.reason.as_str()),
        "the previous version is back in Flashback; the newer one is held"
    );
}

pub fn version_held(managed: &ManagedKey, record: &Record) {
    let held = record.held.as_ref();
    tracing::warn!(
        event = event::VERSION_HELD,
        key = %managed.key,
        source = %managed.source.id(),
        version = held.map(|held| held.version.label()),
        previous_version = live(record),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        reason = held.map(|held| held.reason.as_str()),
        "the version is held: it is not pushed by itself until the store holds another one"
    );
}

pub fn acknowledged(managed: &ManagedKey, record: &Record, told: &Told) {
    let message = match told.withdrawn {
        false => "the store knows that the version is live and verified",
        true => "the store knows that the version is live no more",
    };
    tracing::info!(
        event = event::ACKNOWLEDGED,
        key = %managed.key,
        source = %managed.source.id(),
        version = told.version.label(),
        ai_llm_id = id(record),
        withdrawn = told.withdrawn,
        "{message}"
    );
}

pub fn untold(managed: &ManagedKey, error: &SourceError) {
    tracing::warn!(
        key = %managed.key,
        source = %managed.source.id(),
        error = %error,
        "the store could not be told which version is live; the key is none the worse for it"
    );
}

/// An older value should have been written again.
pub fn left(managed: &ManagedKey, record: &Record, why: &str) {
    tracing::warn!(
        key = %managed.key,
        source = %managed.source.id(),
        version = live(record),
        ai_llm_id = id(record),
        error = why,
        "the version that is live cannot be written again; Flashback keeps what it has"
    );
}

pub fn trimmed(managed: &ManagedKey, version: &Version) {
    tracing::warn!(
        key = %managed.key,
        source = %managed.source.id(),
        version = version.label(),
        "the stored value has white space around it, which was left out"
    );
}

pub fn config_missing(managed: &ManagedKey, before: &Record, gone: &AiLlmId) {
    tracing::warn!(
        event = event::CONFIG_MISSING,
        key = %managed.key,
        source = %managed.source.id(),
        version = live(before),
        ai_llm_id = gone.as_str(),
        workspace_id = %managed.config.settings.workspace_id,
        "the {} is gone from Flashback",
        noun(managed)
    );
}

pub fn drift_repaired(managed: &ManagedKey, record: &Record, action: Action, reason: &Reason) {
    tracing::warn!(
        event = event::DRIFT_REPAIRED,
        key = %managed.key,
        source = %managed.source.id(),
        version = live(record),
        ai_llm_id = id(record),
        workspace_id = %managed.config.settings.workspace_id,
        action = action.as_str(),
        reason = %reason,
        "what was changed in Flashback is put right"
    );
}

/// Logs a problem when it comes up or changes, and remembers it.
pub fn problem(
    managed: &ManagedKey,
    told: &mut Option<Box<Problem>>,
    problem: Option<&Problem>,
    record: &Record,
) {
    if told.as_deref() == problem {
        return;
    }
    *told = problem.cloned().map(Box::new);
    let Some(problem) = problem else { return };
    let (event, message) = match problem.kind {
        ProblemKind::Missing => (
            event::SECRET_MISSING,
            "the store has no secret; Flashback keeps the key it has",
        ),
        ProblemKind::Source => (
            event::SECRET_UNREADABLE,
            "the store does not give the secret; Flashback keeps the key it has",
        ),
        ProblemKind::Malformed => (
            event::SECRET_MALFORMED,
            "what the store holds cannot be a key; Flashback keeps the key it has",
        ),
        // A refusal was logged when it came; this is its echo at a later look.
        ProblemKind::Flashback if refused_as_seen(record) => return,
        ProblemKind::Flashback => (event::PUSH_FAILED, "the key cannot be pushed"),
        // It was logged when it came about.
        ProblemKind::Verification | ProblemKind::Unlisted => return,
    };
    tracing::warn!(
        event,
        key = %managed.key,
        source = %managed.source.id(),
        version = record.seen.as_ref().map(Version::label),
        ai_llm_id = id(record),
        error = problem.error,
        "{message}"
    );
}

fn refused_as_seen(record: &Record) -> bool {
    record
        .refusal
        .as_ref()
        .is_some_and(|refusal| record.seen.as_ref() == Some(&refusal.version))
}
