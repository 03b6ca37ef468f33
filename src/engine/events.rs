//! The log lines about a key: one event for each fact.

use std::time::Duration;

use tracing::field::{DisplayValue, display};

use super::managed_key::ManagedKey;
use crate::flashback::FlashbackError;
use crate::model::{
    Acknowledged, Action, AiLlmId, Problem, ProblemKind, Record, Stage, Verdict, Version,
    WorkspaceId,
};
use crate::reconcile::{Push, Reason};
use crate::source::SourceError;
use crate::telemetry::event;

/// The fields that log lines about a key have in common. A field that is `None` is not printed.
struct Line<'a> {
    managed: &'a ManagedKey,
    event: Option<&'static str>,
    version: Option<&'a str>,
    previous_version: Option<&'a str>,
    ai_llm_id: Option<&'a str>,
    workspace_id: Option<DisplayValue<&'a WorkspaceId>>,
}

impl<'a> Line<'a> {
    fn of(managed: &'a ManagedKey, version: Option<&'a Version>) -> Self {
        Self {
            managed,
            event: None,
            version: version.map(Version::label),
            previous_version: None,
            ai_llm_id: None,
            workspace_id: None,
        }
    }

    fn event(self, event: &'static str) -> Self {
        let event = Some(event);
        Self { event, ..self }
    }

    fn after(self, previous: Option<&'a Version>) -> Self {
        let previous_version = previous.map(Version::label);
        Self {
            previous_version,
            ..self
        }
    }

    fn id(self, record: &'a Record) -> Self {
        let ai_llm_id = record.ai_llm_id.as_ref().map(AiLlmId::as_str);
        Self { ai_llm_id, ..self }
    }

    fn workspace(self) -> Self {
        let workspace_id = Some(display(&self.managed.config.settings.workspace_id));
        Self {
            workspace_id,
            ..self
        }
    }
}

/// Logs the fields of a [`Line`], further fields and a message.
macro_rules! log {
    ($level:ident, $line:expr $(, $field:ident = $value:expr)* ; $($message:tt)+) => {{
        let line: Line<'_> = $line;
        tracing::$level!(
            event = line.event,
            key = %line.managed.key,
            source = %line.managed.source.id(),
            version = line.version,
            previous_version = line.previous_version,
            ai_llm_id = line.ai_llm_id,
            workspace_id = line.workspace_id,
            $($field = $value,)*
            $($message)+
        );
    }};
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the noun for what holds the key in Flashback.
fn noun(managed: &ManagedKey) -> &'static str {
    managed.config.settings.target.kind().noun()
}

fn live(record: &Record) -> Option<&Version> {
    record.live.as_ref().map(|live| &live.version)
}

pub fn rotation_detected(
    managed: &ManagedKey,
    record: &Record,
    previous: &Version,
    version: &Version,
) {
    let line = Line::of(managed, Some(version)).after(Some(previous));
    let line = line.event(event::ROTATION_DETECTED).id(record);
    log!(info, line; "the store holds another version");
}

