//! What events tell of a source's changes: lost, doubled, late, forged and out of order. Whatever they are, the newest
//! value is live in the end, and an event that tells nothing new costs a look and no push.
//!
//! `PROPTEST_CASES=1000000 cargo test -p flashback-rotator-core --release simulation::events` tries a million of them.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::properties::BOTH;
use super::*;

/// The wait between two checks while events are heard, and while they are not.
const WITH_EVENTS: TimeDelta = TimeDelta::seconds(600);
const WITHOUT_EVENTS: TimeDelta = TimeDelta::seconds(60);

/// The wait before a check that failed is repeated, and the time that a start takes.
const AGAIN: TimeDelta = TimeDelta::seconds(5);

/// How often a source is asked again that answers with the version from before the one that was told, as the engine
/// does.
const STALE: usize = 3;

/// What reaches the process from the trigger.
#[derive(Clone, Debug)]
enum Message {
    /// The secret has changed; with the version that it is said to have.
    Changed(Option<Version>),
    Missed,
    Up,
    Down,
}

/// A source, its events on their way, and the process that hears them.
struct Heard {
    simulation: Simulation,
    random: StdRng,
    /// What is on its way, with the time at which it arrives.
    on_its_way: Vec<(DateTime<Utc>, Message)>,
    /// What the next check is told: the last word counts.
    told: Option<Option<Version>>,
    up: bool,
    next: DateTime<Utc>,
    /// What happens to the calls of the next check, and after how many steps the process dies in it.
    faults: Vec<Fault>,
    dies_after: Option<usize>,
    /// The changes of the source, the messages that arrived, and the faults and deaths.
    changes: usize,
    arrived: usize,
    troubles: usize,
    checks: usize,
}

impl Simulation {
    /// Returns what the source has: its version alone, or the value along with it where an event has told of a
    /// version that the record does not know.
    pub(super) fn observe(&mut self, told: Option<&Version>) -> (Observation, Option<Read>) {
        let seen = self.record.seen.clone();
        let is_news = told.is_some() && told != seen.as_ref();
        let mut index = self.answer();
        if is_news {
            let is_old = |index: Option<usize>| index.map(version) == seen;
            for _ in (0..STALE).take_while(|_| seen.is_some()) {
                if is_old(index) {
                    index = self.answer();
                }
            }
        }
        let Some(index) = index else {
            return (Observation::Missing(Missing::Deleted), None);
        };
        let observation = Observation::Present {
            version: version(index),
            written_at: None,
        };
        let secret = self.value(index, &self.origin);
        let found = Read::Value(read(version(index), &self.origin, secret));
        (observation, is_news.then_some(found))
    }

    /// Returns the version with which the source answers.
    fn answer(&mut self) -> Option<usize> {
        self.answers += 1;
        match self.stale.take() {
            Some((before, left)) if left > 0 => {
                self.stale = Some((before, left - 1));
                Some(before)
            }
            _ => self.current,
        }
    }
}

impl Heard {
    fn new(seed: u64) -> Self {
        let simulation = Simulation::new(VerifyConfig {
            after_flashback: false,
            ..BOTH
        });
        Self {
            next: simulation.now,
            simulation,
            random: StdRng::seed_from_u64(seed),
            on_its_way: vec![],
            told: None,
            up: false,
            faults: Vec::new(),
            dies_after: None,
            changes: 1,
            arrived: 0,
            troubles: 0,
            checks: 0,
        }
    }

    fn up_to(&mut self, most: u32) -> u32 {
        self.random.random_range(0..=most)
    }

    /// Something happens, and then some time passes.
    fn happen(&mut self) {
        match self.up_to(11) {
            0..=3 => self.rotate(),
            4 => {
                let to = self.random.random_range(0..self.simulation.versions.len());
                self.simulation.stale = None;
                self.simulation.happen(Happening::RollBack { to });
                self.changed();
            }
            5 => {
                let forged = self.up_to(40) as usize;
                let forged = self.random.random_bool(0.8).then(|| version(forged));
                self.send(600, Message::Changed(forged));
            }
            6 => self.send(0, Message::Missed),
            7 => self.send(1, Message::Up),
            8 => self.send(60, Message::Down),
            9 => {
                let lost = [Fault::LostAnswer, Fault::LostRequest, Fault::Fine];
                let random = (0..3).map(|_| self.random.random_range(0..lost.len()));
                self.faults = random.map(|at| lost[at]).collect();
            }
            10 => self.dies_after = Some(self.random.random_range(0..8)),
            _ => {}
        }
        let pause = [0, 0, 1, 20, 60, 240][self.up_to(5) as usize];
        let pause = self.up_to(pause);
        self.run(self.simulation.now + TimeDelta::seconds(pause.into()));
    }

    fn rotate(&mut self) {
        let before = self.simulation.current.expect("it is never deleted");
        let answers = [0, 0, 0, 2, 9][self.up_to(4) as usize];
        self.simulation.stale = Some((before, answers));
        let value = self.random.random_range(0..20);
        self.simulation.happen(Happening::Rotate { value });
        self.changed();
    }

