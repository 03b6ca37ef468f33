//! Several daemons on one PostgreSQL: how quickly they push all keys together for the first time, and how
//! long the keys of a replica that ends wait for another one.

use std::time::Duration;

use chrono::Utc;
use flashback_rotator::flashback::sandbox::sha256_hex;
use tokio::time::sleep;

use crate::common::report::{Report, Spread, millis};
use crate::common::store::{Role, Store, secret};
use crate::common::support::postgres::Postgres;
use crate::daemon::{Daemon, Setting};
use crate::flashback::Flashback;
use crate::length::Length;

/// The numbers of daemons that share the keys.
const REPLICAS: [usize; 3] = [1, 2, 4];

/// The expected wait after a replica was killed: the default lease, after which its keys are taken over, and
/// 2 s.
const KILLED: Duration = Duration::from_secs(17);

/// The expected wait after a replica was stopped: one check interval, and the second in which the other
/// replicas notice.
const DRAINED: Duration = Duration::from_secs(2);

/// The time the replicas have to share the keys evenly.
const SHARING: Duration = Duration::from_secs(10);

const PATIENCE: Duration = Duration::from_secs(120);

/// PostgreSQL's default durability, which the tests' servers turn off.
pub const SETTINGS: &str = "fsync = on\nfull_page_writes = on\nautovacuum = on\n";

/// Rules that admit every user from this machine.
pub const RULES: &str = "host all all 127.0.0.1/32 trust\n";

pub async fn hold(report: &mut Report, length: &Length) {
    let postgres = Postgres::start(SETTINGS, RULES).await;
    let store = Store::start().await;
    let role = store.role("rotator").await;
    let (keys, few) = length.shared;
    store.fill(keys, "first").await;
    report.table(&["figure"]);
    for replicas in REPLICAS {
        first_pass(report, &postgres, &store, &role, replicas, keys).await;
        store.audit.clear();
    }
    takeover(report, &postgres, &store, &role, few).await;
}

/// Measures the first round: all replicas start at the same time, on an empty state.
async fn first_pass(
    report: &mut Report,
    postgres: &Postgres,
    store: &Store,
    role: &Role,
    replicas: usize,
    keys: usize,
) {
    eprintln!("the first pass with {replicas} replicas");
    let state = postgres.database().await.url();
    let flashback = Flashback::empty().await;
    let setting = Setting {
        store,
        role,
        flashback: &flashback,
        state: Some(&state),
        check: "30s",
        keys,
        more: "",
    };
    let begun = Utc::now();
    let daemons: Vec<Daemon> = (0..replicas).map(|_| Daemon::start(&setting)).collect();
    let filled = flashback.filled(keys, "first", PATIENCE);
    let stale = daemons[0].until(filled).await;
    let figure = if stale == 0 {
        let last = flashback.arrivals().into_values().max().expect("keys") - begun;
        let last = last.to_std().unwrap_or_default();
        let pace = keys as f64 / last.as_secs_f64();
        format!("{}: {pace:.0} keys/s", millis(last))
    } else {
        format!("given up: {} keys after {PATIENCE:?}", keys - stale)
    };
    let made = flashback.sandbox.configurations().len();
    report.figure(
        &format!("first pass of {keys} keys, {replicas} replicas"),
        &format!("{figure}, {made} configurations"),
        "one configuration a key",
        Some(stale == 0 && made == keys),
    );
    for daemon in &daemons {
        daemon.stop().await;
    }
}

/// Measures a takeover: one of two replicas ends, and every key is rotated at that moment.
async fn takeover(
    report: &mut Report,
    postgres: &Postgres,
    store: &Store,
    role: &Role,
    keys: usize,
) {
    eprintln!("one of two replicas ends");
    let state = postgres.database().await.url();
    let flashback = Flashback::empty().await;
    let setting = Setting {
        store,
        role,
        flashback: &flashback,
        state: Some(&state),
        check: "1s",
        keys,
        more: "",
    };
    let other = Daemon::start(&setting);
    let one = Daemon::start(&setting);
    let filled = flashback.filled(keys, "first", PATIENCE);
    one.until(filled).await;
    sleep(SHARING).await;
    drop(one);
    waits(report, store, &flashback, keys, "kill -9", KILLED).await;

    let one = Daemon::start(&setting);
    sleep(SHARING).await;
    let ((), ()) = tokio::join!(
        one.stop(),
        waits(report, store, &flashback, keys, "SIGTERM", DRAINED)
    );
    other.stop().await;
}

/// Rotates every key now, and measures the time until each is in Flashback.
async fn waits(
    report: &mut Report,
    store: &Store,
    flashback: &Flashback,
    keys: usize,
    end: &str,
    expected: Duration,
) {
    // A value with white space would not be pushed.
    let tag = end.replace(' ', "-");
    let begun = Utc::now();
    store.fill(keys, &tag).await;
    let stale = flashback.filled(keys, &tag, PATIENCE).await;
    let arrivals = flashback.arrivals();
    let waits = (0..keys).filter_map(|key| {
        let at = arrivals.get(&sha256_hex(&secret(key, &tag)))?;
        (*at - begun).to_std().ok()
    });
    let waits: Vec<Duration> = waits.collect();
    let what = format!("{end} of one of two replicas, {keys} keys rotated then: each in Flashback");
    let wanted = format!("the last within {}", millis(expected));
    if waits.is_empty() {
        report.figure(&what, "none arrived", &wanted, Some(false));
        return;
    }
    let waits = Spread::of(waits);
    report.figure(
        &what,
        &format!(
            "{waits}{}",
            if stale > 0 {
                format!(", {stale} never")
            } else {
                String::new()
            }
        ),
        &wanted,
        Some(stale == 0 && waits.max() <= expected),
    );
}