pub fn push_started(
    managed: &ManagedKey,
    record: &Record,
    before: &Record,
    push: &Push,
    attempt: u32,
) {
    let line = Line::of(managed, Some(&push.value.stored.version)).after(live(before));
    log!(
        info, line.event(event::PUSH_STARTED).id(record).workspace(),
        action = push.action.as_str(),
        reason = push.reason.as_str(),
        attempt = attempt;
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
    let line = || Line::of(managed, live(record)).id(record).workspace();
    let made = match action {
        Action::Create => Some((event::CONFIG_CREATED, "was created")),
        Action::Adopt => Some((event::CONFIG_ADOPTED, "that was there was adopted")),
        _ => None,
    };
    if let Some((event, what)) = made {
        log!(info, line().event(event); "the {} {what}", noun(managed));
    }
    log!(
        info, line().event(event::PUSH_SUCCEEDED).after(live(before)),
        action = action.as_str(),
        attempt = attempt,
        elapsed_ms = millis(elapsed);
        "Flashback has the key"
    );
}

/// Logs a write that may have reached Flashback after the lease was over.
pub fn lease_lost(managed: &ManagedKey, record: &Record) {
    let intent = record.intent.as_ref().map(|intent| &intent.version);
    let line = Line::of(managed, intent.or(live(record)));
    log!(
        warn, line.event(event::LEASE_LOST).id(record).workspace();
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
    let line = Line::of(managed, version).after(live(record));
    log!(
        warn, line.event(event::PUSH_RETRYING).id(record).workspace(),
        attempt = attempt,
        error = display(error),
        retry_in_ms = millis(wait);
        "the key did not get to Flashback; it is tried again"
    );
}

pub fn push_failed(managed: &ManagedKey, record: &Record, attempt: u32, error: &str) {
    let line = Line::of(managed, record.seen.as_ref()).after(live(record));
    log!(
        error, line.event(event::PUSH_FAILED).id(record).workspace(),
        attempt = attempt,
        error = error;
        "the key did not get to Flashback; given up for now"
    );
}

/// Logs that the provider rejects a value that is not pushed yet.
pub fn provider_rejects(managed: &ManagedKey, record: &Record, version: &Version, said: &str) {
    log!(
        warn, Line::of(managed, Some(version)).after(live(record)),
        error = said;
        "the provider does not take the key; it is asked again until the grace is over"
    );
}

pub fn provider_silent(managed: &ManagedKey, record: &Record, version: &Version, why: &str) {
    log!(
        warn, Line::of(managed, Some(version)).after(live(record)),
        reason = why;
        "the provider does not say whether it takes the key; the rotation goes on"
    );
}

/// Logs that Flashback cannot validate keys. It concerns all keys, and is logged once in the life of the process.
pub fn validation_unsupported(why: &str) {
    tracing::warn!(
        reason = why,
        "Flashback does not validate keys; they are not verified after a push"
    );
}

/// Logs an answer that does not end a verification.
pub fn not_yet(managed: &ManagedKey, record: &Record, stage: Stage, verdict: &Verdict) {
    let error = match verdict {
        Verdict::Rejected(said) => Some(said),
        Verdict::Inconclusive(why) | Verdict::Unsupported(why) => Some(why),
        Verdict::Works => None,
    };
    log!(
        debug, Line::of(managed, live(record)),
        stage = stage.as_str(),
        outcome = verdict.as_str(),
        error = error;
        "Flashback was asked whether the key works"
    );
}

pub fn verified(managed: &ManagedKey, record: &Record, stage: Stage) {
    log!(
        info, Line::of(managed, live(record)).id(record).workspace(),
        stage = stage.as_str();
        "Flashback says that the key works"
    );
}

/// Logs that the live value does not work. `follows` says what is done about it.
pub fn verification_failed(managed: &ManagedKey, record: &Record, said: &str, follows: &str) {
    let line = Line::of(managed, live(record));
    log!(
        error, line.event(event::VERIFICATION_FAILED).id(record).workspace(),
        error = said;
        "the key in Flashback does not work; {follows}"
    );
}

pub fn rolled_back(managed: &ManagedKey, record: &Record) {
    let held = record.held.as_ref();
    let line = Line::of(managed, live(record)).after(held.map(|held| &held.version));
    log!(
        warn, line.event(event::ROLLED_BACK).id(record).workspace(),
        reason = held.map(|held| held.reason.as_str());
        "the previous version is back in Flashback; the newer one is held"
    );
}

pub fn version_held(managed: &ManagedKey, record: &Record) {
    let held = record.held.as_ref();
    let line = Line::of(managed, held.map(|held| &held.version)).after(live(record));
    log!(
        warn, line.event(event::VERSION_HELD).id(record).workspace(),
        reason = held.map(|held| held.reason.as_str());
        "the version is held: it is not pushed by itself until the store holds another one"
    );
}

pub fn acknowledged(managed: &ManagedKey, record: &Record, told: &Acknowledged) {
    let message = match told.withdrawn {
        false => "the store knows that the version is live and verified",
        true => "the store knows that the version is live no more",
    };
    let line = Line::of(managed, Some(&told.version)).id(record);
    log!(
        info, line.event(event::ACKNOWLEDGED),
        withdrawn = told.withdrawn;
        "{message}"
    );
}

pub fn unacknowledged(managed: &ManagedKey, error: &SourceError) {
    log!(
        warn, Line::of(managed, None),
        error = display(error);
        "the store could not be told which version is live; the key is none the worse for it"
    );
}

/// Logs that a previous value should have been written again and could not be.
pub fn left(managed: &ManagedKey, record: &Record, why: &str) {
    log!(
        warn, Line::of(managed, live(record)).id(record),
        error = why;
        "the version that is live cannot be written again; Flashback keeps what it has"
    );
}

pub fn trimmed(managed: &ManagedKey, version: &Version) {
    log!(
        warn, Line::of(managed, Some(version));
        "the stored value has white space around it, which was left out"
    );
}

pub fn config_missing(managed: &ManagedKey, before: &Record, gone: &AiLlmId) {
    let line = Line {
        ai_llm_id: Some(gone.as_str()),
        ..Line::of(managed, live(before)).workspace()
    };
    log!(
        warn, line.event(event::CONFIG_MISSING);
        "the {} is gone from Flashback", noun(managed)
    );
}

pub fn drift_repaired(managed: &ManagedKey, record: &Record, action: Action, reason: &Reason) {
    let line = Line::of(managed, live(record)).id(record).workspace();
    log!(
        warn, line.event(event::DRIFT_REPAIRED),
        action = action.as_str(),
        reason = display(reason);
        "what was changed in Flashback is put right"
    );
}

/// Logs a problem if it differs from `told`, the one that was logged last.
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
        // A refusal was logged when it happened; a later check only repeats it.
        ProblemKind::Flashback if refused_as_seen(record) => return,
        ProblemKind::Flashback => (event::PUSH_FAILED, "the key cannot be pushed"),
        // It was logged when it came about.
        ProblemKind::Verification | ProblemKind::Unlisted => return,
    };
    let line = Line::of(managed, record.seen.as_ref())
        .event(event)
        .id(record);
    log!(warn, line, error = problem.error; "{message}");
}

fn refused_as_seen(record: &Record) -> bool {
    record
        .refusal
        .as_ref()
        .is_some_and(|refusal| record.seen.as_ref() == Some(&refusal.version))
}