    /// Sends that the secret has changed: not at all, once or twice, soon or late, with its version or without.
    fn changed(&mut self) {
        self.changes += 1;
        let version = self.simulation.current.map(version);
        for _ in 0..[0, 1, 1, 1, 2, 3][self.up_to(5) as usize] {
            let delay = [0, 0, 0, 1, 30, 600][self.up_to(5) as usize];
            let told = version.clone().filter(|_| self.random.random_bool(0.8));
            self.send(delay, Message::Changed(told));
        }
    }

    fn send(&mut self, delay: u32, message: Message) {
        let delay = TimeDelta::milliseconds(1_000 * i64::from(self.up_to(delay)));
        let at = self.simulation.now + delay;
        self.on_its_way.push((at, message));
    }

    /// Lets the time pass in which messages arrive and the key is checked.
    fn run(&mut self, until: DateTime<Utc>) {
        loop {
            let first = (0..self.on_its_way.len()).min_by_key(|at| self.on_its_way[*at].0);
            let arrives = first.map(|at| self.on_its_way[at].0);
            let now = arrives.map_or(self.next, |at| at.min(self.next));
            if now > until {
                break;
            }
            self.simulation.now = self.simulation.now.max(now);
            match first.filter(|_| arrives <= Some(self.next)) {
                Some(at) => {
                    let (_, message) = self.on_its_way.swap_remove(at);
                    self.arrive(message);
                }
                None => self.check(),
            }
        }
        self.simulation.now = until;
    }

    fn arrive(&mut self, message: Message) {
        self.arrived += 1;
        match message {
            Message::Changed(version) => self.told = Some(version),
            Message::Missed => {}
            Message::Up | Message::Down => {
                let up = matches!(message, Message::Up);
                if std::mem::replace(&mut self.up, up) == up {
                    return;
                }
            }
        }
        self.next = self.simulation.now;
    }

    fn check(&mut self) {
        self.checks += 1;
        let told = self.told.take().flatten();
        let (faults, dies_after) = (std::mem::take(&mut self.faults), self.dies_after.take());
        let lost = |fault: &&Fault| **fault != Fault::Fine;
        self.troubles += faults.iter().filter(lost).count() + usize::from(dies_after.is_some());
        let end = self
            .simulation
            .check(told.as_ref(), &faults, dies_after, KeyCommand::None);
        let wait = match (end, self.up) {
            (End::Rested(_), true) => WITH_EVENTS,
            (End::Rested(_), false) => WITHOUT_EVENTS,
            (End::Cut, _) => AGAIN,
        };
        if dies_after.is_some() {
            // The feed of a process that starts is down until its trigger listens.
            self.up = false;
            self.on_its_way
                .push((self.simulation.now + AGAIN, Message::Up));
        }
        self.next = self.simulation.now + wait;
    }

    /// Returns the reason why what was done is too much; `None` if it is not.
    fn excess(&self, since: DateTime<Utc>) -> Option<String> {
        let Self {
            checks,
            arrived,
            changes,
            troubles,
            ..
        } = *self;
        let Simulation {
            pushes, answers, ..
        } = self.simulation;
        let passed = (self.simulation.now - since).num_seconds();
        let planned =
            usize::try_from(passed / WITHOUT_EVENTS.num_seconds()).expect("it passes") + 1;
        let bounds = [
            ("checks", checks, planned + arrived + troubles),
            ("answers", answers, 2 * checks + STALE * arrived),
            ("pushes", pushes, changes + troubles),
        ];
        let over = bounds.into_iter().find(|(_, is, most)| is > most);
        over.map(|(what, is, most)| format!("{is} {what}, and no more than {most} have a cause"))
    }
}

fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: asked.cases.max(2_000),
        failure_persistence: None,
        ..asked
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_newest_value_is_live_in_the_end_whatever_the_events_told(seed: u64, length in 0..30_usize) {
        let mut heard = Heard::new(seed);
        let since = heard.simulation.now;
        for _ in 0..length {
            heard.happen();
        }
        prop_assert_eq!(heard.excess(since), None);

        // Within the wait between two checks, and the checks that fail before.
        heard.simulation.stale = None;
        heard.on_its_way.retain(|(_, message)| matches!(message, Message::Changed(_)));
        heard.run(heard.simulation.now + WITH_EVENTS + AGAIN * 3);
        prop_assert_eq!(heard.simulation.live_value(), heard.simulation.newest_value());
        prop_assert_eq!(heard.excess(since), None);

        // What is still late, doubled or forged finds nothing to do.
        let (pushes, arrived) = (heard.simulation.pushes, heard.arrived);
        heard.run(heard.simulation.now + WITH_EVENTS);
        prop_assert!(heard.on_its_way.is_empty() && heard.arrived >= arrived);
        prop_assert_eq!(heard.simulation.pushes, pushes);
        prop_assert_eq!(heard.excess(since), None);

        // A change that is told is delivered when its event arrives, by one call to the source.
        let (answers, checks) = (heard.simulation.answers, heard.checks);
        heard.simulation.happen(Happening::Rotate { value: 24 });
        let told = heard.simulation.current.map(version);
        heard.send(0, Message::Changed(told));
        heard.run(heard.simulation.now);
        prop_assert_eq!(heard.simulation.live_value(), heard.simulation.newest_value());
        prop_assert_eq!(heard.simulation.pushes, pushes + 1);
        prop_assert_eq!((heard.simulation.answers, heard.checks), (answers + 1, checks + 1));
    }
}
