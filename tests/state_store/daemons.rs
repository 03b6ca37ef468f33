//! What daemons leave of themselves, and what is known of them.

use std::collections::BTreeMap;

use flashback_rotator::model::{
    ConfigurationReport, DaemonReport, Daemons, ProviderId, ServiceHealth, ServiceStatus, SourceId,
};
use flashback_rotator::state::StateStore as _;
use flashback_rotator::state::membership::{Member, Membership as _, Role};
use flashback_rotator::state::postgres::Postgres;
use flashback_rotator::state::sqlite::Sqlite;

use super::contract::contract;
use super::membership::{LONG, OVER, evict};
use super::{File, Kind, at, database, opened};

contract! {
    the_last_report_of_a_daemon_is_readable_beside_and_after_it,
}

fn report(name: &str, error: Option<&str>) -> DaemonReport {
    let health = ServiceHealth {
        status: match error {
            Some(_) => ServiceStatus::Down,
            None => ServiceStatus::Up,
        },
        since: Some(at(3)),
        error: error.map(str::to_owned),
        events: None,
    };
    DaemonReport {
        discovery: Vec::new(),
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        started_at: at(1),
        listen: "127.0.0.1:9464".parse().expect("an address"),
        configuration: ConfigurationReport {
            path: "/etc/config.toml".into(),
            loaded_at: at(2),
            rejected: None,
        },
        flashback: health.clone(),
        sources: BTreeMap::from([(SourceId::new("vault"), health.clone())]),
        providers: BTreeMap::from([(ProviderId::new("openai"), health)]),
    }
}

async fn the_last_report_of_a_daemon_is_readable_beside_and_after_it(kind: &dyn Kind) {
    let store = kind.open().await;
    assert!(store.daemons().await.expect("read").all.is_empty());
    let of = |daemons: Daemons| {
        let [one] = &daemons.all[..] else {
            panic!("{daemons:?}");
        };
        let last = one.last.clone().expect("it has left something");
        assert!(!one.alive, "nobody said that it is a daemon");
        assert!(last.at <= daemons.now);
        let since = last.report.flashback.since.expect("a time");
        // PostgreSQL's clock is this machine's, but for what lies between two calls.
        assert!((since - at(3)).num_seconds().abs() < 60, "{since}");
        (last.report.name, last.report.flashback.error, last.stopped)
    };
    let leave = async |error, stopped| {
        let left = store.leave_report(&report("h/7", error), stopped).await;
        left.expect("left");
    };
    leave(Some("503"), false).await;
    let beside = kind.beside().await;
    let known = of(beside.daemons().await.expect("read"));
    assert_eq!(known, ("h/7".to_owned(), Some("503".to_owned()), false));
    leave(None, true).await;
    let known = of(beside.daemons().await.expect("read"));
    assert_eq!(known, ("h/7".to_owned(), None, true));
    drop(beside);
    kind.close(store).await;
    let store = kind.open().await;
    assert!(of(store.daemons().await.expect("read")).2);
}

#[tokio::test]
async fn the_lock_of_a_file_tells_who_lives() {
    let file = File::new();
    let open = |process: u32| {
        let holder = format!("flashback-rotator run on host h, process {process} there, since x");
        Sqlite::open(&file.path(), &holder).expect("opened")
    };
    let store = open(7);
    store
        .leave_report(&report("h/7", None), false)
        .await
        .expect("left");
    let beside = Sqlite::open_beside(&file.path());
    let beside = beside.expect("opened").expect("there");
    let known = async || beside.daemons().await.expect("read").all.remove(0);
    let one = known().await;
    assert!(one.alive && one.last.is_some());
    drop(store);
    let one = known().await;
    assert!(!one.alive && one.last.is_some());
    // What is there is its predecessor's, as long as it has left nothing itself.
    let store = open(8);
    let one = known().await;
    assert!(one.alive && one.last.is_none());
    drop(store);
    let sync = "flashback-rotator sync on host h, process 7 there, since x";
    let _command = Sqlite::open(&file.path(), sync).expect("opened");
    assert!(!known().await.alive, "a command is no daemon");
}

#[tokio::test]
async fn the_leases_of_a_database_tell_who_lives() {
    let database = database().await;
    let joined = async |name: &str, lease| {
        let store: Postgres = opened(&database).await;
        let member = Member {
            name: name.to_owned(),
            role: Role::Daemon,
        };
        let replica = store.join(&member, lease).await.expect("joined");
        let left = store.leave_report(&report(name, None), false).await;
        left.expect("left");
        (store, replica)
    };
    let known = async |store: &Postgres| {
        let all = store.daemons().await.expect("read").all;
        let told = all.into_iter().map(|one| (one.name, one.alive));
        told.collect::<Vec<_>>()
    };
    let named = |all: &[(&str, bool)]| {
        let one = |(name, alive): &(&str, bool)| ((*name).to_owned(), *alive);
        all.iter().map(one).collect::<Vec<_>>()
    };
    let (a, replica) = joined("h/1", LONG).await;
    let (b, _) = joined("h/2", OVER).await;
    assert_eq!(known(&a).await, named(&[("h/1", true), ("h/2", false)]));
    evict(&a, replica).await;
    assert_eq!(known(&a).await, named(&[("h/1", true)]), "nobody misses it");
    a.leave(replica).await.expect("left");
    let both = named(&[("h/1", false), ("h/2", false)]);
    assert_eq!(known(&b).await, both, "the last that ran");
}
