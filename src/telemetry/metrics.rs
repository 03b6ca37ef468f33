//! The metrics, with the prefix `flashback_rotator_`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::exposition;
use super::keys::{Figures, Keys, Seconds};
use super::panics;
use super::process::Process;
use super::writer;
use crate::model::{Action, KeyId, Outcome, ProviderId, SourceId, WorkspaceId};

pub use super::keys::RotationStanding;

/// The name of Flashback in metrics and reports, where sources have their ids.
pub const FLASHBACK: &str = "flashback";

/// The name of the keys' providers in metrics where keys are verified. They are not sources.
pub const PROVIDER: &str = "provider";

/// What the names in metrics and reports begin with of the providers that make and revoke keys. Their ids follow.
const MAKER: &str = "provider:";

/// The name of the receivers of notifications in metrics. They are not sources either.
pub const RECEIVER: &str = "notify";

/// Returns the name of a provider of `[providers]` where sources have their ids.
pub fn service_of(provider: &ProviderId) -> String {
    format!("{MAKER}{provider}")
}

macro_rules! labels {
    ($name:ident { $($field:ident),* }) => {
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($field: String),* }

        impl $name {
            fn of($($field: impl ToString),*) -> Self {
                Self { $($field: $field.to_string()),* }
            }
        }
    };
}

labels!(StageOutcome { stage, outcome });
labels!(SourceLabel { source });
labels!(ProviderLabel { provider });
labels!(RuleLabel { rule });
labels!(TargetLabel { target });
labels!(OutcomeLabel { outcome });
labels!(ServiceLabel { service });
labels!(ServiceOutcome { service, outcome });
labels!(VersionLabel { version });
labels!(WorkspaceLabel { workspace_id });
labels!(ReceiverOutcome { receiver, outcome });

/// These labels are used at every reconcile, so no text is copied unless necessary.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceOutcome {
    source: Arc<str>,
    outcome: &'static str,
}

/// These labels are used at every call, so no text is copied unless necessary.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabel {
    service: String,
    operation: &'static str,
    status: String,
}

/// These labels are used at every call, so no text is copied unless necessary.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    service: String,
    operation: &'static str,
}

/// These labels may exist for each key, so no text is copied unless necessary.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyActionOutcome {
    key: Arc<str>,
    action: &'static str,
    outcome: &'static str,
}

/// The state of a key, as its metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `true` if Flashback has the source's version.
    pub in_sync: bool,
    /// `true` if the source's version is held.
    pub held: bool,
    /// `true` if the value in Flashback is known to work.
    pub verified: bool,
    /// The time at which the live version was pushed.
    pub pushed_at: Option<DateTime<Utc>>,
    /// The time since which the source has had the live version.
    pub created_at: Option<DateTime<Utc>>,
    /// The age that the live version may reach.
    pub max_age: Option<Duration>,
    /// Its rotation, if it is rotated.
    pub rotation: Option<RotationStanding>,
}

/// The prefix of this program's own metrics.
const PREFIX: &str = "flashback_rotator";

/// The outcomes of a reload.
const RELOADS: [&str; 2] = ["accepted", "rejected"];

/// The outcomes of a renewal of the lease.
const RENEWALS: [&str; 3] = ["renewed", "lost", "failed"];

macro_rules! metrics {
    ($($field:ident: $type:ty = $new:expr, $name:literal, $help:literal;)*) => {
        /// Every metric of the process.
        pub struct Metrics {
            registry: Registry,
            keys: Keys,
            $($field: $type,)*
        }

        impl Metrics {
            /// Creates the metrics of the table and registers them.
            fn registered() -> Self {
                let mut registry = Registry::default();
                let own = registry.sub_registry_with_prefix(PREFIX);
                $(
                    let $field: $type = $new;
                    own.register($name, $help, $field.clone());
                )*
                let keys = Keys::default();
                own.register_collector(Box::new(keys.clone()));
                Self { registry, keys, $($field),* }
            }
        }
    };
}

