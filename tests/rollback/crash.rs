//! A process that dies at any step of a trial finds its place again.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_rollback_ends_in_the_same_place() {
    let points = [
        "validation_answered",
        "verdict_recorded",
        "older_read",
        "turn_back_recorded",
        "intent_recorded:2",
        "answer_received:2",
        "outcome_recorded:2",
        "verdict_recorded:3",
    ];
    let mut scene = Scene::with_a_good_key("rollback-crash").await;
    for (number, point) in points.into_iter().enumerate() {
        assert!(scene.rotator.stop().await.success());
        let bad = format!("sk-bad-{number}");
        scene.refuse(&[&bad]);
        scene.rotate(&bad).await;
        let kill = [("FLASHBACK_ROTATOR_KILL_AT", point)];
        scene.rotator.start_with(&kill);
        let status = scene.rotator.ended().await;
        assert!(!status.success(), "{point}: {status}");
        scene.rotator.start();
        let version = format!("{}", 2 * number + 1);
        let row = scene.stands("held", &version, Some("flashback")).await;
        assert_eq!(
            row["held_version"],
            format!("{}", 2 * number + 2),
            "{point}"
        );
        let good = match number {
            0 => "sk-good".to_owned(),
            _ => format!("sk-good-{}", number - 1),
        };
        assert!(scene.holds(&good), "{point}");
        scene.is_at_rest().await;
        scene.rotate(&format!("sk-good-{number}")).await;
        let next = format!("{}", 2 * number + 3);
        scene.stands("in_sync", &next, Some("flashback")).await;
    }
}
