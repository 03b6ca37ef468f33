//! A replica with ways of its own to the three servers.

use chrono::{DateTime, Utc};

use crate::support::LONG;
use crate::support::proxy::{Proxy, Way};
use crate::support::rotator::Rotator;
use crate::support::test_bed::{Addresses, TestBed};

/// The real binary between three proxies.
pub struct Replica {
    pub rotator: Rotator,
    pub flashback: Proxy,
    pub state: Proxy,
    pub store: Proxy,
}

impl Replica {
    /// With all the keys of the world; not started.
    pub async fn new(world: &TestBed) -> Self {
        Self::with(world, &world.keys).await
    }

    /// With these keys.
    pub async fn with(world: &TestBed, keys: &[String]) -> Self {
        let flashback = Proxy::to(world.sandbox.address().port()).await;
        let state = Proxy::to(world.postgres.port).await;
        let store = Proxy::to(world.store_port).await;
        let at = |proxy: &Proxy| format!("127.0.0.1:{}", proxy.port);
        let addresses = Addresses {
            flashback: at(&flashback),
            state: at(&state),
            store: at(&store),
        };
        let mut rotator = Rotator::new(&world.sandbox.url(), "");
        rotator.environment.push(TestBed::environment());
        rotator.write_config(&world.configuration(&addresses, keys));
        Self {
            rotator,
            flashback,
            state,
            store,
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.rotator.pid()
    }

    /// Stops it as a debugger would; gives the time.
    pub fn stop(&self) -> DateTime<Utc> {
        let now = Utc::now();
        self.rotator.signal("STOP");
        now
    }

    /// Opens every way.
    pub fn heal(&self) {
        for way in [&self.flashback, &self.state, &self.store] {
            way.set(Way::Open);
        }
    }
}

/// Replicas that have started and share the keys evenly, all of which are in Flashback.
pub async fn replicas(world: &TestBed, count: usize) -> Vec<Replica> {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut replica = Replica::new(world).await;
        replica.rotator.start();
        all.push(replica);
    }
    for replica in &all {
        replica.rotator.ready().await;
    }
    world.even(&pids(&all)).await;
    world.settles("the start", LONG).await;
    all
}

/// Their processes.
pub fn pids(replicas: &[Replica]) -> Vec<u32> {
    replicas.iter().map(Replica::pid).collect()
}