metrics! {
    checks: Family<SourceOutcome, Counter> = Family::default(),
        "checks", "Checks of a key in its source";
    pushes: Family<KeyActionOutcome, Counter> = Family::default(),
        "pushes", "Writes to Flashback";
    push_duration: Histogram = call_time(),
        "push_duration_seconds", "Time of a write to Flashback";
    propagation: Histogram = Histogram::new(exponential_buckets(0.05, 2.0, 18)),
        "propagation_seconds", "From the time the store gives a version to Flashback's answer";
    verifications: Family<StageOutcome, Counter> = Family::default(),
        "verifications", "Questions whether a key works";
    retries: Family<TargetLabel, Counter> = Family::default(),
        "retries", "Repetitions after a failure";
    source_up: Family<SourceLabel, Gauge> = Family::default(),
        "source_up", "1 while the source answers";
    provider_up: Family<ProviderLabel, Gauge> = Family::default(),
        "provider_up", "1 while the provider that makes and revokes keys answers";
    events_up: Family<SourceLabel, Gauge> = Family::default(),
        "source_events_up", "1 while each change in the source is heard of, 0 while it is only polled";
    events_received: Family<SourceOutcome, Counter> = Family::default(),
        "events_received", "What came from a source's events, by what became of it";
    event_delay: EventDelays = EventDelays::new_with_constructor(call_time),
        "event_delay_seconds", "From a change in the source, by its clock, to the check that its event caused";
    discovery_up: Family<RuleLabel, Gauge> = Family::default(),
        "discovery_up", "1 while the source of the rule is listed, 0 while discovery stands still";
    discovered_keys: Family<RuleLabel, Gauge> = Family::default(),
        "discovered_keys", "Keys that the rule has made";
    discovery_problems: Family<RuleLabel, Gauge> = Family::default(),
        "discovery_problems", "Secrets that the rule has found and that are not the keys that they should be";
    flashback_up: Gauge = Gauge::default(),
        "flashback_up", "1 while Flashback answers";
    signed_in: Family<ServiceLabel, Gauge> = Family::default(),
        "signed_in", "1 while the last sign-in to the service worked, 0 while it was refused";
    sign_ins: Family<ServiceOutcome, Counter> = Family::default(),
        "sign_ins", "Sign-ins to outside services";
    requests: Family<RequestLabel, Counter> = Family::default(),
        "api_requests", "Calls to outside services";
    request_duration: CallTimes = CallTimes::new_with_constructor(call_time),
        "api_request_duration_seconds", "Time of a call to an outside service";
    listed: Family<WorkspaceLabel, Gauge> = Family::default(),
        "workspace_listed", "1 while Flashback lists what the workspace has, 0 where it answers but does not";
    unreadable: Family<WorkspaceLabel, Gauge> = Family::default(),
        "listing_unreadable_entries",
        "Entries of the last lists of the workspace that could not be read";
    state_up: Gauge = Gauge::default(),
        "state_up", "1 while the state answers and takes writes";
    replicas: Gauge = Gauge::default(),
        "replicas", "Processes that share the keys, this one among them";
    keys_held: Gauge = Gauge::default(),
        "keys_held", "Keys this process works on";
    keys_free: Gauge = Gauge::default(),
        "keys_free", "Configured keys that no process works on";
    lease_renewals: Family<OutcomeLabel, Counter> = Family::default(),
        "lease_renewals", "Renewals of the lease on the keys";
    notifications: Family<ReceiverOutcome, Counter> = Family::default(),
        "notifications", "Notices to those who are told of what happens, by what became of them";
    reloads: Family<OutcomeLabel, Counter> = Family::default(),
        "config_reloads", "Reloads of the configuration";
    last_reload: Gauge = Gauge::default(),
        "config_last_reload_successful",
        "1 while the configuration as it stands is in force, 0 while it is refused";
    build: Family<VersionLabel, Gauge> = Family::default(),
        "build_info", "The version of this program";
}

type EventDelays = Family<SourceLabel, Histogram, fn() -> Histogram>;

type CallTimes = Family<OperationLabel, Histogram, fn() -> Histogram>;

