//! The contenders of the contest, and the measurements of each.

use std::time::Duration;

use crate::contender::Kind;
use crate::load::Load;

/// The contenders, in the order of the columns.
pub const CONTENDERS: [Kind; 3] = [Kind::Rotator, Kind::Agent, Kind::Loop];

/// The measurements of one contender with one number of keys.
pub struct Outcome {
    pub kind: Kind,
    pub keys: usize,
    /// The time from its start until every key was current; `None` if that took too long.
    pub filled: Option<Duration>,
    /// The times from before a write to the source until Flashback's answer.
    pub latency: Vec<Duration>,
    /// The number of rotations that did not arrive in time.
    pub lost: usize,
    pub load: Load,
}
