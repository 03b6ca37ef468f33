//! Writes this daemon's report to the state, where `status` and `health` read it while the daemon runs and
//! after it has ended.
//!
//! A change is written within a second; an unchanged report is written once a minute, as a sign of life. Free
//! memory is given back to the system every few seconds.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::status_source::DaemonStatusSource;
use crate::failpoint;
use crate::model::BEAT;
use crate::runtime::RuntimeHandle;

/// The interval at which the report is compared with the one in the state.
const LOOK: Duration = Duration::from_secs(1);

/// The interval at which free memory is returned to the system.
const GIVE_BACK: Duration = Duration::from_secs(10);

/// Keeps the report in the state up to date until the future is dropped. A failed write is tried again;
/// errors of the state are logged elsewhere.
pub async fn keep_up(handle: &RuntimeHandle, status_source: &DaemonStatusSource) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = None;
    let mut given_back = Instant::now();
    loop {
        look.tick().await;
        if given_back.elapsed() >= GIVE_BACK {
            flashback_rotator_malloc::give_back();
            given_back = Instant::now();
        }
        failpoint::reach("heartbeat");
        let report = status_source.report();
        let is_left = left
            .as_ref()
            .is_some_and(|(known, at): &(_, Instant)| *known == report && at.elapsed() < BEAT);
        if is_left {
            continue;
        }
        let store = &handle.load().engine.store;
        if store.leave_report(&report, false).await.is_ok() {
            left = Some((report, Instant::now()));
        }
    }
}
