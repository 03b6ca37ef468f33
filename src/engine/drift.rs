//! The half of a pass that notices what somebody changed in Flashback.

use chrono::{DateTime, Utc};

use super::Fault;
use super::pass::Pass;
use crate::failpoint;
use crate::reconcile::{Compared, Drift, ListAge, compare};

impl Pass<'_> {
    /// Holds what is on record against a list of its workspace.
    pub(super) async fn compare(&mut self, age: ListAge) -> Result<(), Fault> {
        let list = self.list_to_compare(age).await?;
        failpoint::reach("list_compared");
        let listed = list.filter(|list| age == ListAge::Zero || self.is_newer(list.asked_at));
        let drift = match listed {
            Some(list) => {
                let written = self.record.live.as_ref().map(|live| &*live.settings.name);
                let names: Vec<&str> = written.into_iter().collect();
                compare(
                    &self.record,
                    &list.about(self.record.ai_llm_id.as_ref(), &names),
                )
            }
            None => Drift::Unknown,
        };
        self.compared = Some(Compared { drift, age });
        Ok(())
    }

    /// A list tells nothing of a push that was not over when it was asked for. One of this very pass
    /// was asked for after it, whatever the clock says; where that was set back, the other is let
    /// pass, as nothing is written by it alone.
    fn is_newer(&self, asked_at: DateTime<Utc>) -> bool {
        let pushed_at = self.record.live.as_ref().map(|live| live.pushed_at);
        pushed_at.is_none_or(|at| asked_at > at || at > Utc::now())
    }

    /// The same, and remembers that a repair is seen to have worked.
    pub(super) async fn compare_and_note(&mut self, age: ListAge) -> Result<(), Fault> {
        self.compare(age).await?;
        let drift = self.compared.as_ref().map(|compared| &compared.drift);
        if let Some(next) = drift.and_then(|drift| self.record.compared(drift)) {
            self.save(next, None).await?;
        }
        Ok(())
    }
}
