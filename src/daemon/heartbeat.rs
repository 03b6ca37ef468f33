//! Leaves in the state how this daemon stands, so that `status` and `health` tell the truth beside it, and after it.
//!
//! What has changed is written at once, and the rest once a minute, which says that the daemon lives.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::status_source::DaemonStatusSource;
use crate::failpoint;
use crate::model::BEAT;
use crate::runtime::RuntimeHandle;

/// How often it is seen whether anything has changed.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the state up to date until it is dropped. What cannot be written is tried again; the state's own
/// trouble is told by others.
pub async fn keep_up(handle: &RuntimeHandle, status_source: &DaemonStatusSource) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = None;
    loop {
        look.tick().await;
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
