//! A configuration that has been read and checked, as plain data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::credentials::CredentialPlan;
use super::flashback::FlashbackAuth;
use super::general::{HttpConfig, LogConfig};
use super::kinds::Kinds;
use super::notify::NotifyConfig;
use super::state::StateConfig;
use crate::discovery::Rule;
use crate::model::{
    Check, KeyConfig, KeyId, ProviderId, ReceiverId, RuleId, SourceId, VerifyConfig,
};
use crate::provider::{self, ProviderKind};
use crate::retry::Limits;
use crate::source::SourceKind;
use crate::trigger::TriggerKind;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[flashback]`.
    pub flashback: FlashbackConfig,
    /// `[flashback] watch_edits`: the interval at which edits by other users are read; `None` for never.
    pub watch_edits: Option<Duration>,
    /// `[state]`.
    pub state: StateConfig,
    /// `[schedule] resync`: the time after which an unchanged value is pushed again.
    pub resync: Duration,
    /// `[retry] initial`, `max` and `give_up_after`.
    pub retry: Limits,
    /// `[retry] refused`: the time after which a refused write is tried again.
    pub refused: Duration,
    /// `[verify]`: the defaults for keys without a `verify` of their own.
    pub verify: VerifyConfig,
    /// `[http]`.
    pub http: HttpConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// `[sources.…]`.
    pub sources: BTreeMap<SourceId, SourceConfig>,
    /// `[providers.…]`.
    pub providers: BTreeMap<ProviderId, ProviderConfig>,
    /// `[notify.…]`.
    pub notify: BTreeMap<ReceiverId, NotifyConfig>,
    /// `[discover.…]`.
    pub discover: BTreeMap<RuleId, Arc<RuleConfig>>,
    /// `[keys.…]`, including disabled keys, and the keys that rules have made.
    pub keys: BTreeMap<KeyId, Arc<KeyConfig>>,
    /// The locations of the rotator's own credentials.
    pub credentials: CredentialPlan,
    /// The kinds of source and trigger that were known when it was read.
    pub kinds: Kinds,
}

/// `[flashback]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashbackConfig {
    /// The URL of the API, without a trailing slash.
    pub base_url: String,
    /// `[flashback.auth]`.
    pub auth: FlashbackAuth,
}

/// `[sources.…]`.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The limit of calls per second, including failures and retries.
    pub max_rps: f64,
    /// `true` if the source records which version is live.
    pub acknowledge: bool,
    /// Its kind, for people: "AWS Secrets Manager".
    pub title: &'static str,
    /// What tells of changes in it, if anything does.
    pub events: Option<Arc<dyn TriggerKind>>,
    /// The settings that only its kind has.
    pub kind: Arc<dyn SourceKind>,
}

impl PartialEq for SourceConfig {
    fn eq(&self, other: &Self) -> bool {
        self.max_rps == other.max_rps
            && self.acknowledge == other.acknowledge
            && self.events == other.events
            && *self.kind == *other.kind
    }
}

/// `[providers.…]`.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its kind.
    pub kind: &'static provider::Kind,
    /// Its settings.
    pub settings: Arc<dyn ProviderKind>,
}

impl PartialEq for ProviderConfig {
    fn eq(&self, other: &Self) -> bool {
        *self.settings == *other.settings
    }
}

/// `[discover.…]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleConfig {
    /// Which secrets are keys, and what they are in Flashback.
    pub rule: Rule,
    /// The times at which each key is checked.
    pub check: Check,
    /// The interval at which each key is checked instead while each change in its source is heard of, as that of a
    /// [`KeyConfig`].
    pub check_with_events: Option<Duration>,
    /// The verification of each key.
    pub verify: VerifyConfig,
    /// The age of a live version from which on people are warned.
    pub max_age: Option<Duration>,
}
