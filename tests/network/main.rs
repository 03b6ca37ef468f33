//! Replicas whose network loses packets: connections do not end, they hang. `tests/network/run` installs
//! what this needs and runs it.

mod namespaces;
#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    reason = "what the other tests share; this one needs a part of it"
)]
mod support;

use std::collections::BTreeMap;

use chrono::Utc;

use namespaces::{HUB, Namespace, hub};
use support::eventually;
use support::rotator::Rotator;
use support::test_bed::{Addresses, LATE, SOON, TestBed};

/// A replica in a namespace.
struct Replica {
    rotator: Rotator,
    namespace: Namespace,
}

impl Replica {
    fn start(world: &TestBed, number: u8) -> Self {
        let namespace = Namespace::new(number);
        let at = |port: u16| format!("{HUB}:{port}");
        let addresses = Addresses {
            flashback: at(world.sandbox.address().port()),
            state: at(world.postgres.port),
            store: at(world.store_port),
        };
        let mut rotator = Rotator::new(&world.sandbox.url(), "");
        rotator.environment.push(TestBed::environment());
        rotator.within = namespace.enter();
        rotator.write_config(&world.configuration(&addresses, &world.keys));
        rotator.start();
        Self { rotator, namespace }
    }

    fn pid(&self) -> u32 {
        self.rotator.pid()
    }
}

async fn replicas(world: &TestBed) -> Vec<Replica> {
    let all: Vec<Replica> = (1..=3)
        .map(|number| Replica::start(world, number))
        .collect();
    world.even(&pids(&all)).await;
    world.settles("the start", SOON).await;
    all
}

fn pids(all: &[Replica]) -> Vec<u32> {
    all.iter().map(Replica::pid).collect()
}

/// Waits until the others have pushed theirs.
async fn only_behind(world: &TestBed, replica: &Replica, holders: &BTreeMap<String, u32>) {
    let its = |key: &str| holders.get(key) == Some(&replica.pid());
    eventually("the others push theirs", async || {
        world.behind().into_iter().all(its).then_some(())
    })
    .await;
}

/// One replica after the other loses one of the servers, and everything at last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_reaches_some_of_the_servers_harms_nothing() {
    hub();
    let mut world = TestBed::set(HUB, 9).await;
    let all = replicas(&world).await;
    let [flashback, state, store] = [
        world.sandbox.address().port(),
        world.postgres.port,
        world.store_port,
    ];

    // Without the state it has no keys: the others push them all.
    all[0].namespace.lose(&[state]);
    world.rotate_all().await;
    world.settles("one has lost the state", SOON).await;
    world.taken_over(all[0].pid()).await;
    world.rotate_all().await;
    world.settles("one has no keys", SOON).await;
    all[0].namespace.heal();
    world.even(&pids(&all)).await;
    world.rotate_all().await;
    world.settles("it has the state again", SOON).await;
    assert_eq!(world.holds(), 0);

    // Without Flashback or the store it keeps its keys, and the others push theirs.
    for (what, port, who) in [
        ("Flashback", flashback, &all[1]),
        ("the store", store, &all[2]),
    ] {
        let holders = world.holders().await;
        let lost = Utc::now();
        who.namespace.lose(&[port]);
        world.rotate_all().await;
        only_behind(&world, who, &holders).await;
        assert!(
            !world.behind().is_empty(),
            "without {what} it pushes nothing"
        );
        world.dark(who.pid(), lost);
        who.namespace.heal();
        world.settles(&format!("it has {what} again"), LATE).await;
    }

    // What it sent before it lost everything may arrive long after others have taken over.
    let (who, lost, holders) = (&all[0], Utc::now(), world.holders().await);
    who.namespace.lose(&[flashback]);
    world.rotate_all().await;
    only_behind(&world, who, &holders).await;
    who.namespace.lose(&[state, store]);
    world.rotate_all().await;
    world.settles("one has lost everything", SOON).await;
    world.dark(who.pid(), lost);
    who.namespace.heal();
    world.even(&pids(&all)).await;
    world.repaired().await;
    world.settles("the end", SOON).await;
    world.holds();
}
