//! A configuration that has been read and checked, as plain data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::credentials::CredentialPlan;
use super::flashback::FlashbackAuth;
use super::general::{HttpConfig, LogConfig};
use super::notify::NotifyConfig;
use super::state::StateConfig;
use crate::model::{KeyId, Origin, ReceiverId, Settings, SourceId, VerifyConfig};
use crate::retry::Limits;
use crate::source::{Kinds, SourceKind};

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[flashback]`.
    pub flashback: FlashbackConfig,
    /// `[flashback] watch_edits`: how often Flashback is asked who has changed credentials; `None` for never.
    pub watch_edits: Option<Duration>,
    /// `[state]`.
    pub state: StateConfig,
    /// `[schedule]` resync: push again even when unchanged.
    pub resync: Duration,
    /// `[retry]` initial, max, give_up_after.
    pub retry: Limits,
    /// `[retry]` refused: until a refused write is tried again.
    pub refused: Duration,
    /// `[verify]`, which a key's own overrides.
    pub verify: VerifyConfig,
    /// `[http]`.
    pub http: HttpConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// `[sources.…]`.
    pub sources: BTreeMap<SourceId, SourceConfig>,
    /// `[notify.…]`.
    pub notify: BTreeMap<ReceiverId, NotifyConfig>,
    /// `[keys.…]`, the disabled ones too.
    pub keys: BTreeMap<KeyId, Arc<KeyConfig>>,
    /// The locations of the rotator's own credentials.
    pub credentials: CredentialPlan,
    /// The kinds of source that it was read with.
    pub kinds: Kinds,
}

/// `[flashback]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashbackConfig {
    /// Without a trailing slash.
    pub base_url: String,
    /// `[flashback.auth]`.
    pub auth: FlashbackAuth,
}

/// `[sources.…]`.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Calls a second, failures and retries included.
    pub max_rps: f64,
    /// True if the source is told which version is live.
    pub acknowledge: bool,
    /// Its kind, for people: "AWS Secrets Manager".
    pub title: &'static str,
    /// The settings of its kind.
    pub kind: Arc<dyn SourceKind>,
}

impl PartialEq for SourceConfig {
    fn eq(&self, other: &Self) -> bool {
        self.max_rps == other.max_rps
            && self.acknowledge == other.acknowledge
            && *self.kind == *other.kind
    }
}

/// `[keys.…]`.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyConfig {
    /// Its settings in Flashback.
    pub settings: Settings,
    /// The location of its value.
    pub origin: Origin,
    /// When it is checked.
    pub check: Check,
    /// Its own `verify`, or the general one.
    pub verify: VerifyConfig,
    /// The age of the live version from which on people are warned.
    pub max_age: Option<Duration>,
    /// False if it is not checked at all.
    pub enabled: bool,
    /// True if the configuration or stored key in Flashback may be created: always for a configuration, with
    /// `create` for a stored key.
    pub may_create: bool,
}

/// When a key is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// Every so often.
    Every(Duration),
    /// At the times a cron line names.
    Cron(CronLine),
}

/// A valid cron line that fires at least once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CronLine {
    /// Six fields, seconds first.
    pub expression: String,
    /// The time zone of its times.
    pub timezone: chrono_tz::Tz,
}
