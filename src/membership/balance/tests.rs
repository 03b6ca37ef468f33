//! Tests with replicas that decide one after another, in any order, by what the state would answer.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The number of ticks after which every key must be in its final place.
const SETTLED: usize = 60;

#[derive(Default)]
struct Member {
    configured: BTreeSet<u32>,
    balance: Balance,
    wants: u32,
    alone_with: BTreeSet<u32>,
    daemons: u32,
}

/// The state, and the replicas in the order in which they joined.
#[derive(Default)]
struct World {
    holder: BTreeMap<u32, Option<u32>>,
    members: BTreeMap<u32, Member>,
    joined: u32,
    moves: usize,
}

impl World {
    fn join(&mut self, configured: impl IntoIterator<Item = u32>) -> u32 {
        let configured: BTreeSet<u32> = configured.into_iter().collect();
        for key in &configured {
            self.holder.entry(*key).or_default();
        }
        self.joined += 1;
        let member = Member {
            configured,
            ..Member::default()
        };
        self.members.insert(self.joined, member);
        self.joined
    }

    /// Removes a replica that left or was evicted.
    fn leave(&mut self, id: u32) {
        self.members.remove(&id);
        for holder in self.holder.values_mut() {
            holder.take_if(|holder| *holder == id);
        }
    }

    fn held(&self, id: u32) -> BTreeSet<u32> {
        let mine = self
            .holder
            .iter()
            .filter(|(_, holder)| **holder == Some(id));
        mine.map(|(key, _)| *key).collect()
    }

    fn standing(&self, id: u32) -> Standing {
        let others = self.members.iter().filter(|(other, _)| **other != id);
        let count = |size: usize| u32::try_from(size).expect("few");
        Standing {
            daemons: count(self.members.len()),
            rank: count(self.members.range(..id).count()),
            wanted: others.map(|(_, member)| member.wants).sum(),
            free: count(
                self.holder
                    .values()
                    .filter(|holder| holder.is_none())
                    .count(),
            ),
            due: Vec::new(),
        }
    }

    /// Runs one tick of one replica, as the task carries it out. `pick` chooses among keys.
    fn tick(&mut self, id: u32, pick: &mut impl FnMut(usize) -> usize) {
        let (standing, held) = (self.standing(id), self.held(id));
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut member.daemons, standing.daemons) != standing.daemons {
            member.alone_with.clear();
        }
        let count = |size: usize| u32::try_from(size).expect("few");
        let wish = member.balance.decide(
            Role::Daemon,
            &standing,
            count(member.configured.len()),
            count(held.len()),
        );
        let mut may_go: Vec<u32> = held.difference(&member.alone_with).copied().collect();
        for _ in 0..wish.give {
            if !may_go.is_empty() {
                let key = may_go.swap_remove(pick(may_go.len()));
                self.holder.insert(key, None);
                self.moves += 1;
            }
        }
        let mut claimed = 0;
        for key in member.configured.clone() {
            if claimed < wish.claim && self.holder[&key].is_none() {
                self.holder.insert(key, Some(id));
                self.moves += 1;
                claimed += 1;
                if wish.over {
                    member.alone_with.insert(key);
                }
            }
        }
        if wish.over && claimed == 0 {
            member.balance.in_vain();
        }
        member.wants = wish.wants - claimed.min(wish.wants);
    }

    /// Runs one tick of every replica, in an order that `pick` chooses.
    fn round(&mut self, pick: &mut impl FnMut(usize) -> usize) {
        let mut ids: Vec<u32> = self.members.keys().copied().collect();
        while !ids.is_empty() {
            let id = ids.swap_remove(pick(ids.len()));
            self.tick(id, pick);
        }
    }

    fn settle(&mut self, pick: &mut impl FnMut(usize) -> usize) {
        for _ in 0..SETTLED {
            self.round(pick);
        }
    }

    /// Returns `true` if every configured key is leased to a replica that has it configured.
    fn all_held(&self) -> bool {
        let known: BTreeSet<u32> = self
            .members
            .values()
            .flat_map(|member| member.configured.iter().copied())
            .collect();
        known.iter().all(|key| {
            self.holder[key].is_some_and(|holder| self.members[&holder].configured.contains(key))
        })
    }

    fn counts(&self) -> Vec<usize> {
        self.members.keys().map(|id| self.held(*id).len()).collect()
    }
}

/// Returns a source of arbitrary choices that are the same in every run.
fn choices(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).expect("31 bits") % below
    }
}

fn even(counts: &[usize]) -> bool {
    let (most, least) = (counts.iter().max(), counts.iter().min());
    most.zip(least)
        .is_none_or(|(most, least)| most - least <= 1)
}

#[test]
fn the_parts_make_the_whole_and_differ_by_one_at_most() {
    for (keys, daemons) in [(30, 3), (31, 3), (32, 3), (0, 5), (2, 5), (10_000, 7)] {
        let parts: Vec<u32> = (0..daemons).map(|rank| part(keys, daemons, rank)).collect();
        assert_eq!(parts.iter().sum::<u32>(), keys);
        assert!(
            parts
                .iter()
                .max()
                .zip(parts.iter().min())
                .is_some_and(|(a, b)| a - b <= 1)
        );
    }
}

