//! `sync` and `rollback` where replicas share the keys, and where none runs.

use serde_json::Value;

use super::sound;
use crate::support::postgres::Postgres;
use crate::support::replicas::Replicas;

const NEVER: &str = "5m";

/// Looks come when they are asked for.
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
