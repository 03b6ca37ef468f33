//! `sync` and `rollback` where replicas share the keys, and where none runs.

use flashback_rotator::flashback::sandbox::Rule;
use serde_json::Value;

use super::sound;
use crate::replicas_faults::LOCAL;
use crate::replicas_faults::replica::{Replica, replicas};
use crate::support::LONG;
use crate::support::postgres::Postgres;
use crate::support::replicas::Replicas;
use crate::support::test_bed::TestBed;

const NEVER: &str = "5m";

/// Keys are checked when that is asked for.
const RARELY: &str = "[schedule]\ncheck = \"1h\"\n";

fn rows(document: &Value) -> Vec<(String, String)> {
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let rows = document["keys"].as_array().expect("rows");
    rows.iter()
        .map(|row| (text(row, "key"), text(row, "action")))
        .collect()
}

fn all(keys: &[String], action: &str) -> Vec<(String, String)> {
    let row = |key: &String| (key.clone(), action.to_owned());
    keys.iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_carried_out_by_those_that_hold_the_keys() {
    let database = Postgres::shared().await.database().await;
    let mut replicas = Replicas::new(&database, NEVER, 12, RARELY).await;
    replicas.start(3).await;
    replicas.arrived(0).await;
    replicas.at_rest().await;
    replicas.rotate(1);
    let beside = replicas.place();
    let synced = beside.json(&["sync"]).await;
    assert_eq!(rows(&synced), all(replicas.keys(), "update"));
    sound(&replicas, 1);
    let again = beside.json(&["sync", "k03", "k07"]).await;
    assert_eq!(rows(&again).len(), 2);
    let status = beside.json(&["status"]).await;
    let states = status["keys"].as_array().expect("rows").iter();
    assert!(states.into_iter().all(|row| row["state"] == "in_sync"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_replica_knows_is_named() {
    let database = Postgres::shared().await.database().await;
    let mut replicas = Replicas::new(&database, "3s", 4, RARELY).await;
    let fewer = replicas.config(&replicas.keys()[..3]);
    let mut rotator = replicas.place();
    rotator.write_config(&fewer);
    rotator.start();
    rotator.ready().await;
    replicas.all.push(rotator);
    let beside = replicas.place();
    let output = beside.command(&["sync"]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("k03: no replica takes it"), "{told}");
    assert!(!told.contains("k02"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_is_answered_in_its_time_by_each_replica() {
    let database = Postgres::shared().await.database().await;
    let mut replicas = Replicas::new(&database, NEVER, 6, RARELY).await;
    replicas.start(2).await;
    replicas.arrived(0).await;
    replicas.at_rest().await;
    replicas.sandbox.fail(Rule {
        name: Some("k05".to_owned()),
        ..Rule::status(500)
    });
    replicas.rotate(1);
    let beside = replicas.place();
    let synced = beside.json(&["sync", "--timeout", "1s"]).await;
    let mut expected = all(replicas.keys(), "update");
    expected[5].1 = "error".to_owned();
    assert_eq!(rows(&synced), expected, "{synced}");
    let said = synced["keys"][5]["error"].as_str().unwrap_or_default();
    assert!(said.starts_with("not done within 1s"), "{said}");
    replicas.sandbox.heal();
    replicas.arrived(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_replica_a_command_does_the_work_itself_and_leaves_nothing_behind() {
    let database = Postgres::shared().await.database().await;
    let replicas = Replicas::new(&database, NEVER, 6, RARELY).await;
    let alone = replicas.place();
    let synced = alone.json(&["sync"]).await;
    assert_eq!(rows(&synced), all(replicas.keys(), "create"));
    sound(&replicas, 0);
    replicas.rotate(1);
    let synced = alone.json(&["sync"]).await;
    assert_eq!(
        rows(&synced),
        all(replicas.keys(), "update"),
        "nothing is held"
    );
    sound(&replicas, 1);
    let joined = replicas.joined().await.expect("the state answers");
    assert!(joined.is_empty(), "{joined:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_is_carried_out_by_whoever_holds_the_key() {
    let mut world = TestBed::set(LOCAL, 3).await;
    let all = replicas(&world, 3).await;
    let first = world.newest.clone();
    world.rotate_all().await;
    world.settles("a rotation", LONG).await;
    let beside = Replica::new(&world).await;
    // One key is each replica's.
    for (key, value) in &first {
        let rolled_back = beside.rotator.json(&["rollback", key]).await;
        let row = &rolled_back["keys"][0];
        assert_eq!(
            (&row["action"], &row["reason"]),
            (&"update".into(), &"rolled back".into())
        );
        assert!(world.has(key, value), "{key}");
    }
    for replica in &all {
        let told = replica.rotator.events();
        let told = told.iter().filter(|line| line["event"] == "rolled_back");
        assert_eq!(told.count(), 1);
    }
    let status = beside.rotator.json(&["status"]).await;
    let mut states = status["keys"].as_array().expect("rows").iter();
    assert!(states.all(|row| row["state"] == "held"), "{status}");
}
