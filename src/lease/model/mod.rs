//! Two replicas, one key, two rotations, and everything that may come between them, in every order.
//!
//! [`explore`] walks breadth first through all that can follow upon all: each replica's look step by
//! step, stops and crashes at any of them, also between asking for the lease and sending, calls to
//! the state that fail, requests that the network holds, answers that get lost, leases that pass.
//! What decides in it is the program's own: [`decide`](crate::reconcile::decide), the transitions of
//! [`Record`], and [`HeldLeases`]. [`state`] keeps the contract of a shared state. What holds in it is in
//! [`properties`], and that it holds because of each guard.
//!
//! A request arrives, if at all, before [`LATE_WRITE`](crate::state::share::LATE_WRITE) has passed, and
//! one whose sender has stopped waiting for it under its lease does not arrive after its next one.

mod events;
mod explore;
mod outline;
mod properties;
mod replica;
mod state;

use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use self::events::Event;
use self::outline::Known;
use self::replica::{Call, Look, Push, Replica, Stage, Then};
use self::state::State;
use super::held::HeldLeases;
use crate::config::VerifyConfig;
use crate::document::FieldMap;
use crate::model::{
    Action, AiLlmId, AiType, Appearance, Intent, KeyCommand, KeyId, Lease, Listed, Observation,
    Origin, Record, ReplicaId, Settings, SourceId, Stored, Target, Version, WorkspaceId,
};
use crate::reconcile::{Pushed, Rejection, Rules, What};
use crate::secret::{Fingerprint, Fingerprinter};

const LEASE: Duration = Duration::from_secs(10);

/// What is left of a lease in the state when it is over for its holder.
const LAST_OF_IT: Duration = Duration::from_millis(500);

const RULES: Rules = Rules {
    resync: Duration::from_secs(24 * 3600),
    refused: Duration::from_secs(15 * 60),
    since: DateTime::<Utc>::MIN_UTC,
};

const VERIFY: VerifyConfig = VerifyConfig {
    before_provider: false,
    after_flashback: false,
    grace: Duration::ZERO,
    rollback: false,
    settle: Duration::ZERO,
};

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| Settings {
    workspace_id: WorkspaceId::new("w"),
    name: "n".into(),
    ai_type: AiType::Other,
    endpoint: "https://e".into(),
    target: Target::Configuration,
});

/// How the list shows it.
static APPEARANCE: LazyLock<Appearance> = LazyLock::new(|| Appearance {
    name: SETTINGS.name.clone(),
    ai_type: None,
    endpoint: None,
    stored_key: None,
});

static ORIGIN: LazyLock<Origin> = LazyLock::new(|| Origin {
    source: SourceId::new("s"),
    path: "p".into(),
    fields: FieldMap::default(),
});

static KEY: LazyLock<KeyId> = LazyLock::new(|| KeyId::new("k"));

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

static VERSIONS: LazyLock<Vec<Version>> = LazyLock::new(|| {
    (1..=3)
        .map(|number| Version::numbered(number, "then"))
        .collect()
});

static DIGESTS: LazyLock<Vec<Fingerprint>> = LazyLock::new(|| {
    let make = Fingerprinter::new([3; 32]);
    (0..3).map(|value: u8| make.bytes(&[value])).collect()
});

fn key() -> KeyId {
    KEY.clone()
}

fn version(index: u8) -> Version {
    VERSIONS[usize::from(index)].clone()
}

/// What keeps the replicas from each other, one by one.
#[derive(Clone, Copy, Debug)]
struct Guards {
    /// The lease is asked for again right before a write.
    recheck: bool,
    /// A write ends with the lease.
    bound: bool,
    /// Whoever wrote, or may have, under a lease that was over says so.
    mark: bool,
    /// What is marked is written at once, and again when nothing can arrive any more.
    marked_twice: bool,
    /// What an intent that changed hands was about is written again when it cannot arrive any more.
    late_repair: bool,
    /// Nobody renews what was struck out.
    renewal_excludes: bool,
    /// The state takes no save of somebody who has not the claim.
    fenced: bool,
    /// An outcome that the state could not be told is told when it can.
    kept: bool,
}

const ALL: Guards = Guards {
    recheck: true,
    bound: true,
    mark: true,
    marked_twice: true,
    late_repair: true,
    renewal_excludes: true,
    fenced: true,
    kept: true,
};

/// How much may still happen of what nobody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Limits {
    rotations: u8,
    leases: u8,
    releases: u8,
    faults: u8,
}

/// A configuration in Flashback.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration {
    id: AiLlmId,
    value: u8,
}

