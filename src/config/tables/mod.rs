//! Every setting there is, table by table, each beside the code that reads its table.
//!
//! What is read here is a draft: each table for itself. What only shows when all of it is known,
//! such as a source that is named and not there, is [`super::assemble`]'s to find.

pub(super) mod auth;
pub(super) mod defaults;
pub(super) mod general;
pub(super) mod key;
pub(super) mod notify;
pub(super) mod source;
pub(super) mod verify;

use super::setting::{Form, Look, Need, Setting, Settings, Shape, settings};
use crate::config::plain;
use crate::redact;

settings! {
    /// The Flashback to write to.
    FLASHBACK: general::Flashback = "flashback", Default, general::FLASHBACK;
    /// Where the rotator keeps what it knows: ids, versions, outcomes; never a value.
    STATE: Option<super::StateConfig> = "state", Default, general::STATE;
    /// When keys are looked at.
    SCHEDULE: general::Schedule = "schedule", Default, general::SCHEDULE;
    /// How failed calls are repeated.
    RETRY: general::Retry = "retry", Default, general::RETRY;
    /// How a new key is proved to work.
    VERIFY: verify::Verify = "verify", Default, verify::VERIFY;
    /// Health, metrics and status over HTTP.
    HTTP: general::Http = "http", Default, general::HTTP;
    /// What is logged, and how.
    LOG: super::LogConfig = "log", Default, general::LOG;
    /// What keys have that do not say otherwise.
    DEFAULTS: verify::Verify = "defaults", Default, defaults::DEFAULTS;
    /// The stores where keys are rotated. A table's name is the source's id: letters, digits, `-`, `_` and `.`.
    SOURCES: Vec<source::Source> = "sources", Default, source::SOURCES;
    /// Who is told of what happens, and of what lasts. A table's name is the receiver's id: letters, digits, `-`, `_` and `.`.
    NOTIFY: Vec<notify::Notify> = "notify", Default, notify::NOTIFY;
    /// The keys to keep current. A table's name is the key's id in commands, logs and metrics: letters, digits, `-`, `_` and `.`.
    KEYS: Vec<key::Key> = "keys", Default, key::KEYS;
}

/// Reports an id that could not stand in a command, a log line or a metric's label.
fn check_id(
    id: &str,
    span: super::tree::Span,
    what: &str,
    diagnostics: &mut super::diagnostics::Diagnostics,
) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if redact::is_a_key(id) || redact::is_long_and_random(id) {
        diagnostics
            .mistake(span, format!("the id of this {what} {}", plain::KEY))
            .help(plain::MOVE_KEY);
        return false;
    }
    if !id.is_empty() && id.len() <= 100 && id.chars().all(fits) {
        return true;
    }
    diagnostics
        .mistake(span, format!("this is no id for a {what}"))
        .help("an id is made of letters, digits, `-`, `_` and `.`, at most 100 of them");
    false
}
