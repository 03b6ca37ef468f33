//! A simulation: a provider of every ability, a source, the keys that read the secret, and a process that dies between
//! any two steps, while other hands do at each of them what they can. [`properties`] has what holds in every order, and
//! tries that in random orders.
//!
//! The delivery is a reconcile of few lines: it pushes what is newest, verifies it, and after the grace period puts the
//! previous value back. Its records are real ones, from which the real [`Proof`] is taken.
//!
//! What is assumed of the world: a call whose answer was lost has its effect, and the list shows it, within `doubt` of what
//! was saved before it. Without names, another hand that makes a key uses it within that time, and where the provider
//! tells no last use either, nobody else makes keys there. Clocks may be wrong, there by some minutes only, and are
//! set while no call is under way.

mod guards;
mod happening;
mod histories;
mod process;
mod properties;
mod provider;
mod readers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use self::happening::{Fault, Late};
use self::provider::{IssuedHere, Maker, Telling};
use self::readers::SimulatedReader;
use super::*;
use crate::model::{Abilities, ProviderId, ProviderKeyId, Revoke, RotateConfig, Rotation, Version};
use crate::reconcile::scenario::{digest, origin};
use crate::secret::Fingerprint;

const DOUBT: Duration = Duration::from_secs(60);
/// How far a list may lag, and how late a call may come after what was saved before it.
const LAG: i64 = 8;
const LATEST: i64 = 60 - LAG - 1;
const GRACE: Duration = Duration::from_secs(45);
const OVERLAP: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(120);
const COOL_OFF: Duration = Duration::from_secs(600);
/// The most steps of a pass, and of it for each old key: all may have been kept from getting on by the same reason, and
/// get on in the pass in which that is over. After each call, what it may have changed is asked for again.
const LONGEST_PASS: usize = 24;
const STEPS_OF_OLD: usize = 6;

/// A value of the secret. What is no provider's key works nowhere.
type Value = u32;

/// What a simulated history is played with.
#[derive(Clone, Debug)]
struct Setting {
    abilities: Abilities,
    telling: Telling,
    /// The provider shows which key has a value.
    findable: bool,
    /// The source refuses a write that expects another version than the newest.
    compares: bool,
    revoke: Revoke,
    adopt: bool,
    readers: usize,
}

struct Simulation {
    setting: Setting,
    rotate: RotateConfig,
    /// The time, and how far the process's clock is ahead of it.
    now: DateTime<Utc>,
    ahead: TimeDelta,
    /// The clock was ahead at some time, so that waits seemed to be over before their time.
    was_ahead: bool,
    keys: Vec<IssuedHere>,
    /// What the lists have shown.
    shown: Vec<(DateTime<Utc>, Vec<IssuedHere>)>,
    /// The number of keys made so far, and all values that were ever those of a key.
    made: u32,
    issued: BTreeSet<Value>,
    /// The provider takes no calls until then.
    away_until: DateTime<Utc>,
    /// The versions of the source, with the tokens they were written with, and the newest of them.
    versions: Vec<(Version, Value, Option<String>)>,
    newest: usize,
    values: u32,
    readers: Vec<SimulatedReader>,
    rotation: Rotation,
    /// The value that was minted and is in memory.
    memory: Option<Value>,
    late: Vec<(DateTime<Utc>, Late)>,
    /// The keys that were adopted, or left to people.
    adopted: BTreeSet<ProviderKeyId>,
    left: BTreeSet<ProviderKeyId>,
    /// The keys that another hand has disabled or deleted, and when one last has.
    destroyed: BTreeSet<Value>,
    meddled_at: Option<DateTime<Utc>>,
    /// The keys that are revoked whatever comes of it, because a person wants it so.
    forced: BTreeSet<Value>,
    /// The last time at which a pass has found each value live somewhere.
    seen_live: BTreeMap<Value, DateTime<Utc>>,
    passes: usize,
    /// What must not be and was: the first breach of a property.
    breach: Option<String>,
    /// The steps so far, where somebody wants to read them.
    trace: Option<Vec<String>>,
}

/// How a pass has ended.
#[derive(Debug, PartialEq)]
enum End {
    Rested(Rest),
    Failed,
    Died,
}

impl Simulation {
    fn new(setting: Setting) -> Self {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let mut simulation = Self {
            rotate: RotateConfig {
                provider: ProviderId::new("p"),
                every: None,
                overlap: OVERLAP,
                idle: IDLE,
                revoke: setting.revoke,
                cool_off: COOL_OFF,
                adopt: setting.adopt.then(|| ProviderKeyId::new("id-1")),
            },
            now,
            ahead: TimeDelta::zero(),
            was_ahead: false,
            keys: Vec::new(),
            shown: Vec::new(),
            made: 0,
            issued: BTreeSet::new(),
            away_until: now,
            versions: Vec::new(),
            newest: 0,
            values: 0,
            readers: (0..setting.readers).map(SimulatedReader::new).collect(),
            rotation: Rotation::new(ProviderId::new("p")),
            memory: None,
            late: Vec::new(),
            adopted: BTreeSet::new(),
            left: BTreeSet::new(),
            destroyed: BTreeSet::new(),
            meddled_at: None,
            forced: BTreeSet::new(),
            seen_live: BTreeMap::new(),
            passes: 0,
            breach: None,
            trace: std::env::var_os("TRACE").map(|_| Vec::new()),
            setting,
        };
        let first = simulation.issue("first", Maker::First);
        if simulation.setting.abilities.slots {
            simulation.issue("second", Maker::First);
        }
        simulation.write(first, None);
        simulation.pause(60);
        for _ in 0..3 {
            simulation.deliver();
        }
        // What the configuration tells of the first key is true when it is read.
        let _ = simulation.pass(&[], None, 0, false);
        simulation
    }

    /// Writes a value into the source.
    fn write(&mut self, value: Value, token: Option<String>) -> Version {
        let number = self.versions.len() as u64 + 1;
        let version = Version::numbered(number, "then");
        self.newest = self.versions.len();
        self.versions.push((version.clone(), value, token));
        version
    }

    /// Lets time pass, and calls that are under way arrive in it.
    fn pause(&mut self, seconds: i64) {
        let until = self.now + TimeDelta::seconds(seconds);
        self.late.sort_by_key(|(at, _)| *at);
        while self.late.first().is_some_and(|(at, _)| *at <= until) {
            let (at, call) = self.late.remove(0);
            self.now = at;
            self.arrive(call);
        }
        self.now = until;
        self.traffic();
        let newest = self.now - TimeDelta::seconds(2 * LAG);
        let old = self.shown.iter().rposition(|(at, _)| *at <= newest);
        self.shown.drain(..old.unwrap_or(0));
    }

    /// Returns the time by the process's clock.
    fn clock(&self) -> DateTime<Utc> {
        self.now + self.ahead
    }

    fn breach(&mut self, what: &str) {
        let at = (self.now.timestamp() - 1_700_000_000).to_string();
        let trace = self.trace.as_deref().unwrap_or_default().join("\n");
        self.breach
            .get_or_insert(format!("at {at}: {what}\n{trace}"));
    }

    fn trace(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let at = self.now.timestamp() - 1_700_000_000;
            let line = format!("{at}: {}", what(self));
            self.trace.get_or_insert_default().push(line);
        }
    }
}

fn print_of(value: Value) -> Fingerprint {
    digest(&value.to_string())
}