fn call_time() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Creates and registers every metric.
    pub fn new() -> Self {
        let mut metrics = Self::registered();
        let process = Box::new(Process::new());
        metrics.registry.register_collector(process);
        // The panic hook and the log count these for the whole process.
        let own = metrics.registry.sub_registry_with_prefix(PREFIX);
        let help = "Panics, which the process survives; each is a defect";
        own.register("panics", help, panics::COUNT.clone());
        let help = "Log lines that standard error did not take in time";
        own.register("log_lines_dropped", help, writer::DROPPED.clone());
        let version = VersionLabel::of(env!("CARGO_PKG_VERSION"));
        metrics.build.get_or_create(&version).set(1);
        // A counter with an alert must exist before it is increased for the first time.
        for outcome in RELOADS.map(OutcomeLabel::of) {
            let _ = metrics.reloads.get_or_create(&outcome);
        }
        for outcome in RENEWALS.map(OutcomeLabel::of) {
            let _ = metrics.lease_renewals.get_or_create(&outcome);
        }
        metrics.last_reload.set(1);
        metrics.state_up.set(1);
        metrics
    }

    /// Counts one check of a key. `outcome` is one of a fixed set of words.
    pub fn check(&self, key: &KeyId, source: &SourceId, outcome: &'static str, at: DateTime<Utc>) {
        let label = SourceOutcome {
            source: source.into(),
            outcome,
        };
        self.checks.get_or_create(&label).inc();
        self.keys
            .change(key, |figures| figures.last_check = Seconds::at(at));
    }

    /// Counts one write to Flashback.
    pub fn push(&self, key: &KeyId, action: Action, outcome: Outcome, elapsed: Duration) {
        let label = push_label(key, action, outcome);
        self.pushes.get_or_create(&label).inc();
        self.push_duration.observe(elapsed.as_secs_f64());
    }

    /// Sets the time of a key's last push.
    pub fn last_push(&self, key: &KeyId, at: DateTime<Utc>) {
        self.keys
            .change(key, |figures| figures.last_push = Seconds::at(at));
    }

    /// Records the time from the source's timestamp of a version to Flashback's answer.
    pub fn propagation(&self, elapsed: Duration) {
        self.propagation.observe(elapsed.as_secs_f64());
    }

    /// Sets whether Flashback has the source's version.
    pub fn in_sync(&self, key: &KeyId, in_sync: bool) {
        self.keys
            .change(key, |figures| figures.in_sync = Some(in_sync));
    }

    /// Sets the state of a key after a reconcile.
    pub fn stands(&self, key: &KeyId, standing: &Standing) {
        self.keys.change(key, |figures| {
            figures.in_sync = Some(standing.in_sync);
            figures.held = Some(standing.held);
            figures.verified = Some(standing.verified);
            figures.created = standing.created_at.map(Seconds::at).unwrap_or_default();
            figures.max_age = Seconds::of(standing.max_age);
            figures.rotation = standing.rotation.map(Box::new);
            if let Some(at) = standing.pushed_at {
                figures.last_push = Seconds::at(at);
            }
        });
    }

    /// Counts one verification of a key. `stage` and `outcome` are words of a fixed set each.
    pub fn verification(&self, stage: &'static str, outcome: &'static str) {
        let label = StageOutcome::of(stage, outcome);
        self.verifications.get_or_create(&label).inc();
    }

    /// Sets the time of a key's next check, and the time between its checks.
    pub fn next_check(&self, key: &KeyId, at: DateTime<Utc>, interval: Duration) {
        self.keys.change(key, |figures| {
            figures.next_check = Seconds::at(at);
            figures.interval = Seconds(interval.as_secs_f64());
        });
    }

    /// Sets the source and the workspace of a key.
    pub fn key(&self, key: &KeyId, source: &SourceId, workspace: &WorkspaceId) {
        let info = (source.clone(), workspace.clone());
        self.keys.change(key, |figures| figures.info = Some(info));
    }

    /// Removes the source and the workspace of a key, unless it has others by now.
    pub fn key_was(&self, key: &KeyId, source: &SourceId, workspace: &WorkspaceId) {
        self.keys.retain(key, |figures| {
            let was = |info: &(SourceId, WorkspaceId)| info.0 == *source && info.1 == *workspace;
            figures.info.take_if(|info| was(info));
            figures.is_known()
        });
    }

    /// Removes the series of a key that is no longer configured, except for its source and workspace.
    pub fn forget_key(&self, key: &KeyId) {
        for action in [Action::Create, Action::Update, Action::Adopt] {
            for outcome in [Outcome::Succeeded, Outcome::Failed] {
                self.pushes.remove(&push_label(key, action, outcome));
            }
        }
        self.keys.retain(key, |figures| {
            let info = figures.info.take();
            *figures = Figures {
                info,
                ..Figures::default()
            };
            figures.is_known()
        });
    }

    /// Removes the series of a source, or of a provider by [its name](service_of), that is no longer configured.
    pub fn forget_source(&self, source: &SourceId) {
        self.signed_in.remove(&ServiceLabel::of(source));
        self.source_up.remove(&SourceLabel::of(source));
        if let Some(provider) = source.as_str().strip_prefix(MAKER) {
            self.provider_up.remove(&ProviderLabel::of(provider));
        }
    }

    /// Counts one reload of the configuration: `accepted` or `rejected`.
    pub fn reload(&self, outcome: &'static str) {
        self.reloads.get_or_create(&OutcomeLabel::of(outcome)).inc();
        self.last_reload.set(i64::from(outcome == RELOADS[0]));
    }

    /// Returns the text of `/metrics`, in Prometheus's text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => exposition::plain(&text),
            Err(_) => "# the metrics could not be encoded\n".to_owned(),
        }
    }
}

fn push_label(key: &KeyId, action: Action, outcome: Outcome) -> KeyActionOutcome {
    KeyActionOutcome {
        key: key.into(),
        action: action.as_str(),
        outcome: outcome.as_str(),
    }
}

mod outside;

#[cfg(test)]
mod tests;
