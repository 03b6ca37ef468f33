//! Who takes part in the contest, and what was measured of each.

use std::time::Duration;

use crate::contender::Kind;
use crate::load::Load;

/// What is compared, in the order of the columns.
pub const CONTENDERS: [Kind; 3] = [Kind::Rotator, Kind::Agent, Kind::Loop];

/// What was measured of one contender with so many keys.
pub struct Outcome {
    pub kind: Kind,
    pub keys: usize,
    /// From its start to every key current, unless it took too long.
    pub filled: Option<Duration>,
    /// From before a write in the store to Flashback's answer.
    pub latency: Vec<Duration>,
    /// Rotations that did not arrive in time.
    pub lost: usize,
    pub load: Load,
}
