//! Round after round something goes wrong that chance has chosen. `FLASHBACK_ROTATOR_ROUNDS` says how
//! many, `FLASHBACK_ROTATOR_SEED` repeats what chance chose.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::LOCAL;
use super::replica::{Replica, pids, replicas};
use crate::support::proxy::Way;
use crate::support::test_bed::{LEASE, SOON, TestBed};

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Killed,
    Stopped,
    StateAway,
    Replaced,
    StateWay(Way),
    FlashbackWay(Way),
    BothWays(Way),
    StoreWay(Way),
}

const TROUBLES: [Trouble; 13] = [
    Trouble::Killed,
    Trouble::Killed,
    Trouble::Stopped,
    Trouble::Stopped,
    Trouble::StateAway,
    Trouble::StateAway,
    Trouble::Replaced,
    Trouble::StateWay(Way::Cut),
    Trouble::StateWay(Way::Held),
    Trouble::FlashbackWay(Way::Deaf),
    Trouble::FlashbackWay(Way::Held),
    Trouble::BothWays(Way::Held),
    Trouble::StoreWay(Way::Held),
];

struct Rounds {
    world: TestBed,
    all: Vec<Replica>,
    chance: StdRng,
    /// The longest that a key had to wait for somebody who could push it.
    longest: Duration,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_it_ends_well() {
    let seed = number("FLASHBACK_ROTATOR_SEED").unwrap_or_else(rand::random);
    let count = number("FLASHBACK_ROTATOR_ROUNDS").unwrap_or(12);
    println!("FLASHBACK_ROTATOR_SEED={seed} repeats this");
    let world = TestBed::set(LOCAL, 12).await;
    let mut rounds = Rounds {
        all: replicas(&world, 3).await,
        world,
        chance: StdRng::seed_from_u64(seed),
        longest: Duration::ZERO,
    };
    for round in 0..count {
        rounds.round(round).await;
    }
    rounds.end().await;
}

impl Rounds {
    async fn round(&mut self, round: u64) {
        let trouble = *TROUBLES.iter().choose(&mut self.chance).expect("some");
        let who = self.chance.random_range(0..self.all.len());
        println!("round {round}: {trouble:?}, replica {who}");
        let before = self.world.stored.len();
        self.rotate().await;
        let pid = self.all[who].pid();
        let begun = Utc::now();
        self.begin(trouble, who).await;
        self.rotate().await;
        let lasts = self.chance.random_range(0..LEASE.as_millis() * 2);
        tokio::time::sleep(Duration::from_millis(u64::try_from(lasts).expect("short"))).await;
        self.rotate().await;
        if trouble.is_dark() {
            self.world.dark(pid, begun);
        }
        self.mend(trouble, who).await;
        let healed = Utc::now();
        self.world
            .settles(&format!("round {round}: {trouble:?}, replica {who}"), SOON)
            .await;
        self.waited(before, trouble, healed);
        self.world.holds();
    }

    /// Rotates some keys.
    async fn rotate(&mut self) {
        let some = self.chance.random_range(1..=self.world.keys.len());
        let keys = self.world.keys.clone();
        for key in keys.iter().sample(&mut self.chance, some) {
            self.world.rotate(key).await;
        }
    }

    async fn begin(&mut self, trouble: Trouble, who: usize) {
        let replica = &mut self.all[who];
        match trouble {
            Trouble::Killed => replica.rotator.kill(),
            Trouble::Stopped => replica.rotator.signal("STOP"),
            Trouble::StateAway => self.world.postgres.stop(),
            Trouble::Replaced => {
                let status = replica.rotator.stop().await;
                assert!(status.success(), "{status}\n{}", replica.rotator.log());
            }
            Trouble::StateWay(way) => replica.state.set(way),
            Trouble::FlashbackWay(way) => replica.flashback.set(way),
            Trouble::BothWays(way) => {
                replica.state.set(way);
                replica.flashback.set(way);
            }
            Trouble::StoreWay(way) => replica.store.set(way),
        }
    }

    async fn mend(&mut self, trouble: Trouble, who: usize) {
        let replica = &mut self.all[who];
        match trouble {
            Trouble::Killed | Trouble::Replaced => replica.rotator.start(),
            Trouble::Stopped => replica.rotator.signal("CONT"),
            Trouble::StateAway => self.world.postgres.run(),
            _ => replica.heal(),
        }
    }

    /// How long the keys had to wait that were rotated in this round: until their value or a later
    /// one was in Flashback.
    fn waited(&mut self, before: usize, trouble: Trouble, healed: DateTime<Utc>) {
        let writes = self.world.writes();
        for (index, stored) in self.world.stored.iter().enumerate().skip(before) {
            let values = self.world.stored[index..].iter();
            let values: Vec<&str> = values.map(|later| later.secret.as_str()).collect();
            let arrived = writes
                .iter()
                .filter(|write| write.done && values.contains(&&*write.secret))
                .filter(|write| write.name == stored.name)
                .filter_map(|write| write.to)
                .min();
            let arrived = arrived.expect("all is settled");
            let from = match trouble.is_taken_over() {
                true => stored.at,
                false => stored.at.max(healed),
            };
            let waited = (arrived - from).to_std().unwrap_or_default();
            assert!(waited <= SOON, "{stored:?} waited for {waited:?}");
            self.longest = self.longest.max(waited);
        }
    }

    /// When everything that is marked is repaired, all is as it should be, and stays so.
    async fn end(self) {
        self.world.repaired().await;
        self.world.settles("the end", SOON).await;
        self.world.even(&pids(&self.all)).await;
        let excused = self.world.holds();
        let writes = self.world.writes().len();
        println!(
            "{} values, {writes} writes, the longest wait {:?}, {excused} times somebody wrote in the dark",
            self.world.stored.len(),
            self.longest
        );
    }
}

impl Trouble {
    /// Whoever meets it cannot know what others do meanwhile, or when what it sends arrives.
    fn is_dark(self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::FlashbackWay(Way::Held) | Self::BothWays(Way::Held)
        )
    }

    /// Others push the keys of whoever meets it.
    fn is_taken_over(self) -> bool {
        match self {
            Self::Killed | Self::Stopped | Self::Replaced => true,
            Self::StateWay(_) | Self::BothWays(_) => true,
            Self::StateAway | Self::FlashbackWay(_) | Self::StoreWay(_) => false,
        }
    }
}
