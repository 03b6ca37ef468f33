//! The configuration of a key.

use std::time::Duration;

use super::{Check, Origin, RotateConfig, RuleId, Settings, VerifyConfig};

/// `[keys.…]`.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyConfig {
    /// The settings that its configuration or stored key has in Flashback.
    pub settings: Settings,
    /// The source, path and fields of its value.
    pub origin: Origin,
    /// The times at which it is checked.
    pub check: Check,
    /// The interval at which it is checked instead while each change in its source is heard of; `None` for a key with a
    /// `check` of its own, and for one with a cron line.
    pub check_with_events: Option<Duration>,
    /// Its verification: its own `verify`, completed from the general one.
    pub verify: VerifyConfig,
    /// The age of the live version from which on people are warned.
    pub max_age: Option<Duration>,
    /// How it is rotated; `None` if others rotate it.
    pub rotate: Option<Box<RotateConfig>>,
    /// `false` if it is not checked at all.
    pub enabled: bool,
    /// `true` if the configuration or stored key in Flashback may be created: always for a configuration, with
    /// `create` for a stored key.
    pub may_create: bool,
    /// The rule that has made it; `None` if it is a `[keys.…]` table.
    pub rule: Option<RuleId>,
}

impl KeyConfig {
    /// Returns the times at which it is checked. `events_up` tells if each change in its source is heard of.
    pub fn check_while(&self, events_up: bool) -> Check {
        match self.check_with_events.filter(|_| events_up) {
            Some(interval) => Check::Every(interval),
            None => self.check.clone(),
        }
    }
}
