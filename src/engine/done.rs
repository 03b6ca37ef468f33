//! What a pass did: for the row that people see, and for the audit trail.

use chrono::Utc;
use tokio::time::Instant;

use super::ManagedKey;
use crate::flashback::FlashbackError;
use crate::model::{Action, HistoryRow, Outcome, Record, Version};
use crate::reconcile::{Conclusion, Push, Reason, Step, What};

/// What a pass did, for reports.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// The push that was made, or would be.
    pub push: Option<(Action, Reason)>,
    /// The version it was about.
    pub version: Option<Version>,
    /// What stood in its way without being an error.
    pub held: Option<String>,
    /// The value was live already, under another version.
    pub same_value: bool,
    /// What is live has still to prove itself.
    pub unproven: bool,
    /// The push that was begun.
    pub started: Option<Started>,
}

/// A push that was begun.
#[derive(Clone, Debug)]
pub struct Started {
    /// When.
    pub at: Instant,
    /// What was to be written.
    pub version: Version,
    /// What was live before it.
    pub previous: Option<Version>,
}

impl Done {
    /// The line of the audit trail for the push of this pass.
    pub fn row(
        &self,
        managed: &ManagedKey,
        record: &Record,
        outcome: Outcome,
        error: Option<String>,
    ) -> Option<HistoryRow> {
        let (action, reason) = self.push.clone()?;
        let started = self.started.clone()?;
        Some(HistoryRow {
            at: Utc::now(),
            key: managed.key.clone(),
            source: managed.source.id().clone(),
            name: managed.config.settings.name.clone(),
            ai_llm_id: record.ai_llm_id.clone(),
            previous_version: started.previous,
            version: started.version,
            action,
            outcome,
            elapsed: started.at.elapsed(),
            verified_by: None,
            reason: reason.to_string(),
            error,
        })
    }

    /// The line for a push whose round was given up; `None` where it did not come to a push.
    pub fn failed_row(
        &self,
        managed: &ManagedKey,
        record: &Record,
        error: &FlashbackError,
    ) -> Option<HistoryRow> {
        self.row(managed, record, Outcome::Failed, Some(error.to_string()))
    }

    /// Takes in a step that is not carried out; returns why it would not be possible.
    pub fn foresee(&mut self, step: Step) -> Option<String> {
        match step {
            Step::Push(push) => {
                let Push {
                    action,
                    reason,
                    what,
                    value,
                    ..
                } = *push;
                if what == What::Older {
                    self.version = Some(value.stored.version);
                }
                let action = match (action, &reason) {
                    // What the list has lost is written where it was, to make sure; as a rule
                    // that ends in another one.
                    (Action::Update, Reason::Unlisted) => Action::Create,
                    (action, _) => action,
                };
                self.push = Some((action, reason));
            }
            Step::Validate { .. } => self.unproven = true,
            Step::Conclude(Conclusion::Note(_)) => self.same_value = true,
            Step::Conclude(
                Conclusion::Hold { reason, .. } | Conclusion::TurnBack { reason, .. },
            ) => self.held = Some(reason.to_string()),
            Step::Conclude(Conclusion::Refuse { error, .. }) => return Some(error),
            Step::Conclude(
                Conclusion::LetStand { .. }
                | Conclusion::Keep
                | Conclusion::EndTrial
                | Conclusion::Leave(_),
            )
            | Step::Ask(_)
            | Step::Rest(_) => {}
        }
        None
    }
}
