//! The calls that discovery makes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::config::RuleConfig;
use crate::discovery::Rule;
use crate::discovery::made::key_id;
use crate::flashback::FlashbackError;
use crate::model::{Action, HistoryRow, Missing, Observation, Outcome, Record, RuleId, TargetKind};
use crate::runtime::Runtime;
use crate::source::{Listed, Source, SourceError};
use crate::state::StateError;
use crate::telemetry::event;
use crate::upstream::in_background;

/// The most secrets of a list whose metadata is asked for at once.
const AT_ONCE: usize = 8;

/// The answer to a call.
pub enum Answer {
    /// A full list that began at a time.
    Listed(RuleId, DateTime<Utc>, Result<Vec<Listed>, SourceError>),
    /// A secret by itself.
    Looked(RuleId, String, Result<Option<Listed>, SourceError>),
    /// The deletion of what a rule has created for a secret.
    Deleted(RuleId, String, Result<Deletion, NotDeleted>),
}

/// What became of the configuration of a secret that is gone.
pub enum Deletion {
    /// It was deleted, was deleted before, or is not to be deleted because this program has not created it.
    Done,
    /// The secret is there.
    NotGone,
}

/// The reason why a configuration was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum NotDeleted {
    /// The source does not say whether the secret is gone.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Flashback has not deleted it.
    #[error(transparent)]
    Flashback(#[from] FlashbackError),
}

/// Lists what a rule is about, and asks for the metadata that the list does not say.
///
/// # Errors
/// Returns [`SourceError`] if any part of it is not known.
pub async fn list(source: &dyn Source, rule: &Rule) -> Result<Vec<Listed>, SourceError> {
    let listing = in_background(source.list(&rule.scope())).await?;
    let complete = async |listed: Listed| match listed.metadata {
        Some(_) => Ok(Some(listed)),
        None if !rule.pattern.fits(&listed.path) => Ok(Some(listed)),
        None => in_background(source.entry(&listed.path)).await,
    };
    let complete = stream::iter(listing).map(complete).buffered(AT_ONCE);
    complete
        .try_filter_map(|listed| async move { Ok(listed) })
        .try_collect()
        .await
}

/// Lists what a rule is about, for the task.
pub async fn listed(runtime: Arc<Runtime>, config: Arc<RuleConfig>) -> Answer {
    let rule = &config.rule;
    let began = Utc::now();
    let listing = match runtime.sources.get(&rule.source) {
        Some(source) => list(source.as_ref(), rule).await,
        None => Ok(Vec::new()),
    };
    Answer::Listed(rule.id.clone(), began, listing)
}

/// Asks for a secret by itself, for the task.
pub async fn looked(runtime: Arc<Runtime>, config: Arc<RuleConfig>, path: String) -> Answer {
    let rule = &config.rule;
    let found = match runtime.sources.get(&rule.source) {
        Some(source) => source.entry(&path).await,
        None => Ok(None),
    };
    Answer::Looked(rule.id.clone(), path, found)
}

/// Deletes what a rule has created for a secret that is gone, for the task.
pub async fn deleted(runtime: Arc<Runtime>, config: Arc<RuleConfig>, path: String) -> Answer {
    let deletion = delete(&runtime, &config.rule, &path).await;
    Answer::Deleted(config.rule.id.clone(), path, deletion)
}

async fn delete(runtime: &Runtime, rule: &Rule, path: &str) -> Result<Deletion, NotDeleted> {
    let Some(source) = runtime.sources.get(&rule.source) else {
        return Ok(Deletion::NotGone);
    };
    let found = source.entry(path).await?;
    let gone = |listed: &Listed| {
        use Missing::{Deleted, Destroyed, NotFound};
        let missing = &listed.observed;
        matches!(
            missing,
            Some(Observation::Missing(Deleted | Destroyed | NotFound))
        )
    };
    if found.is_some_and(|listed| !gone(&listed)) {
        return Ok(Deletion::NotGone);
    }
    let key = key_id(&rule.id, path);
    let engine = &runtime.engine;
    let record = engine.store.load(&key).await?;
    let Some(id) = record
        .created
        .clone()
        .filter(|id| record.ai_llm_id.as_ref() == Some(id))
    else {
        return Ok(Deletion::Done);
    };
    match engine
        .flashback
        .delete(&id, TargetKind::Configuration)
        .await
    {
        Ok(()) | Err(FlashbackError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    tracing::info!(
        event = event::CONFIG_DELETED,
        key = %key,
        ai_llm_id = %id,
        rule = %rule.id,
        "the configuration was deleted: its secret is gone"
    );
    let forgotten = Record {
        look: record.look.clone(),
        lease: record.lease,
        ..Record::new(key)
    };
    engine
        .store
        .save(&forgotten, row(&record, rule).as_ref())
        .await?;
    Ok(Deletion::Done)
}

/// Returns the line of the audit trail about a deletion.
fn row(record: &Record, rule: &Rule) -> Option<HistoryRow> {
    let live = record.live.as_ref()?;
    Some(HistoryRow {
        at: Utc::now(),
        key: record.key.clone(),
        source: rule.source.clone(),
        name: live.settings.name.clone(),
        ai_llm_id: record.ai_llm_id.clone(),
        previous_version: Some(live.version.clone()),
        version: live.version.clone(),
        action: Action::Delete,
        outcome: Outcome::Succeeded,
        elapsed: std::time::Duration::ZERO,
        verified_by: None,
        reason: "its secret is gone from the source".to_owned(),
        error: None,
    })
}
