//! The inputs and the result of a check of a key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::edited::Edited;
use super::lists::Lists;
use super::next::Next;
use super::report::KeyReport;
use super::told::Tellings;
use crate::flashback::Flashback;
use crate::lease::LeaseTable;
use crate::model::{KeyCommand, ProviderId};
use crate::progress::Checks;
use crate::provider::Provider;
use crate::reconcile::Rules;
use crate::retry::Limits;
use crate::secret::Fingerprinter;
use crate::state::StateStore;
use crate::telemetry::metrics::Metrics;
use crate::trigger::Feed;
use crate::verify::Prober;

/// Everything that a check of a key needs, shared by all keys.
pub struct Engine {
    /// The state store.
    pub store: Arc<dyn StateStore>,
    /// The keys that this process may work on.
    pub leases: Arc<LeaseTable>,
    /// The client of Flashback.
    pub flashback: Arc<dyn Flashback>,
    /// The newest lists of Flashback's workspaces.
    pub lists: Arc<Lists>,
    /// The keys with updates in Flashback that are to be evaluated.
    pub edited: Arc<Edited>,
    /// Asks the keys' providers whether they accept them.
    pub prober: Arc<dyn Prober>,
    /// The providers that make and revoke keys.
    pub providers: BTreeMap<ProviderId, Arc<dyn Provider>>,
    /// Makes the fingerprints that the state keeps.
    pub fingerprinter: Fingerprinter,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Watches for checks that hang.
    pub checks: Arc<Checks>,
    /// The intervals that decisions depend on.
    pub rules: Rules,
    /// The limits of one round of tries.
    pub retry: Limits,
    /// Cancelled when the process is to stop. Checks are broken off then; a push that was sent is not.
    pub stop: CancellationToken,
    /// What the sources' events have said.
    pub feed: Arc<Feed>,
    /// What events have told about keys.
    pub told: Arc<Tellings>,
    /// Receives the changes made to keys, for notifications.
    pub changes: Changes,
    /// `true` once it was logged that Flashback does not validate keys.
    pub logged_unsupported: Arc<AtomicBool>,
}

/// The result of a check.
#[derive(Clone, Debug)]
pub struct Reconciled {
    /// The time of the next check.
    pub next: Next,
    /// The report of the check, for people and scripts.
    pub report: KeyReport,
    /// `true` if the key is in sync and no verification is left.
    pub well: bool,
    /// The command that is still to be carried out.
    pub command: KeyCommand,
}
