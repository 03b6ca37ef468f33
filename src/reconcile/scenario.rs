//! States of a key, made up at random, in which everything can be said that a decision goes by.
//!
//! There are few versions, values, places and names, so that what is compared is often equal, and
//! each time stands at the edge of a wait that counts from it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::before::{Older, Read};
use super::case::{at, digest, shown};
use super::*;
use crate::config::VerifyConfig;
use crate::document::FieldMap;
use crate::model::{
    Action, AiLlmId, AiType, Appearance, Edits, Held, Intent, KeyId, Live, Missing, Origin, Record,
    Refusal, Repair, Settings, Shown, SourceId, Stage, Stored, Target, Verification, Verifier,
    WorkspaceId,
};

/// The grace of every scenario, in seconds.
const GRACE: i64 = 60;

/// How long a refused write waits, in seconds.
const REFUSED: i64 = 900;

/// When everything is pushed again, in seconds.
const RESYNC: i64 = 86_400;

/// One state of a key.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub settings: Settings,
    pub origin: Origin,
    pub record: Record,
    pub observation: Observation,
    pub reading: Option<Read>,
    pub older: Option<Older>,
    pub before: Option<Result<Version, String>>,
    pub cleared: bool,
    pub remote: Remote,
    pub compared: Option<Compared>,
    pub may_create: bool,
    pub rejection: Option<Rejection>,
    pub command: KeyCommand,
    pub rules: Rules,
    pub verify: VerifyConfig,
}

/// The time of every scenario.
pub fn now() -> DateTime<Utc> {
    at(1_000_000)
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![5 => Just("1"), 4 => Just("2"), 1 => Just("3")].prop_map(Version::new)
}

