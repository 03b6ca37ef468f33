//! Replicas on one PostgreSQL: which of them run, and what is left when none does.

use super::*;
use crate::support::postgres::Postgres;
use crate::support::replicas::Replicas;

/// Of how many replicas the first line tells, and how many of them run.
async fn running(beside: &Rotator) -> (usize, usize) {
    let (document, _) = document(beside, &[]).await;
    let all = document["daemon"]["replicas"].as_array().expect("replicas");
    let runs = |one: &&Value| one["status"] == "running";
    (all.iter().filter(runs).count(), all.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn status_lists_running_replicas_and_reports_when_none_is_left() {
    let database = Postgres::shared().await.database().await;
    let mut replicas = Replicas::new(&database, "3s", 4, QUICK).await;
    replicas.start(2).await;
    replicas.arrived(0).await;
    let beside = replicas.place();
    eventually("both, and Flashback is up", || async {
        let (document, code) = document(&beside, &[]).await;
        let up = document["flashback"]["status"] == "up" && code == Some(0);
        (up && running(&beside).await == (2, 2)).then_some(())
    })
    .await;
    let screen = text(&beside.command(&["status"]).await.stdout);
    assert!(screen.contains("2 of 2 replicas running"), "{screen}");
    assert_eq!(screen.matches("running").count(), 3, "{screen}");
    assert!(!screen.contains("canary"), "{screen}");

    // A file that was broken since keeps nobody from asking those that run.
    let good = std::fs::read_to_string(beside.config()).expect("readable");
    beside.write_config(&format!("{good}canary = 1\n"));
    let (document_then, code) = document(&beside, &[]).await;
    assert_eq!(code, Some(0));
    assert_eq!(document_then["keys"].as_array().map(Vec::len), Some(4));
    let plan = beside.json(&["plan"]).await;
    assert_eq!(plan["keys"].as_array().map(Vec::len), Some(4), "{plan}");
    beside.write_config(&good);

    // One that stops is missed by nobody; one that is killed is, until it is evicted.
    assert!(replicas.all[0].stop().await.success());
    eventually("one alone", || async {
        (running(&beside).await == (1, 1)).then_some(())
    })
    .await;
    replicas.all[1].kill();
    eventually("none is heard of", || async {
        let (document, code) = document(&beside, &[]).await;
        (document["daemon"]["status"] == "dead" && code == Some(1)).then_some(())
    })
    .await;
    let screen = text(&beside.command(&["status"]).await.stdout);
    assert!(screen.contains("not running since"), "{screen}");
    assert!(
        screen.contains("LAST CHECK") && !screen.contains("NEXT CHECK"),
        "{screen}"
    );
}
