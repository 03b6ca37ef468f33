//! The state of a key that other replicas may claim: a real one whose saves have the outcomes that the test sets.

use std::collections::BTreeMap;

use super::*;
use crate::model::{
    CheckNote, DaemonReport, Daemons, Discovered, Edit, HistoryRow, Notified, RuleId, Verifier,
};
use crate::secret::Fingerprinter;
use crate::state::edits::{Heard, Watch};
use crate::state::{Request, RequestId, RequestState};

#[async_trait]
impl StateStore for Claimed {
    async fn fingerprinter(&self) -> Result<Fingerprinter, StateError> {
        self.records.fingerprinter().await
    }

    async fn load_all(&self) -> Result<Vec<Record>, StateError> {
        self.records.load_all().await
    }

    async fn load(&self, key: &KeyId) -> Result<Record, StateError> {
        let record = self.records.load(key).await?;
        Ok(Record {
            lease: *self.lease.lock(),
            repair: *self.repair.lock(),
            ..record
        })
    }

    async fn save(&self, record: &Record, report: Option<&HistoryRow>) -> Result<(), StateError> {
        let told = self.admit(record)?;
        self.records.save(record, report).await?;
        told.then_some(()).ok_or_else(Self::away)
    }

    async fn save_verified(&self, record: &Record, by: Verifier) -> Result<(), StateError> {
        let told = self.admit(record)?;
        self.records.save_verified(record, by).await?;
        told.then_some(()).ok_or_else(Self::away)
    }

    fn note_check(&self, key: &KeyId, note: CheckNote) {
        self.records.note_check(key, note);
    }

    async fn flush(&self) -> Result<(), StateError> {
        self.records.flush().await
    }

    async fn discovered(&self) -> Result<BTreeMap<RuleId, Discovered>, StateError> {
        self.records.discovered().await
    }

    async fn save_discovered(
        &self,
        rule: &RuleId,
        discovered: Option<&Discovered>,
    ) -> Result<(), StateError> {
        self.records.save_discovered(rule, discovered).await
    }

    async fn leave_report(&self, report: &DaemonReport, stopped: bool) -> Result<(), StateError> {
        self.records.leave_report(report, stopped).await
    }

    async fn daemons(&self) -> Result<Daemons, StateError> {
        self.records.daemons().await
    }

    fn failing(&self) -> Option<StateError> {
        self.records.failing()
    }

    async fn history(
        &self,
        key: Option<&KeyId>,
        since: Option<DateTime<Utc>>,
        limit: Option<u32>,
    ) -> Result<Vec<HistoryRow>, StateError> {
        self.records.history(key, since, limit).await
    }

    async fn watch(&self, workspace: &WorkspaceId, every: Duration) -> Result<Watch, StateError> {
        self.records.watch(workspace, every).await
    }

    async fn hear(
        &self,
        workspace: &WorkspaceId,
        read_to: DateTime<Utc>,
        heard: &[Heard],
    ) -> Result<(), StateError> {
        self.records.hear(workspace, read_to, heard).await
    }

    async fn edited(&self) -> Result<Vec<KeyId>, StateError> {
        self.records.edited().await
    }

    async fn unheard(&self, key: &KeyId) -> Result<Vec<Edit>, StateError> {
        self.records.unheard(key).await
    }

    async fn notified(&self) -> Result<Vec<Notified>, StateError> {
        self.records.notified().await
    }

    async fn save_notified(&self, lines: &[Notified]) -> Result<(), StateError> {
        self.records.save_notified(lines).await
    }

    async fn submit(&self, request: &Request) -> Result<RequestId, StateError> {
        self.records.submit(request).await
    }

    async fn take_request(&self) -> Result<Option<(RequestId, Request)>, StateError> {
        self.records.take_request().await
    }

    async fn report_progress(&self, id: RequestId, done: u32, of: u32) -> Result<(), StateError> {
        self.records.report_progress(id, done, of).await
    }

    async fn answer(&self, id: RequestId, answer: &str) -> Result<(), StateError> {
        self.records.answer(id, answer).await
    }

    async fn request_state(&self, id: RequestId) -> Result<RequestState, StateError> {
        self.records.request_state(id).await
    }
}
