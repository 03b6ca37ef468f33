//! Ten thousand writes while whatever brings events fails: how many newest values are missing afterwards, and
//! how soon the last one is there.

use std::time::Duration;

use crate::common::report::{Report, millis};
use crate::common::support::rotator::writes;
use crate::common::support::shaken::{FAULTS, Shaken};
use crate::length::Length;

/// The interval at which keys are checked while events are down.
const CHECK: Duration = Duration::from_secs(2);

/// How often every fault happens.
const ROUNDS: usize = 4;

pub async fn hold(report: &mut Report, length: &Length) {
    let (secrets, count) = length.faults;
    let faults = FAULTS.repeat(ROUNDS);
    eprintln!(
        "{count} writes of {secrets} secrets, {} faults",
        faults.len()
    );
    let mut shaken = Shaken::start(secrets, &millis(CHECK).replace(' ', "")).await;
    let before = writes(&shaken.sandbox);
    shaken.shake(count, &faults).await;
    let behind = shaken.behind().len();
    let after = shaken.settle().await;
    let pushes = writes(&shaken.sandbox) - before;
    report.table(&["figure"]);
    report.figure(
        &format!(
            "{count} writes in OpenBao with {} faults (file renamed, truncated, connection cut, daemon and server \
             killed), heard by file and by socket: last write to the last newest value in Flashback",
            faults.len()
        ),
        &format!(
            "{} ({behind} of {} behind at the last write; {pushes} pushes)",
            millis(after),
            2 * secrets
        ),
        &format!("within `check`, {}", millis(CHECK)),
        Some(after <= CHECK),
    );
}
