//! What happens to a key, as log lines: one event for one fact.

use std::time::Duration;

use super::Unit;
use crate::flashback::FlashbackError;
use crate::model::{Action, AiLlmId, Problem, ProblemKind, Record, Version};
use crate::reconcile::Reason;
use crate::telemetry::event;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn id(record: &Record) -> Option<&str> {
    record.ai_llm_id.as_ref().map(AiLlmId::as_str)
}

fn live(record: &Record) -> Option<&str> {
    record.live.as_ref().map(|live| live.version.label())
}

pub fn rotation_detected(unit: &Unit, record: &Record, previous: &Version, version: &Version) {
    tracing::info!(
        event = event::ROTATION_DETECTED,
        key = %unit.key,
        source = %unit.source.id(),
        version = version.label(),
        previous_version = previous.label(),
        ai_llm_id = id(record),
        "the store holds another version"
    );
}

pub fn push_started(
    unit: &Unit,
    record: &Record,
    before: &Record,
    action: Action,
    reason: &Reason,
    attempt: u32,
) {
    tracing::info!(
        event = event::PUSH_STARTED,
        key = %unit.key,
        source = %unit.source.id(),
        version = record.intent.as_ref().map(|intent| intent.version.label()),
        previous_version = live(before),
        ai_llm_id = id(record),
        workspace_id = %unit.config.settings.workspace_id,
        action = action.as_str(),
        reason = reason.as_str(),
        attempt,
        "writing the key to Flashback"
    );
}

pub fn push_succeeded(
    unit: &Unit,
    record: &Record,
    before: &Record,
    action: Action,
    attempt: u32,
    elapsed: Duration,
) {
    let made = match action {
        Action::Create => Some((event::CONFIG_CREATED, "the configuration was created")),
        Action::Adopt => Some((
            event::CONFIG_ADOPTED,
            "the configuration of that name was adopted",
        )),
        _ => None,
    };
    if let Some((event, message)) = made {
        tracing::info!(
            event,
            key = %unit.key,
            source = %unit.source.id(),
            version = live(record),
            ai_llm_id = id(record),
            workspace_id = %unit.config.settings.workspace_id,
            "{message}"
        );
    }
    tracing::info!(
        event = event::PUSH_SUCCEEDED,
        key = %unit.key,
        source = %unit.source.id(),
        version = live(record),
        previous_version = live(before),
        ai_llm_id = id(record),
        workspace_id = %unit.config.settings.workspace_id,
        action = action.as_str(),
        attempt,
        elapsed_ms = millis(elapsed),
        "Flashback has the key"
    );
}

pub fn push_retrying(
    unit: &Unit,
    record: &Record,
    attempt: u32,
    error: &FlashbackError,
    wait: Duration,
) {
    tracing::warn!(
        event = event::PUSH_RETRYING,
        key = %unit.key,
        source = %unit.source.id(),
        version = record.seen.as_ref().map(Version::label),
        previous_version = live(record),
        ai_llm_id = id(record),
        workspace_id = %unit.config.settings.workspace_id,
        attempt,
        error = %error,
        retry_in_ms = millis(wait),
        "the key did not get to Flashback; it is tried again"
    );
}

pub fn push_failed(unit: &Unit, record: &Record, attempt: u32, error: &str) {
    tracing::error!(
        event = event::PUSH_FAILED,
        key = %unit.key,
        source = %unit.source.id(),
        version = record.seen.as_ref().map(Version::label),
        previous_version = live(record),
        ai_llm_id = id(record),
        workspace_id = %unit.config.settings.workspace_id,
        attempt,
        error,
        "the key did not get to Flashback; given up for now"
    );
}

pub fn config_missing(unit: &Unit, before: &Record, gone: &AiLlmId) {
    tracing::warn!(
        event = event::CONFIG_MISSING,
        key = %unit.key,
        source = %unit.source.id(),
        version = live(before),
        ai_llm_id = gone.as_str(),
        workspace_id = %unit.config.settings.workspace_id,
        "the configuration is gone from Flashback"
    );
}

/// Logs a problem when it comes up or changes, and remembers it.
pub fn problem(
    unit: &Unit,
    told: &mut Option<Problem>,
    problem: Option<&Problem>,
    record: &Record,
) {
    if told.as_ref() == problem {
        return;
    }
    *told = problem.cloned();
    let Some(problem) = problem else { return };
    let (event, message) = match problem.kind {
        ProblemKind::Missing | ProblemKind::Source => (
            event::SECRET_MISSING,
            "the store gives no secret; Flashback keeps the key it has",
        ),
        ProblemKind::Malformed => (
            event::SECRET_MALFORMED,
            "what the store holds cannot be a key; Flashback keeps the key it has",
        ),
        // A refusal was logged when it came; this is its echo at a later look.
        ProblemKind::Flashback if refused_as_seen(record) => return,
        ProblemKind::Flashback => (event::PUSH_FAILED, "the key cannot be pushed"),
    };
    tracing::warn!(
        event,
        key = %unit.key,
        source = %unit.source.id(),
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
