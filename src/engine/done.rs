//! The actions of a check, for its report and for the audit trail.

use chrono::Utc;
use tokio::time::Instant;

use super::managed_key::ManagedKey;
use crate::flashback::FlashbackError;
use crate::model::{Action, HistoryRow, Outcome, Record, Version};
use crate::reconcile::{Conclusion, Push, Reason, Step, What};

/// The actions of a check.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// The push that was made, or would be made.
    pub push: Option<(Action, Reason)>,
    /// The version that the check was about.
    pub version: Option<Version>,
    /// The reason why nothing was pushed, if that is no error.
    pub held: Option<String>,
    /// `true` if the newest value was live already, under another version.
    pub same_value: bool,
    /// `true` if the live value is still being verified.
    pub unproven: bool,
    /// The push that was begun.
    pub started: Option<Started>,
}

/// A push that was begun.
#[derive(Clone, Debug)]
pub struct Started {
    /// The time at which it was begun.
    pub at: Instant,
    /// The version that was to be written.
    pub version: Version,
    /// The version that was live before.
    pub previous: Option<Version>,
}

impl Done {
    /// Returns the line of the audit trail for the push of this check, if there was one.
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

    /// Returns the line of the audit trail for a push that was given up; `None` if no push was begun.
    pub fn failed_row(
        &self,
        managed: &ManagedKey,
        record: &Record,
        error: &FlashbackError,
    ) -> Option<HistoryRow> {
        self.row(managed, record, Outcome::Failed, Some(error.to_string()))
    }

    /// Records a step that would be carried out. Returns the error if Flashback would refuse it.
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
                    // A configuration that the list does not show is updated first, to make sure that it is gone. As a
                    // rule the update ends in a creation.
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
                | Conclusion::EndVerification
                | Conclusion::Leave(_),
            )
            | Step::Ask(_)
            | Step::Rest(_) => {}
        }
        None
    }
}
