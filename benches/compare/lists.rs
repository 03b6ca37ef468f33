//! Keys of one folder that are looked at by lists: what that takes at the shortest interval.

use tokio::time::{Instant, sleep};

use crate::common::process::Usage;
use crate::common::report::Report;
use crate::common::store::Store;
use crate::contest::PATIENCE;
use crate::daemon::{Daemon, Setting};
use crate::flashback::Flashback;
use crate::length::Length;

/// The expected calls to the source a minute: a list a second, and one more for where the minute is cut.
const CALLS: f64 = 61.0;

pub async fn hold(report: &mut Report, length: &Length) {
    let (keys, _) = length.events;
    let store = Store::start().await;
    let role = store.listing_role("rotator").await;
    store.fill(keys, "first").await;
    let flashback = Flashback::empty().await;
    let daemon = Daemon::start(&Setting {
        store: &store,
        role: &role,
        flashback: &flashback,
        state: None,
        check: "1s",
        keys,
        more: "",
    });
    let filled = flashback.filled(keys, "first", PATIENCE);
    daemon.until(filled).await;
    daemon.ready().await;
    sleep(length.idle / 6).await;
    eprintln!("{keys} keys, looked at every second by lists");
    let (mark, before, begun) = (store.audit.mark(), Usage::of(daemon.pid()), Instant::now());
    daemon.until(sleep(length.idle)).await;
    let (after, elapsed) = (Usage::of(daemon.pid()), begun.elapsed().as_secs_f64());
    let calls = store.audit.since(mark);
    let calls = calls.iter().filter(|call| call.who == role.mount).count();
    let minute = calls as f64 * 60.0 / elapsed;
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() / elapsed;
    report.table(&["figure"]);
    report.figure(
        &format!("calls to OpenBao a minute, {keys} keys of one folder (`check = \"1s\"`)"),
        &format!("{minute:.1}"),
        "60",
        Some(minute <= CALLS),
    );
    report.figure(
        &format!("CPU, {keys} keys of one folder (`check = \"1s\"`)"),
        &format!("{:.1} % of one core", 100.0 * cpu),
        "",
        None,
    );
}