#[test]
fn joining_replica_gets_its_share_and_no_other_key_moves() {
    let (mut world, mut pick) = (World::default(), choices(1));
    world.join(0..30);
    world.settle(&mut pick);
    world.join(0..30);
    world.settle(&mut pick);
    world.moves = 0;
    world.join(0..30);
    world.settle(&mut pick);
    assert_eq!(world.counts(), [10, 10, 10]);
    assert_eq!(world.moves, 20, "ten keys given back, and ten claimed");
}

#[test]
fn keys_of_a_dead_replica_are_claimed_within_two_rounds() {
    let (mut world, mut pick) = (World::default(), choices(2));
    let ids: Vec<u32> = (0..3).map(|_| world.join(0..30)).collect();
    world.settle(&mut pick);
    world.leave(ids[1]);
    world.round(&mut pick);
    world.round(&mut pick);
    assert!(world.all_held());
    assert_eq!(world.counts(), [15, 15]);
}

#[test]
fn claims_beyond_its_share_the_keys_that_only_it_has_configured() {
    let (mut world, mut pick) = (World::default(), choices(3));
    world.join(0..10);
    world.join(10..100);
    world.settle(&mut pick);
    assert!(world.all_held());
    assert_eq!(world.counts(), [10, 90]);
}

#[test]
fn keys_that_left_every_configuration_do_no_harm() {
    let (mut world, mut pick) = (World::default(), choices(4));
    world.holder.extend((1_000..1_007).map(|key| (key, None)));
    world.join(0..10);
    world.settle(&mut pick);
    world.join(0..10);
    world.settle(&mut pick);
    assert_eq!(world.counts(), [5, 5]);
}

#[test]
fn a_command_claims_all_it_is_for() {
    let standing = Standing {
        daemons: 0,
        rank: 0,
        wanted: 0,
        free: 7,
        due: Vec::new(),
    };
    let wish = Balance::default().decide(Role::Command, &standing, 9, 0);
    assert_eq!((wish.claim, wish.wants), (7, 9));
}

#[test]
fn evicts_only_after_a_whole_lease_of_unbroken_renewals() {
    let (lease, second) = (Duration::from_secs(15), Duration::from_secs(1));
    let (mut contact, start) = (Contact::default(), Instant::now());
    let mut now = start;
    assert!(!contact.may_evict(now, lease));
    while now < start + lease {
        contact.renewed(now, lease);
        assert!(!contact.may_evict(now, lease), "not a lease yet");
        now += second;
    }
    now += second;
    contact.renewed(now, lease);
    assert!(contact.may_evict(now, lease));
    // This is long enough for the leases of the others to end.
    now += lease * 2;
    assert!(!contact.may_evict(now, lease), "it was away");
    let back = now;
    while now <= back + lease {
        contact.renewed(now, lease);
        assert!(!contact.may_evict(now, lease), "everybody renews first");
        now += second;
    }
    contact.renewed(now, lease);
    assert!(contact.may_evict(now, lease));
}

#[derive(Clone, Debug)]
enum Happening {
    Join(u32, u32),
    Leave(usize),
    Rounds(usize),
}

fn happenings(same: bool) -> impl Strategy<Value = Vec<Happening>> {
    let keys = if same {
        (0..1_u32, 40..41_u32)
    } else {
        (0..30, 1..40)
    };
    let happening = prop_oneof![
        3 => keys.prop_map(|(from, count)| Happening::Join(from, count)),
        2 => any::<usize>().prop_map(Happening::Leave),
        3 => (0..5_usize).prop_map(Happening::Rounds),
    ];
    prop::collection::vec(happening, 1..25)
}

fn live_through(happenings: &[Happening], pick: &mut impl FnMut(usize) -> usize) -> World {
    let mut world = World::default();
    for happening in happenings {
        match happening {
            Happening::Join(from, count) => {
                world.join(*from..from + count);
            }
            Happening::Leave(which) => {
                let ids: Vec<u32> = world.members.keys().copied().collect();
                if !ids.is_empty() {
                    world.leave(ids[which % ids.len()]);
                }
            }
            Happening::Rounds(count) => (0..*count).for_each(|_| world.round(pick)),
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happened_the_shares_come_out_even(happenings in happenings(true), seed: u64) {
        let mut pick = choices(seed);
        let mut world = live_through(&happenings, &mut pick);
        world.settle(&mut pick);
        prop_assert!(world.all_held());
        prop_assert!(even(&world.counts()), "{:?}", world.counts());
        world.moves = 0;
        world.settle(&mut pick);
        prop_assert_eq!(world.moves, 0, "keys go on moving");
    }

    #[test]
    fn with_different_configurations_every_key_is_held(happenings in happenings(false), seed: u64) {
        let mut pick = choices(seed);
        let mut world = live_through(&happenings, &mut pick);
        (0..20).for_each(|_| world.settle(&mut pick));
        prop_assert!(world.all_held());
        world.moves = 0;
        world.settle(&mut pick);
        prop_assert_eq!(world.moves, 0, "keys go on moving");
    }
}