fn origin() -> impl Strategy<Value = Origin> {
    let place = |source: &str, path: &str| Origin {
        source: SourceId::new(source),
        path: path.to_owned(),
        fields: FieldMap::default(),
    };
    prop_oneof![
        20 => Just(place("s", "a")),
        1 => Just(place("s", "b")),
        1 => Just(place("t", "a")),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let target = prop_oneof![
        12 => Just(Target::Configuration),
        1 => Just(Target::StoredKey { id: None }),
        1 => Just(Target::StoredKey { id: Some(AiLlmId::new("id-1")) }),
    ];
    let name = prop_oneof![12 => Just("n"), 1 => Just("m")];
    let workspace = prop_oneof![15 => Just("w"), 1 => Just("v")];
    let endpoint = prop_oneof![12 => Just("https://a"), 1 => Just("https://b")];
    (target, name, workspace, endpoint).prop_map(|(target, name, workspace, endpoint)| Settings {
        workspace_id: WorkspaceId::new(workspace),
        name: name.to_owned(),
        ai_type: AiType::Openai,
        endpoint: endpoint.to_owned(),
        target,
    })
}

/// A value that goes by a version; as a rule each version has a value of its own.
fn stored() -> impl Strategy<Value = Stored> {
    let value = prop_oneof![8 => Just(None), 1 => Just(Some("1")), 1 => Just(Some("2"))];
    (version(), value, origin()).prop_map(|(version, value, origin)| Stored {
        fingerprint: digest(value.unwrap_or(version.label())),
        version,
        origin,
    })
}

/// A time at the edge of one of these waits.
fn time(waits: &'static [i64]) -> impl Strategy<Value = DateTime<Utc>> {
    let edge = (prop::sample::select(waits), -1..=1_i64);
    let past = edge.prop_map(|(wait, off)| wait + off);
    let ahead = prop::sample::select(&[-30_i64, -60, -61, -31_536_000][..]);
    prop_oneof![9 => past, 1 => ahead].prop_map(|seconds| now() - TimeDelta::seconds(seconds))
}

fn id() -> impl Strategy<Value = AiLlmId> {
    prop_oneof![6 => Just("id-1"), 1 => Just("id-2")].prop_map(AiLlmId::new)
}

fn maybe<T: std::fmt::Debug>(
    likely: f64,
    some: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(likely, some)
}

fn said(likely: f64) -> impl Strategy<Value = Option<String>> {
    maybe(likely, Just("no".to_owned()))
}

fn appearance() -> impl Strategy<Value = Appearance> {
    settings().prop_map(|settings| shown(&settings))
}

fn live() -> impl Strategy<Value = Live> {
    let seen = prop_oneof![Just(Shown::Nowhere), appearance().prop_map(Shown::As)];
    (
        stored(),
        settings(),
        time(&[0, 60, RESYNC]),
        any::<bool>(),
        maybe(0.2, seen),
    )
        .prop_map(|(stored, settings, pushed_at, verified, shown)| Live {
            version: stored.version,
            fingerprint: stored.fingerprint,
            origin: stored.origin,
            settings,
            created_at: None,
            pushed_at,
            verified_by: verified.then_some(Verifier::Flashback),
            verified_at: verified.then_some(pushed_at),
            shown,
        })
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(&[Action::Create, Action::Update, Action::Adopt][..])
}

fn intent() -> impl Strategy<Value = Intent> {
    (stored(), settings(), action(), said(0.3)).prop_map(|(stored, settings, action, drift)| {
        Intent {
            version: stored.version,
            fingerprint: stored.fingerprint,
            settings,
            action,
            at: now(),
            drift,
        }
    })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    let at = time(&[0, 60, 120, REFUSED]);
    (version(), origin(), settings(), at, 0..4_u32).prop_map(
        |(version, origin, settings, at, early)| Refusal {
            version,
            origin,
            settings,
            at,
            early,
            error: "refused".to_owned(),
        },
    )
}

fn held() -> impl Strategy<Value = Held> {
    (
        version(),
        maybe(0.8, origin()),
        maybe(0.7, stored()),
        maybe(0.3, time(&[0, 60, REFUSED])),
    )
        .prop_map(|(version, origin, instead, left_at)| Held {
            version,
            reason: "held".to_owned(),
            origin,
            instead,
            left_at,
        })
}

fn verification() -> impl Strategy<Value = Verification> {
    let stage = prop::sample::select(
        &[
            Stage::Before,
            Stage::After,
            Stage::After,
            Stage::Back,
            Stage::Forward,
            Stage::Kept,
        ][..],
    );
    let times = (
        time(&[0, GRACE, 2 * GRACE]),
        maybe(0.8, time(&[0, GRACE])),
        time(&[0, GRACE]),
        maybe(0.3, time(&[0, 60, REFUSED])),
    );
    (
        stored(),
        stage,
        any::<bool>(),
        0..3_u32,
        times,
        said(0.7),
        said(0.5),
    )
        .prop_map(|(subject, stage, fresh, tries, times, rejected, reason)| {
            let (since, asked_at, next_at, turned_down_at) = times;
            Verification {
                subject,
                stage,
                fresh,
                since,
                tries,
                asked_at,
                next_at,
                rejected,
                reason,
                turned_down_at,
            }
        })
}

fn repair() -> impl Strategy<Value = Repair> {
    (
        prop::sample::select(&[0_u64, 40][..]),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(due_in, done)| Repair {
            number: 1,
            due_in: Duration::from_secs(due_in),
            done,
        })
}

fn record() -> impl Strategy<Value = Record> {
    let told = said(0.1);
    let there = (
        maybe(0.9, id()),
        maybe(0.9, live().boxed()),
        maybe(0.15, intent().boxed()),
    );
    let stopped = (maybe(0.15, refusal().boxed()), maybe(0.3, held().boxed()));
    let verifications = (
        maybe(0.6, stored().boxed()),
        maybe(0.45, verification().boxed()),
        maybe(0.3, verification().boxed()),
    );
    (there, stopped, verifications, maybe(0.15, repair()), told).prop_map(
        |(there, stopped, verifications, repair, changed_by)| {
            let (ai_llm_id, live, intent) = there;
            let (refusal, held) = stopped;
            let (previous, verification, candidate) = verifications;
            Record {
                ai_llm_id,
                live,
                intent,
                refusal,
                held,
                previous,
                verification,
                candidate,
                repair,
                edits: Edits {
                    changed_by,
                    ..Edits::default()
                },
                ..Record::new(KeyId::new("k"))
            }
        },
    )
}

fn missing() -> impl Strategy<Value = Missing> {
    prop::sample::select(
        &[
            Missing::NotFound,
            Missing::Deleted,
            Missing::Destroyed,
            Missing::NoValueYet,
        ][..],
    )
}

fn observation() -> impl Strategy<Value = Observation> {
    let present = version().prop_map(|version| Observation::Present {
        version,
        written_at: None,
    });
    prop_oneof![12 => present, 1 => missing().prop_map(Observation::Missing)]
}

fn reading() -> impl Strategy<Value = Read> {
    let malformed = version().prop_map(|version| Read::Malformed {
        version,
        error: "malformed".to_owned(),
    });
    let value = stored().prop_map(|stored| Read::Value {
        version: stored.version,
        fingerprint: stored.fingerprint,
    });
    prop_oneof![
        14 => value,
        1 => malformed,
        1 => missing().prop_map(Read::Missing),
    ]
}

fn older() -> impl Strategy<Value = Older> {
    (stored(), prop::bool::weighted(0.85)).prop_map(|(stored, readable)| Older {
        version: stored.version,
        origin: stored.origin,
        found: readable
            .then_some(stored.fingerprint)
            .ok_or_else(|| "destroyed".to_owned()),
    })
}

fn remote() -> impl Strategy<Value = Remote> {
    prop_oneof![
        2 => Just(Remote::Unasked),
        3 => Just(Remote::Absent),
        2 => id().prop_map(Remote::Found),
        1 => id().prop_map(|id| Remote::Shared { id, stored_key: AiLlmId::new("key") }),
        1 => Just(Remote::Doubled(vec![AiLlmId::new("id-1"), AiLlmId::new("id-2")])),
        2 => Just(Remote::Unlistable("403".to_owned())),
    ]
}

fn compared() -> impl Strategy<Value = Compared> {
    let taken_over = (id(), said(0.5)).prop_map(|(by, renamed)| Drift::TakenOver { by, renamed });
    let drift = prop_oneof![
        2 => Just(Drift::Unknown),
        3 => Just(Drift::AsWritten),
        2 => Just(Drift::Gone),
        3 => appearance().prop_map(Drift::Edited),
        1 => Just(Drift::Shared(AiLlmId::new("key"))),
        1 => taken_over,
    ];
    let age = prop::sample::select(&[ListAge::Zero, ListAge::Seconds, ListAge::Minutes][..]);
    (drift, age).prop_map(|(drift, age)| Compared { drift, age })
}

fn rejection() -> impl Strategy<Value = Rejection> {
    let refused = action().prop_map(|action| Rejection::Refused {
        action,
        error: "400".to_owned(),
    });
    prop_oneof![1 => id().prop_map(Rejection::Gone), 3 => refused]
}

fn command() -> impl Strategy<Value = KeyCommand> {
    prop_oneof![
        8 => Just(KeyCommand::None),
        1 => Just(KeyCommand::Force),
        1 => Just(KeyCommand::RollBack),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let since = prop_oneof![2 => Just(DateTime::<Utc>::MIN_UTC), 1 => time(&[0, 60, REFUSED])];
    since.prop_map(|since| Rules {
        resync: seconds(RESYNC),
        refused: seconds(REFUSED),
        since,
    })
}

fn verify() -> impl Strategy<Value = VerifyConfig> {
    (
        prop::bool::weighted(0.4),
        prop::bool::weighted(0.85),
        prop::bool::weighted(0.8),
    )
        .prop_map(
            |(before_provider, after_flashback, rollback)| VerifyConfig {
                before_provider,
                after_flashback,
                grace: seconds(GRACE),
                rollback,
                settle: Duration::ZERO,
            },
        )
}

/// A state in which nothing was made to fit anything else.
fn any_state() -> impl Strategy<Value = Scenario> {
    let key = (settings(), origin(), any::<bool>(), rules(), verify()).boxed();
    let source = (
        observation(),
        maybe(0.7, reading()),
        maybe(0.6, older()),
        maybe(
            0.6,
            prop_oneof![
                3 => version().prop_map(Ok),
                1 => Just(Err("the first".to_owned())),
            ],
        ),
        prop::bool::weighted(0.4),
    )
        .boxed();
    let target = (remote(), maybe(0.75, compared()), maybe(0.3, rejection())).boxed();
    (key, record().boxed(), source, target, command()).prop_map(
        |(key, record, source, target, command)| {
            let (settings, origin, may_create, rules, verify) = key;
            let (observation, reading, older, before, cleared) = source;
            let (remote, compared, rejection) = target;
            Scenario {
                settings,
                origin,
                record,
                observation,
                reading,
                older,
                before,
                cleared,
                remote,
                compared,
                may_create,
                rejection,
                command,
                rules,
                verify,
            }
        },
    )
}

/// What is made to fit in a state, so that what is rare is met often.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Any,
    /// The newest version is held, and another one was read to be put in its place.
    Held,
    /// What is live is on trial, and the source has nothing newer.
    Verifying,
    /// What was live before what is on trial is to be put back.
    TurningBack,
    /// The value that was read is the one its provider has turned down so far.
    Candidate,
}

/// Any state of a key.
pub fn scenario() -> impl Strategy<Value = Scenario> {
    let shape = prop::sample::select(
        &[
            Shape::Any,
            Shape::Any,
            Shape::Held,
            Shape::Verifying,
            Shape::TurningBack,
            Shape::Candidate,
        ][..],
    );
    (shape, any_state().boxed()).prop_map(|(shape, state)| state.shaped(shape))
}

impl Scenario {
    fn shaped(mut self, shape: Shape) -> Self {
        match shape {
            Shape::Any => {}
            Shape::Held => self.is_held(),
            Shape::Verifying => {
                self.settle();
                self.put_on_trial();
            }
            Shape::TurningBack => {
                self.settle();
                self.put_on_trial();
                self.turn_back();
            }
            Shape::Candidate => self.is_turned_down(),
        }
        self
    }

    fn is_held(&mut self) {
        let Observation::Present { version, .. } = self.observation.clone() else {
            return;
        };
        self.command = KeyCommand::None;
        self.reading = None;
        let instead = self.record.previous.clone();
        self.read_older(instead.as_ref());
        if let Some(held) = &mut self.record.held {
            held.version = version;
            held.origin = None;
            held.instead = instead;
        }
    }

    /// What is live is what the source has, with the settings it should have.
    fn settle(&mut self) {
        self.command = KeyCommand::None;
        self.reading = None;
        if let Some(live) = &mut self.record.live {
            self.observation = Observation::Present {
                version: live.version.clone(),
                written_at: None,
            };
            live.origin = self.origin.clone();
            live.settings = self.settings.clone();
        }
    }

    fn put_on_trial(&mut self) {
        let live = self.record.live.as_ref().map(Live::stored);
        if let (Some(verification), Some(live)) = (&mut self.record.verification, live) {
            verification.subject = live;
        }
        self.read_older(self.record.previous.clone().as_ref());
    }

    fn turn_back(&mut self) {
        if let Some(verification) = &mut self.record.verification {
            verification.stage = Stage::Back;
            self.record.refusal = None;
        }
    }

    /// The older version that was read is this one, and holds what it held.
    fn read_older(&mut self, wanted: Option<&Stored>) {
        if let (Some(older), Some(wanted)) = (&mut self.older, wanted) {
            older.version = wanted.version.clone();
            older.origin = wanted.origin.clone();
            older.found = older.found.clone().map(|_| wanted.fingerprint);
        }
    }

    fn is_turned_down(&mut self) {
        self.verify.before_provider = true;
        self.cleared = false;
        if let (
            Some(candidate),
            Some(Read::Value {
                version,
                fingerprint,
            }),
        ) = (&mut self.record.candidate, &self.reading)
        {
            candidate.subject = Stored {
                version: version.clone(),
                fingerprint: *fingerprint,
                origin: self.origin.clone(),
            };
        }
    }
}
