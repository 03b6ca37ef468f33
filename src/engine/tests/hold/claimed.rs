//! The state of a key that others may claim: a real one, whose saves go as the test says.

use super::*;
use crate::model::{DaemonReport, Daemons, Edit, HistoryRow, LookNote, Notified, Verifier};
use crate::store::edits::{Heard, Watch};
use crate::store::{Request, RequestId, RequestState};

#[async_trait]
impl Store for Claimed {
    async fn fingerprinter(&self) -> Result<Fingerprinter, StoreError> {
        self.records.fingerprinter().await
    }

    async fn load_all(&self) -> Result<Vec<Record>, StoreError> {
        self.records.load_all().await
    }

    async fn load(&self, key: &KeyId) -> Result<Record, StoreError> {
        let record = self.records.load(key).await?;
        Ok(Record {
            hold: *lock(&self.hold),
            repair: *lock(&self.repair),
            ..record
        })
    }

    async fn save(&self, record: &Record, row: Option<&HistoryRow>) -> Result<(), StoreError> {
        let told = self.admit(record)?;
        self.records.save(record, row).await?;
        told.then_some(()).ok_or_else(Self::away)
    }

    async fn save_verified(&self, record: &Record, by: Verifier) -> Result<(), StoreError> {
        let told = self.admit(record)?;
        self.records.save_verified(record, by).await?;
        told.then_some(()).ok_or_else(Self::away)
    }

    fn note_look(&self, key: &KeyId, note: LookNote) {
        self.records.note_look(key, note);
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.records.flush().await
    }

    async fn leave_report(&self, report: &DaemonReport, stopped: bool) -> Result<(), StoreError> {
        self.records.leave_report(report, stopped).await
    }

    async fn daemons(&self) -> Result<Daemons, StoreError> {
        self.records.daemons().await
    }

    fn failing(&self) -> Option<StoreError> {
        self.records.failing()
    }

    async fn history(
        &self,
        key: Option<&KeyId>,
        since: Option<DateTime<Utc>>,
        limit: Option<u32>,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        self.records.history(key, since, limit).await
    }

    async fn watch(&self, workspace: &WorkspaceId, every: Duration) -> Result<Watch, StoreError> {
        self.records.watch(workspace, every).await
    }

    async fn hear(
        &self,
        workspace: &WorkspaceId,
        read_to: DateTime<Utc>,
        heard: &[Heard],
    ) -> Result<(), StoreError> {
        self.records.hear(workspace, read_to, heard).await
    }

    async fn edited(&self) -> Result<Vec<KeyId>, StoreError> {
        self.records.edited().await
    }

    async fn unheard(&self, key: &KeyId) -> Result<Vec<Edit>, StoreError> {
        self.records.unheard(key).await
    }

    async fn notified(&self) -> Result<Vec<Notified>, StoreError> {
        self.records.notified().await
    }

    async fn save_notified(&self, lines: &[Notified]) -> Result<(), StoreError> {
        self.records.save_notified(lines).await
    }

    async fn submit(&self, request: &Request) -> Result<RequestId, StoreError> {
        self.records.submit(request).await
    }

    async fn take_request(&self) -> Result<Option<(RequestId, Request)>, StoreError> {
        self.records.take_request().await
    }

    async fn report_progress(&self, id: RequestId, done: u32, of: u32) -> Result<(), StoreError> {
        self.records.report_progress(id, done, of).await
    }

    async fn answer(&self, id: RequestId, answer: &str) -> Result<(), StoreError> {
        self.records.answer(id, answer).await
    }

    async fn request_state(&self, id: RequestId) -> Result<RequestState, StoreError> {
        self.records.request_state(id).await
    }
}
