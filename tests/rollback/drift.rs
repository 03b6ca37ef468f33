//! What is changed in Flashback while a version is held.

use super::*;
use crate::support::client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_repaired_with_the_live_version_while_another_is_held() {
    let mut scene = Scene::set("rollback-drift", "grace = \"1s\"", "").await;
    let often = ("FLASHBACK_ROTATOR_LIST_EVERY_MS", "300");
    let often = (often.0.to_owned(), often.1.to_owned());
    scene.rotator.environment.push(often);
    scene.rotate("sk-good").await;
    scene.rotator.start();
    scene.stands("in_sync", "1", Some("flashback")).await;
    scene.refuse(&["sk-bad"]);
    scene.rotate("sk-bad").await;
    scene.stands("held", "1", Some("flashback")).await;

    let id = scene.sandbox.configurations()[0].ai_llm_id.clone();
    let url = format!("{}/ai/llm/{id}", scene.sandbox.url());
    let edit = json!({ "endpoint": "https://other.example.com", "secret": "sk-wrong" });
    let request = client().put(url).bearer_auth("x").json(&edit);
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success());
    let repaired = scene.rotator.event("drift_repaired", |_| true).await;
    assert_eq!(repaired["version"], "1");
    assert!(scene.holds("sk-good"));
    scene.stands("held", "1", Some("flashback")).await;

    // And where it was deleted.
    assert!(scene.sandbox.remove(&id));
    scene
        .rotator
        .event("drift_repaired", |line| line["action"] == "create")
        .await;
    assert!(scene.holds("sk-good"));
    let row = scene.stands("held", "1", Some("flashback")).await;
    assert_eq!(row["held_version"], "2");
    assert_eq!(scene.rotator.count("rolled_back"), 1);
    assert_eq!(scene.rotator.count("version_held"), 0);
}
