//! The database away: at the start, and later.

use super::sound;
use crate::support::postgres::Postgres;
use crate::support::replicas::{Replicas, metric};
use crate::support::rotator::{QUICK, Rotator, writes};
use crate::support::{eventually, get};

async fn status(rotator: &Rotator, path: &str) -> u16 {
    let url = format!("{}{path}", rotator.http().await);
    let answer = get(url).await.expect("an answer");
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_at_the_start_is_waited_for() {
    let mut server = Postgres::own().await;
    let database = server.database().await;
    server.stop();
    let mut replicas = Replicas::new(&database, "15s", 3, QUICK).await;
    let rotator = replicas.add();
    rotator.event("state_unavailable", |_| true).await;
    assert_eq!(rotator.count("started"), 0);
    server.run();
    replicas.all[0].ready().await;
    replicas.arrived(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_nothing_is_pushed_and_nothing_is_lost() {
    let mut server = Postgres::own().await;
    let database = server.database().await;
    // So short that every lease is over long before it is back.
    let mut replicas = Replicas::new(&database, "3s", 9, QUICK).await;
    replicas.start(3).await;
    replicas.arrived(0).await;
    server.stop();
    for rotator in &replicas.all {
        rotator.event("state_unavailable", |_| true).await;
    }
    let before = writes(&replicas.sandbox);
    replicas.rotate(1);
    // The outage is longer than the lease.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    for rotator in &replicas.all {
        assert_eq!(
            status(rotator, "/livez").await,
            200,
            "a restart helps nobody"
        );
        assert_eq!(status(rotator, "/readyz").await, 503);
        assert!(metric(rotator, "flashback_rotator_state_up").await < 0.5);
    }
    assert_eq!(writes(&replicas.sandbox), before);
    server.run();
    replicas.arrived(1).await;
    for rotator in &replicas.all {
        rotator.event("state_recovered", |_| true).await;
    }
    replicas.evenly(3).await;
    sound(&replicas, 1);
    // Everybody was away, and no replica was evicted for it.
    let lost: usize = replicas.all.iter().map(|one| one.count("lease_lost")).sum();
    assert_eq!(lost, 0);
    eventually("each value was written once", || async {
        (writes(&replicas.sandbox) == 18).then_some(())
    })
    .await;
}
