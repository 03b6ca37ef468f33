//! Files as the source, and what people use without a rotator.

use std::time::Duration;

use tokio::time::sleep;

use super::rotations;
use super::row::Row;
use crate::common::store::{Store, name, secret};
use crate::common::support::configuration::{Configuration, key};
use crate::contender::{Contender, Kind, Roles};
use crate::contest::{PATIENCE, SETTLING};
use crate::daemon::{Daemon, run};
use crate::flashback::Flashback;
use crate::length::Length;

/// Measures a directory of files, which the kernel watches. Each is written beside it, and moved into its place.
pub async fn files(length: &Length) -> Row {
    let (keys, _) = length.events;
    let flashback = Flashback::with(keys).await;
    let beside = tempfile::tempdir().expect("a directory");
    let secrets = beside.path().join("secrets");
    std::fs::create_dir(&secrets).expect("a directory");
    let write = |key: usize, secret: &str| {
        let next = beside.path().join(name(key));
        std::fs::write(&next, secret).expect("written");
        std::fs::rename(next, secrets.join(name(key))).expect("renamed");
    };
    for key in 0..keys {
        write(key, &secret(key, "first"));
    }
    let daemon = Daemon::start_as(|directory, http| {
        let mut configuration = Configuration::new(&flashback.sandbox.url());
        configuration.listen = http.to_owned();
        configuration = configuration.and(format!(
            "[schedule]\ncheck = \"10m\"\n\
             [sources.files]\ntype = \"file\"\nmax_rps = 100000\ndir = \"{}\"\n",
            secrets.display()
        ));
        for id in (0..keys).map(name) {
            configuration = configuration.and(key(&id, "files", &id));
        }
        run(directory, &configuration)
    });
    let filled = flashback.filled(keys, "first", PATIENCE);
    let stale = daemon.until(filled).await;
    assert_eq!(stale, 0, "files: not every key arrives at first");
    daemon.ready().await;
    daemon.hears().await;
    sleep(SETTLING).await;
    let pids = [daemon.pid()];
    let rotated = rotations::make_beside(&pids, length, async |key, secret: &str| {
        write(key, secret);
    });
    let (made, used) = rotated.await;
    let latency = rotations::arrive(&flashback, &made).await;
    daemon.stop().await;
    Row {
        name: "a file moved into its place, inotify".to_owned(),
        latency,
        calls: None,
        cpu: used.cpu,
        expected: Some((Duration::from_millis(15), Some(Duration::from_millis(50)))),
    }
}

/// Measures a contender that asks for each key every second.
pub async fn contender(kind: Kind, store: &Store, roles: &Roles, length: &Length) -> Row {
    let (keys, _) = length.events;
    let tag = format!("{}", rand::random::<u32>());
    store.fill(keys, &tag).await;
    let contender = Contender::start(kind, store, roles, keys, Duration::from_secs(1)).await;
    contender.flashback.filled(keys, &tag, PATIENCE).await;
    sleep(SETTLING).await;
    let mark = store.audit.mark();
    let write = async |key: usize, secret: &str| store.write(key, secret).await;
    let (made, used) = rotations::make_beside(&[contender.pid()], length, write).await;
    let calls = store.audit.since(mark);
    let calls = calls.iter().filter(|call| call.who == kind.role()).count();
    let latency = rotations::arrive(&contender.flashback, &made).await;
    contender.must_run();
    Row {
        name: format!("{}, every second", kind.name()),
        latency,
        calls: Some(calls as f64 / keys as f64 / used.minutes),
        cpu: used.cpu,
        expected: None,
    }
}
