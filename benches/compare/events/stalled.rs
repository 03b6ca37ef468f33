//! Writes in OpenBao while the daemon that gets its records is stopped by SIGSTOP, as on a machine that hangs.

use std::time::Duration;

use tokio::time::Instant;

use super::row::tenths;
use crate::common::report::{Report, Spread};
use crate::common::store::{Store, WRITE_TIMEOUT};
use crate::contest::PATIENCE;
use crate::daemon::{Daemon, Setting};
use crate::flashback::Flashback;
use crate::length::Length;

/// The number of keys; one more is rotated, which no daemon has.
const KEYS: usize = 10;

pub async fn hold(report: &mut Report, length: &Length) {
    let store = Store::with_socket().await;
    let role = store.role("rotator").await;
    store.fill(KEYS, "first").await;
    let flashback = Flashback::empty().await;
    let events = format!(
        "[sources.vault.events]\ntype = \"audit-socket\"\nlisten = \"unix:{}\"\n",
        store.socket().display()
    );
    let daemon = Daemon::start(&Setting {
        store: &store,
        role: &role,
        flashback: &flashback,
        state: None,
        check: "10m",
        keys: KEYS,
        more: &events,
    });
    let filled = flashback.filled(KEYS, "first", PATIENCE);
    daemon.until(filled).await;
    daemon.ready().await;
    daemon.hears().await;
    eprintln!("writes while it runs, and while it is stopped");
    let running = writes(&store, length.stalled).await;
    daemon.signal("STOP");
    let stopped = writes(&store, length.stalled).await;
    daemon.signal("CONT");
    report.table(&["figure"]);
    let what = format!("{} writes in OpenBao, one after the other", length.stalled);
    let [before, after] = [&running, &stopped].map(|spread| spread.at(99));
    report.figure(
        &format!("{what}, `audit-socket` running"),
        &shown(&running),
        "",
        None,
    );
    let wanted = format!("p99 up to {} ms later", WRITE_TIMEOUT.as_millis());
    report.figure(
        &format!("{what}, `audit-socket` stopped (SIGSTOP)"),
        &shown(&stopped),
        &wanted,
        Some(after <= before + WRITE_TIMEOUT),
    );
}

async fn writes(store: &Store, count: usize) -> Spread {
    let mut times = Vec::new();
    for number in 0..count {
        let begun = Instant::now();
        store.write(KEYS, &format!("sk-stalled-{number}")).await;
        times.push(begun.elapsed());
    }
    Spread::of(times)
}

fn shown(spread: &Spread) -> String {
    let waited = |time: &&Duration| **time >= WRITE_TIMEOUT.mul_f64(0.9);
    let waited = spread.times().iter().filter(waited).count();
    let [median, most, max] = [50, 99, 100].map(|percent| tenths(spread.at(percent)));
    format!("median {median}, p99 {most}, max {max}; {waited} waited")
}
