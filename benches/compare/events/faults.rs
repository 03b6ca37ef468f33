//! Ten thousand writes while whatever brings events fails: how many newest values are missing afterwards, and
//! how soon the last one is there.

use std::time::Duration;

use crate::common::report::{Report, millis};
use crate::common::support::queued::{self, Queued};
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
    let told = format!(
        "{behind} of {} behind at the last write; {pushes} pushes",
        2 * secrets
    );
    figure(
        report,
        &format!(
            "{count} writes in OpenBao with {} faults (file renamed, truncated, connection cut, daemon and server \
             killed), heard by file and by socket",
            faults.len()
        ),
        after,
        &told,
    );
    drop(shaken);
    let faults = queued::FAULTS.repeat(ROUNDS);
    eprintln!("as many in Secrets Manager, {} faults", faults.len());
    let mut queued = Queued::start(secrets, &millis(CHECK).replace(' ', "")).await;
    let before = writes(&queued.sandbox);
    queued.shake(count, &faults).await;
    let behind = queued.behind().len();
    let after = queued.settle().await;
    let pushes = writes(&queued.sandbox) - before;
    figure(
        report,
        &format!(
            "{count} writes in Secrets Manager (ministack) with {} faults (messages that come again because the daemon was \
             stopped or killed, that come twice and late, that are others'), heard by `sqs`",
            faults.len()
        ),
        after,
        &format!("{behind} of {secrets} behind at the last write; {pushes} pushes"),
    );
}

fn figure(report: &mut Report, what: &str, after: Duration, told: &str) {
    report.figure(
        &format!("{what}: last write to the last newest value in Flashback"),
        &format!("{} ({told})", millis(after)),
        &format!("within `check`, {}", millis(CHECK)),
        Some(after <= CHECK),
    );
}
