//! Who holds which key, as replicas come and go.

use std::collections::BTreeSet;

use serde_json::json;

use super::sound;
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::replicas::{Replicas, metric, writers};
use crate::support::rotator::{QUICK, Rotator};

/// Longer than any test: nothing here may wait for the end of a lease.
const NEVER: &str = "5m";

#[tokio::test(flavor = "multi_thread")]
async fn three_share_thirty_keys_evenly_and_a_fourth_gets_its_part() {
    let database = Postgres::shared().await.database().await;
    let mut replicas = Replicas::new(&database, NEVER, 30, QUICK).await;
    replicas.start(3).await;
    replicas.arrived(0).await;
    replicas.rotate(1);
    replicas.arrived(1).await;
    let pids: BTreeSet<u32> = replicas.all.iter().map(Rotator::pid).collect();
    let wrote: BTreeSet<u32> = writers(&replicas.sandbox).into_keys().collect();
    assert_eq!(wrote, pids, "each does its part, and says who it is");
    for rotator in &replicas.all {
        let held = metric(rotator, "flashback_rotator_keys_held").await;
        let series = metric(rotator, "flashback_rotator_key_info").await;
        assert!((held - 10.0).abs() < 0.1 && (series - 10.0).abs() < 0.1);
    }
    replicas.add();
    replicas.evenly(4).await;
    replicas.rotate(2);
    replicas.arrived(2).await;
    let fourth = replicas.all[3].pid();
    assert!(writers(&replicas.sandbox).contains_key(&fourth));
    sound(&replicas, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_killed_replica_are_taken_over_after_its_lease() {
    let database = Postgres::shared().await.database().await;
    let mut replicas = Replicas::new(&database, "5s", 30, QUICK).await;
    replicas.start(3).await;
    replicas.arrived(0).await;
    replicas.all[1].kill();
    replicas.rotate(1);
    replicas.arrived(1).await;
    replicas.evenly(2).await;
    sound(&replicas, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_replica_hands_over_its_keys_without_delay() {
    let database = Postgres::shared().await.database().await;
    let mut replicas = Replicas::new(&database, NEVER, 30, QUICK).await;
    replicas.start(3).await;
    replicas.arrived(0).await;
    assert!(replicas.all[0].stop().await.success());
    let told = replicas.all[0].events();
    let mut released = told.iter().filter(|line| line["event"] == "keys_released");
    let last = released.next_back().expect("it gave back what it had");
    assert_eq!((&last["keys"], &last["held"]), (&json!(10), &json!(0)));
    replicas.rotate(1);
    replicas.arrived(1).await;
    replicas.evenly(2).await;
    sound(&replicas, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_grows_and_shrinks_is_followed() {
    let database = Postgres::shared().await.database().await;
    let mut replicas = Replicas::new(&database, NEVER, 12, QUICK).await;
    replicas.start(2).await;
    replicas.arrived(0).await;
    let fewer = replicas.config(&replicas.keys()[..8]);
    for rotator in &replicas.all {
        rotator.write_config(&fewer);
    }
    eventually("each holds four", || async {
        let counts = replicas.counts().await?;
        (counts == [4, 4]).then_some(())
    })
    .await;
    let all = replicas.config(replicas.keys());
    for rotator in &replicas.all {
        rotator.write_config(&all);
    }
    replicas.evenly(2).await;
    replicas.rotate(1);
    replicas.arrived(1).await;
    sound(&replicas, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_on_a_cron_line_is_not_checked_again_when_it_changes_hands() {
    let database = Postgres::shared().await.database().await;
    let yearly = "[schedule]\ncheck = \"0 0 0 1 1 *\"\nresync = \"10000h\"\n";
    let mut replicas = Replicas::new(&database, NEVER, 10, yearly).await;
    replicas.start(1).await;
    replicas.arrived(0).await;
    replicas.at_rest().await;
    replicas.rotate(1);
    replicas.add();
    replicas.evenly(2).await;
    replicas.all[1].ready().await;
    assert!(replicas.all[0].stop().await.success());
    replicas.evenly(1).await;
    eventually("it works on all of them", || async {
        let held = metric(&replicas.all[1], "flashback_rotator_keys_held").await;
        (held > 9.9).then_some(())
    })
    .await;
    let looks = metric(&replicas.all[1], "flashback_rotator_checks_total").await;
    assert!(looks < 0.5, "{looks} looks before their time");
    let synced = replicas.all[1].json(&["sync"]).await;
    assert_eq!(synced["keys"].as_array().map(Vec::len), Some(10));
    sound(&replicas, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_line_fires_once_across_all_replicas() {
    let database = Postgres::shared().await.database().await;
    let often = "[schedule]\ncheck = \"*/4 * * * * *\"\n";
    let mut replicas = Replicas::new(&database, NEVER, 9, often).await;
    replicas.start(3).await;
    let looks = async || {
        let mut sum = 0.0;
        for rotator in &replicas.all {
            sum += metric(rotator, "flashback_rotator_checks_total").await;
        }
        sum
    };
    let (before, since) = (looks().await, std::time::Instant::now());
    eventually("a few occurrences", || async {
        (looks().await >= before + 27.0).then_some(())
    })
    .await;
    // One occurrence may have begun before, and one may be under way.
    let occurrences = since.elapsed().as_secs_f64() / 4.0 + 2.0;
    let looks = looks().await - before;
    assert!(looks <= occurrences * 9.0, "{looks} in {occurrences}");
}
