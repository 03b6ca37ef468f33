//! A model checker for two replicas that share one key, over two rotations and every order of events.
//!
//! [`explore`] searches breadth first through everything that can follow: the steps of each replica's
//! reconcile run, stops and crashes at any step (also between checking the lease and sending), calls to the
//! state that fail, requests that the network delays, answers that get lost, and leases that expire. The
//! decisions are made by the program's own code: [`decide`](crate::reconcile::decide), the transitions of
//! [`Record`], and [`HeldLeases`]. [`state`] implements the contract of a shared state. [`properties`] states
//! what holds in every order, and that it does not hold without each of the guards.
//!
//! The model assumes that a request arrives, if at all, before
//! [`LATE_WRITE`](crate::model::LATE_WRITE) has passed, and that a request whose sender gave up
//! waiting for it under its lease does not arrive after the sender's next one.

mod events;
mod explore;
mod outline;
mod properties;
mod replica;
mod state;

use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use std::time::Instant;

use self::events::Event;
use self::outline::Known;
use self::replica::{Call, Push, Replica, Run, Stage, Then};
use self::state::State;
use super::HeldLeases;
use crate::document::FieldMap;
use crate::model::{
    Action, AiLlmId, AiType, Appearance, Check, KeyConfig, KeyId, Lease, Listed, Observation,
    Origin, Record, ReplicaId, Settings, SourceId, Stored, Target, VerifyConfig, Version,
    WorkspaceId,
};
use crate::reconcile::{self, Pushed, Rejection, Rules, What};
use crate::secret::{Credentials, Fingerprint, Fingerprinter, Secret};

const LEASE: Duration = Duration::from_secs(10);

/// The time that a lease still lasts by the state's clock once the replica that has it regards it as over.
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

static CONFIG: LazyLock<Arc<KeyConfig>> = LazyLock::new(|| {
    Arc::new(KeyConfig {
        settings: Settings {
            workspace_id: WorkspaceId::new("w"),
            name: "n".into(),
            ai_type: AiType::Other,
            endpoint: "https://e".into(),
            target: Target::Configuration,
        },
        origin: Origin {
            source: SourceId::new("s"),
            path: "p".into(),
            fields: FieldMap::default(),
        },
        check: Check::Every(Duration::from_secs(30)),
        check_with_events: None,
        verify: VERIFY,
        max_age: None,
        rotate: None,
        enabled: true,
        may_create: true,
        rule: None,
    })
});

/// The configuration's appearance in the list.
static APPEARANCE: LazyLock<Appearance> = LazyLock::new(|| Appearance {
    name: CONFIG.settings.name.clone(),
    ai_type: None,
    endpoint: None,
    stored_key: None,
});

/// Placeholder credentials: the model distinguishes values by their digests.
static CREDENTIALS: LazyLock<Arc<Credentials>> = LazyLock::new(|| {
    Arc::new(Credentials {
        key: None,
        secret: Secret::new(String::new()),
    })
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

/// The guards that keep the replicas from overwriting each other. Each can be turned off.
#[derive(Clone, Copy, Debug)]
struct Guards {
    /// The lease is checked again right before a write.
    recheck: bool,
    /// A write is aborted at the end of the lease.
    bound: bool,
    /// A replica that wrote, or may have written, after its lease was over marks the key.
    mark: bool,
    /// A marked key is written again at once, and once more when no late write can arrive any more.
    marked_twice: bool,
    /// After a lease with an intent changes hands, the key is written again when the intended write cannot
    /// arrive any more.
    late_repair: bool,
    /// An evicted replica cannot renew its lease.
    renewal_excludes: bool,
    /// The state refuses a save by a replica that does not have the lease.
    fenced: bool,
    /// An outcome that could not be saved is kept, and saved when the state answers again.
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

/// The number of further events of each kind, so that the search ends.
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
    /// `true` if the sender still waits for the answer.
    awaited: bool,
    /// `true` if it was sent before the key was last marked for repair.
    before_the_mark: bool,
    id: Option<AiLlmId>,
    value: u8,
}

#[derive(Clone)]
struct Situation {
    guards: Guards,
    limits: Limits,
    /// `true` if a replica that has written without the lease may die before it has marked the key.
    double_faults: bool,
    /// The value of each version.
    values: [u8; 3],
    current: u8,
    state: State,
    /// The configurations in Flashback.
    held: Vec<Configuration>,
    made: u8,
    requests: Vec<Request>,
    replicas: [Replica; 2],
    elapsed: Duration,
    now: DateTime<Utc>,
    wrong: Option<&'static str>,
}

impl Situation {
    /// Returns a situation in which one replica has the lease, the other one has joined, and version 1 is live.
    /// Without `made`, nothing has been pushed yet.
    fn new(guards: Guards, limits: Limits, values: [u8; 3], made: bool) -> Self {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let mut situation = Self {
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
            situation.write(None, values[0]).expect("there is none yet");
            let record = situation.state.load().having_seen(&version(0));
            let record = record.pushed(Pushed {
                id: AiLlmId::new("id-1"),
                value: situation.stored(0),
                settings: CONFIG.settings.clone(),
                what: What::Newest,
                validate: false,
                anew: false,
                verified_by: None,
                shown: None,
                created_at: None,
                at: now,
            });
            situation.state.record = Known::of(record);
        }
        for r in 0..2 {
            situation.tick(r);
        }
        situation
    }

    fn stored(&self, index: u8) -> Stored {
        Stored {
            version: version(index),
            fingerprint: self.fingerprint(index),
            origin: CONFIG.origin.clone(),
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

    /// Applies a write that reaches Flashback.
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

    /// Returns `true` if nothing is under way and no replica has anything left to do.
    fn is_settled(&self) -> bool {
        let idle = |one: &Replica| {
            let whole = !one.dead && !one.paused && !one.cut;
            whole && one.run.is_none() && one.kept.is_none() && !one.held.has_late_writes()
        };
        let lease = self.state.claim;
        let held = |one: &Replica| one.held.holds(&KEY, lease);
        self.requests.is_empty()
            && self.state.marks.none()
            && self.replicas.iter().all(idle)
            && self.replicas.iter().any(held)
            && self.is_in_sync()
    }

    /// Checks the invariants, which must hold after every event.
    fn check_invariants(&mut self) {
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