/// A write on its way to Flashback.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Request {
    from: usize,
    /// Its sender waits for the answer.
    awaited: bool,
    /// It was sent before the key was last marked.
    before_the_mark: bool,
    id: Option<AiLlmId>,
    value: u8,
}

#[derive(Clone)]
struct World {
    guards: Guards,
    limits: Limits,
    /// A replica that has written without the lease may die before it has said so.
    double_faults: bool,
    /// The value of each version, and the version that the store holds.
    values: [u8; 3],
    current: u8,
    state: State,
    /// What Flashback holds, and what is on its way there.
    held: Vec<Configuration>,
    made: u8,
    requests: Vec<Request>,
    replicas: [Replica; 2],
    elapsed: Duration,
    now: DateTime<Utc>,
    wrong: Option<&'static str>,
}

impl World {
    /// One replica holds the key, the other one has joined, and version 1 is live; or, with nothing
    /// `made`, nobody has looked yet.
    fn new(guards: Guards, limits: Limits, values: [u8; 3], made: bool) -> Self {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let mut world = Self {
            guards,
            limits,
            double_faults: false,
            values,
            current: 0,
            state: State::new(Record::new(key())),
            held: Vec::new(),
            made: 0,
            requests: Vec::new(),
            replicas: Default::default(),
            elapsed: Duration::ZERO,
            now,
            wrong: None,
        };
        if made {
            world.write(None, values[0]).expect("there is none yet");
            let record = world.state.load().having_seen(&version(0));
            let record = record.pushed(world.taken(AiLlmId::new("id-1"), 0));
            world.state.record = Known::of(record);
        }
        for r in 0..2 {
            world.tick(r);
        }
        world
    }

    /// Flashback has taken this version.
    fn taken(&self, id: AiLlmId, index: u8) -> Pushed {
        Pushed {
            id,
            value: Stored {
                version: version(index),
                fingerprint: self.fingerprint(index),
                origin: ORIGIN.clone(),
            },
            settings: SETTINGS.clone(),
            what: What::Newest,
            validate: false,
            anew: false,
            verified_by: None,
            shown: None,
            created_at: None,
            at: self.now,
        }
    }

    fn instant(&self) -> Instant {
        *START + self.elapsed
    }

    fn fingerprint(&self, index: u8) -> Fingerprint {
        DIGESTS[usize::from(self.values[usize::from(index)])]
    }

    fn fail(&mut self, what: &'static str) {
        self.wrong.get_or_insert(what);
    }

    /// What Flashback does with a write that reaches it.
    fn write(&mut self, id: Option<&AiLlmId>, value: u8) -> Result<AiLlmId, Rejection> {
        let Some(id) = id else {
            if !self.held.is_empty() {
                return Err(Rejection::Refused {
                    action: Action::Create,
                    error: "the name exists".into(),
                });
            }
            self.made += 1;
            let id = AiLlmId::new(format!("id-{}", self.made));
            self.held.push(Configuration {
                id: id.clone(),
                value,
            });
            return Ok(id);
        };
        let there = self.held.iter_mut().find(|one| one.id == *id);
        there.ok_or_else(|| Rejection::Gone(id.clone()))?.value = value;
        Ok(id.clone())
    }

    /// Nobody would do anything any more, and nothing is under way.
    fn is_settled(&self) -> bool {
        let idle = |one: &Replica| {
            let whole = !one.dead && !one.paused && !one.cut;
            whole && one.look.is_none() && one.kept.is_none() && !one.held.has_late_writes()
        };
        let lease = self.state.claim;
        let held = |one: &Replica| one.held.holds(&KEY, lease);
        self.requests.is_empty()
            && self.state.marks.none()
            && self.replicas.iter().all(idle)
            && self.replicas.iter().any(held)
            && self.is_in_sync()
    }

    /// What must hold, whatever has happened.
    fn look_for_wrong(&mut self) {
        let waits = |r: usize| {
            let Replica {
                paused, trespassed, ..
            } = self.replicas[r];
            let awaited = |request: &Request| request.from == r && request.awaited;
            !paused && !trespassed && self.requests.iter().any(awaited)
        };
        if waits(0) && waits(1) {
            self.fail("two replicas write at once");
        }
        if self.held.len() > 1 {
            self.fail("two configurations");
        }
        if self.is_settled() && !self.has_the_newest() {
            self.fail("all is quiet, and Flashback has not the newest value");
        }
    }

    fn has_the_newest(&self) -> bool {
        let newest = self.values[usize::from(self.current)];
        self.held.iter().all(|one| one.value == newest) && self.held.len() == 1
    }
}
