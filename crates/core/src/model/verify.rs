//! The configured verification of a new key.

use std::time::Duration;

/// The configured verification of a new key: `[verify]`, or a key's own `verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyConfig {
    /// `before = "provider"`.
    pub before_provider: bool,
    /// `after = "flashback"`.
    pub after_flashback: bool,
    /// `grace`.
    pub grace: Duration,
    /// `on_failure = "rollback"` rather than `"hold"`.
    pub rollback: bool,
    /// `settle`: how long after its verification a version is acknowledged.
    pub settle: Duration,
}
