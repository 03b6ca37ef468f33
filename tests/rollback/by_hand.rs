//! `rollback KEY` and `sync KEY --force`, beside a daemon and without one.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_put_back_by_hand_and_stays_until_somebody_says_so() {
    let mut scene = Scene::with_a_good_key("rollback-by-hand").await;
    scene.rotate("sk-new").await;
    scene.stands("in_sync", "2", Some("flashback")).await;

    let rows = scene.rotator.json(&["rollback", "k"]).await;
    let row = &rows["keys"][0];
    assert_eq!(
        (&row["action"], &row["reason"]),
        (&json!("update"), &json!("rolled back"))
    );
    assert_eq!(row["version"], "1", "the one that is live now");
    assert!(scene.holds("sk-good"));
    scene
        .rotator
        .event("rolled_back", |line| line["version"] == "1")
        .await;
    let row = scene.stands("held", "1", Some("flashback")).await;
    assert_eq!(row["held_reason"], "rolled back by hand");
    scene.is_at_rest().await;
    // Once more changes nothing.
    let rows = scene.rotator.json(&["rollback", "k"]).await;
    assert_eq!(rows["keys"][0]["action"], "hold");
    let rows = scene.rotator.json(&["sync", "k"]).await;
    assert_eq!(rows["keys"][0]["action"], "hold");
    assert!(scene.holds("sk-good"));

    let rows = scene.rotator.json(&["sync", "k", "--force"]).await;
    assert_eq!(rows["keys"][0]["action"], "update");
    assert!(scene.holds("sk-new"));
    scene.stands("in_sync", "2", Some("flashback")).await;

    // And the same without a daemon.
    assert!(scene.rotator.stop().await.success());
    let output = scene.rotator.command(&["rollback", "k"]).await;
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "Version 1 is live. Version 2 is held",
        "To release it: flashback-rotator sync k --force",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(scene.holds("sk-good"));
    let plan = scene.rotator.json(&["plan"]).await;
    assert_eq!(plan["keys"][0]["action"], "hold");
    scene.stands("held", "1", Some("flashback")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_to_nothing_says_what_is_missing() {
    let rest = r#"
[keys.plain]
ai_type = "OTHER"
endpoint = "https://llm.example.com/v1"
source = "files"
path = "plain"
"#;
    let scene = Scene::set("rollback-nothing", "grace = \"1s\"", rest).await;
    scene.rotate("sk-only").await;
    scene.rotator.put("plain", "sk-plain");
    for (key, because) in [("k", "nothing is live"), ("plain", "nothing is live")] {
        refused(&scene, key, because).await;
    }
    scene.rotator.json(&["sync"]).await;
    refused(&scene, "k", "the store has no such version").await;
    refused(&scene, "plain", "the store keeps no version but the latest").await;
    let output = scene.rotator.command(&["rollback", "unknown"]).await;
    assert_eq!(output.status.code(), Some(2));
    let before = writes(&scene.sandbox);
    scene.rotator.json(&["sync"]).await;
    assert_eq!(writes(&scene.sandbox), before, "nothing has changed");
}

async fn refused(scene: &Scene, key: &str, because: &str) {
    let output = scene.rotator.command(&["rollback", key]).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("cannot roll back") && error.contains(because),
        "{error}"
    );
}

/// Without a daemon there is nobody else who would undo it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_stays_until_what_it_pushed_has_proven_itself() {
    let scene = Scene::set("rollback-sync", "grace = \"1s\"", "").await;
    scene.rotate("sk-good").await;
    let rows = scene.rotator.json(&["sync"]).await;
    assert_eq!(rows["keys"][0]["action"], "create");
    scene.stands("in_sync", "1", Some("flashback")).await;
    scene.refuse(&["sk-bad"]);
    scene.rotate("sk-bad").await;
    scene.rotator.json(&["sync"]).await;
    assert!(scene.holds("sk-good"));
    scene.stands("held", "1", Some("flashback")).await;
}
