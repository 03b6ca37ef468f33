//! The tables of a configuration.

use super::defaults::DEFAULTS as DEFAULTS_TABLE;
use super::discover::DISCOVER as DISCOVER_TABLES;
use super::flashback::{FLASHBACK as FLASHBACK_TABLE, Flashback};
use super::general::{
    HTTP as HTTP_TABLE, HttpConfig, LOG as LOG_TABLE, LogConfig, RETRY as RETRY_TABLE, Retry,
    SCHEDULE as SCHEDULE_TABLE, Schedule,
};
use super::key::KEYS as KEY_TABLES;
use super::notify::NOTIFY as NOTIFY_TABLES;
use super::providers::PROVIDERS as PROVIDER_TABLES;
use super::sources::SOURCES as SOURCE_TABLES;
use super::state::StateConfig;
use super::state_table::STATE as STATE_TABLE;
use super::verify::{VERIFY as VERIFY_TABLE, Verify};
use crate::setting::settings;

settings! {
    /// The Flashback to write to.
    FLASHBACK: Flashback = "flashback", FLASHBACK_TABLE, Default;
    /// Where the rotator keeps what it knows: ids, versions, outcomes; never a value.
    STATE: Option<StateConfig> = "state", STATE_TABLE, Default;
    /// When keys are looked at.
    SCHEDULE: Schedule = "schedule", SCHEDULE_TABLE, Default;
    /// How failed calls are repeated.
    RETRY: Retry = "retry", RETRY_TABLE, Default;
    /// How a new key is proved to work.
    VERIFY: Verify = "verify", VERIFY_TABLE, Default;
    /// Health, metrics and status over HTTP.
    HTTP: HttpConfig = "http", HTTP_TABLE, Default;
    /// What is logged, and how.
    LOG: LogConfig = "log", LOG_TABLE, Default;
    /// What keys have that do not say otherwise.
    DEFAULTS: Verify = "defaults", DEFAULTS_TABLE, Default;
    /// The stores where keys are rotated. A table's name is the source's id: letters, digits, `-`, `_` and `.`.
    SOURCES: () = "sources", SOURCE_TABLES, Default;
    /// The providers that make and revoke keys. A table's name is the provider's id: letters, digits, `-`, `_` and `.`.
    PROVIDERS: () = "providers", PROVIDER_TABLES, Default;
    /// Who is told of what happens, and of what lasts. A table's name is the receiver's id: letters, digits, `-`, `_` and `.`.
    NOTIFY: () = "notify", NOTIFY_TABLES, Default;
    /// Rules that make keys of what a source has. A table's name is the rule's id: letters, digits, `-`, `_` and `.`.
    DISCOVER: () = "discover", DISCOVER_TABLES, Default;
    /// The keys to keep current. A table's name is the key's id in commands, logs and metrics: letters, digits, `-`, `_` and `.`.
    KEYS: () = "keys", KEY_TABLES, Default;
}
