//! Another server takes over the database, and the one before lives on: it answers, and takes no writes;
//! or it takes connections, and does not answer.

use std::time::Instant;

use super::sound;
use crate::support::postgres::{Database, Postgres};
use crate::support::proxy::{Proxy, Way};
use crate::support::replicas::Replicas;
use crate::support::rotator::QUICK;

const READ_WRITE: &str = "?target_session_attrs=read-write";

/// Two replicas at work on this database.
async fn at_work(database: &Database) -> Replicas {
    let mut replicas = Replicas::new(database, "15s", 4, QUICK).await;
    replicas.start(2).await;
    replicas.arrived(0).await;
    replicas
}

/// Rotates every key, now that another server has taken over, and waits until each is pushed.
async fn pushes_again(replicas: &Replicas, since: Instant) {
    replicas.rotate(1);
    replicas.arrived(1).await;
    println!("pushed {:?} after the fail-over", since.elapsed());
    replicas.evenly(2).await;
    sound(replicas, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_go_on_where_the_primary_before_is_read_only() {
    let (primary, standby) = Postgres::replicating().await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port);
    let database = primary.database().await.at(hosts, READ_WRITE);
    let replicas = at_work(&database).await;
    standby.take_over_from(&primary).await;
    pushes_again(&replicas, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_go_on_where_the_name_moves_and_the_primary_before_is_read_only() {
    let (primary, standby) = Postgres::replicating().await;
    let name = Proxy::to(primary.port).await;
    let hosts = format!("127.0.0.1:{}", name.port);
    let database = primary.database().await.at(hosts, "");
    let replicas = at_work(&database).await;
    standby.take_over_from(&primary).await;
    name.lead_to(standby.port);
    pushes_again(&replicas, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_go_on_where_the_primary_before_hangs() {
    let (primary, standby) = Postgres::replicating().await;
    let way = Proxy::to(primary.port).await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", way.port, standby.port);
    let database = primary.database().await.at(hosts, READ_WRITE);
    let replicas = at_work(&database).await;
    way.set(Way::Held);
    standby.promote().await;
    pushes_again(&replicas, Instant::now()).await;
}
