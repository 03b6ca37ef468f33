//! Secrets that are new below a prefix which a rule discovers: how long until each is a configuration in Flashback.

use std::time::Duration;

use tokio::time::sleep;

use super::rotations;
use super::row::Row;
use crate::common::store::{Role, Store};
use crate::contest::{PATIENCE, SETTLING};
use crate::daemon::{Daemon, Setting};
use crate::flashback::Flashback;
use crate::length::Length;

/// The expected latency.
const EXPECTED: Duration = Duration::from_millis(100);

/// The number of secrets that are there before.
const THERE: usize = 10;

pub async fn measure(store: &Store, role: &Role, length: &Length) -> Row {
    let (_, count) = length.events;
    store.fill(THERE, "there").await;
    let flashback = Flashback::empty().await;
    let rules = format!(
        "[sources.vault.events]\ntype = \"audit-file\"\npath = \"{}\"\n\
         [discover.llm]\nsource = \"vault\"\npath = \"llm/*\"\nai_type = \"OPENAI\"\nevery = \"10m\"\n",
        store.log().display()
    );
    let daemon = Daemon::start(&Setting {
        store,
        role,
        flashback: &flashback,
        state: None,
        check: "10m",
        keys: 0,
        more: &rules,
    });
    let filled = flashback.filled(THERE, "there", PATIENCE);
    let stale = daemon.until(filled).await;
    assert_eq!(stale, 0, "what is there is discovered");
    daemon.ready().await;
    daemon.hears().await;
    sleep(SETTLING).await;
    let mark = store.audit.mark();
    // No two of them are the same secret, and none is there yet.
    let length = Length {
        events: (count, count),
        ..length.clone()
    };
    let write = async |key: usize, secret: &str| store.write(THERE + key, secret).await;
    let (made, used) = rotations::make_beside(&[daemon.pid()], &length, write).await;
    let calls = store.audit.since(mark);
    let calls = calls.iter().filter(|call| call.who == role.mount).count();
    let latency = rotations::arrive(&flashback, &made).await;
    daemon.stop().await;
    Row {
        name: "a new secret below a discovered prefix, `audit-file`".to_owned(),
        latency,
        calls: Some(calls as f64 / count as f64 / used.minutes),
        cpu: used.cpu,
        expected: Some((EXPECTED, Some(EXPECTED))),
    }
}
