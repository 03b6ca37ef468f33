//! The state store: durable, whole or not at all, never a value, one that works at a time.

mod contract;
mod crash;
mod daemons;
mod database;
mod file;
mod hand_on;
mod marks;
mod membership;
mod model;
mod requests;
mod tls;
mod wakeups;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone as _, Utc};
use flashback_rotator::document::FieldMap;
use flashback_rotator::model::{
    Acknowledged, Action, AiLlmId, AiType, Appearance, CheckNote, Edits, FencingToken, Held,
    HistoryRow, Intent, KeyId, Live, Mark, Origin, Outcome, Problem, ProblemKind, Record, Refusal,
    ReplicaId, Settings, Shown, SourceId, Stage, Stored, Target, Timeline, Verification, Verifier,
    Version, WorkspaceId,
};
use flashback_rotator::secret::{Fingerprint, Fingerprinter};
use flashback_rotator::state::StateStore;
use flashback_rotator::state::membership::{Member, Membership as _, Renewal, Role};
use flashback_rotator::state::postgres::Postgres;
use flashback_rotator::state::sqlite::Sqlite;

use crate::support::eventually;
use crate::support::postgres::{Database, Postgres as Server};

/// A kind of store, as the contract is tried on it: one state that is empty at first.
#[async_trait]
trait Kind: Send + Sync {
    /// Opens the state to work on it.
    async fn open(&self) -> Box<dyn StateStore>;
    /// Opens the state to work on these keys, of which requests will be. Whoever did so before is gone.
    async fn open_for(&self, keys: &[&str]) -> Box<dyn StateStore>;
    /// The last one that works on it goes.
    async fn close(&self, store: Box<dyn StateStore>);
    /// Opens it beside the one that works.
    async fn beside(&self) -> Box<dyn StateStore>;
}

/// A state file in a directory of its own.
struct File {
    directory: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("state.db")
    }

    fn works(&self) -> Sqlite {
        Sqlite::open(&self.path(), "the test").expect("the state opens")
    }
}

#[async_trait]
impl Kind for File {
    async fn open(&self) -> Box<dyn StateStore> {
        Box::new(self.works())
    }

    async fn open_for(&self, _: &[&str]) -> Box<dyn StateStore> {
        self.open().await
    }

    async fn close(&self, store: Box<dyn StateStore>) {
        drop(store);
    }

    async fn beside(&self) -> Box<dyn StateStore> {
        let store = Sqlite::open_beside(&self.path()).expect("it opens beside");
        Box::new(store.expect("there is a state"))
    }
}

#[async_trait]
impl Kind for Database {
    async fn open(&self) -> Box<dyn StateStore> {
        Box::new(opened(self).await)
    }

    async fn open_for(&self, keys: &[&str]) -> Box<dyn StateStore> {
        let (store, replica) = joined(self, Duration::from_millis(1)).await;
        let renewal = Renewal {
            lease: Duration::from_millis(1),
            wants: 0,
            evict: true,
        };
        let mine = eventually("the one before is evicted", async || {
            store.renew(replica, renewal).await.expect("renewed");
            let mine = claim(&store, replica, keys).await;
            (mine.len() == keys.len()).then_some(mine)
        });
        mine.await;
        Box::new(store)
    }

    async fn close(&self, store: Box<dyn StateStore>) {
        store.flush().await.expect("flushed");
    }

    async fn beside(&self) -> Box<dyn StateStore> {
        let store = Postgres::open_beside(&self.config()).await;
        Box::new(store.expect("it opens beside").expect("there is a state"))
    }
}

/// A database of one's own, where all tests have theirs.
async fn database() -> Database {
    Server::shared().await.database().await
}

async fn opened(database: &Database) -> Postgres {
    let store = Postgres::open(&database.config()).await;
    store.expect("the state opens")
}

/// A daemon among those that share the keys.
async fn joined(database: &Database, lease: Duration) -> (Postgres, ReplicaId) {
    let store = opened(database).await;
    let member = Member {
        name: "the test".to_owned(),
        role: Role::Daemon,
    };
    let replica = store.join(&member, lease).await.expect("joined");
    (store, replica)
}

async fn claim(store: &Postgres, replica: ReplicaId, names: &[&str]) -> Vec<(KeyId, FencingToken)> {
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    store.know(&keys).await.expect("known");
    let most = u32::try_from(keys.len()).expect("a number");
    store.claim(replica, &keys, most).await.expect("claimed")
}

fn key(name: &str) -> KeyId {
    KeyId::new(name)
}

fn at(second: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000 + second, 123_456_000)
        .single()
        .expect("a time")
}

fn fingerprint(text: &str) -> Fingerprint {
    Fingerprinter::new([7; 32]).bytes(text.as_bytes())
}

fn settings(name: &str) -> Settings {
    Settings {
        workspace_id: WorkspaceId::new("workspace-1"),
        name: name.to_owned(),
        ai_type: AiType::Anthropic,
        endpoint: "https://provider.example/v1".to_owned(),
        target: Target::Configuration,
    }
}

fn note(second: i64, problem: Option<&str>) -> CheckNote {
    CheckNote {
        rotation: None,
        checked_at: Some(at(second)),
        next_at: Some(at(second + 30)),
        problem: problem.map(|error| Problem {
            kind: ProblemKind::Source,
            error: error.to_owned(),
        }),
        timeline: timeline(second),
    }
}

fn timeline(second: i64) -> Timeline {
    let mut timeline = Timeline::default();
    let before = at(second - 7_200);
    timeline.add(None, None, before, Mark::InSync);
    timeline.add(Some(before), Some(before), at(second), Mark::Failing);
    timeline
}

fn origin(name: &str) -> Origin {
    Origin {
        source: SourceId::new("vault"),
        path: format!("llm/{name}"),
        fields: FieldMap {
            key: None,
            secret: Some("api_key".to_owned()),
        },
    }
}

fn stored(name: &str, turn: i64) -> Stored {
    Stored {
        version: Version::new(format!("v{turn}")),
        fingerprint: fingerprint("stored"),
        origin: origin(name),
    }
}

fn verification(name: &str, turn: i64, stage: Stage) -> Verification {
    Verification {
        subject: stored(name, turn),
        stage,
        fresh: true,
        since: at(turn),
        tries: 3,
        asked_at: Some(at(turn + 1)),
        next_at: at(turn + 2),
        rejected: Some("401".to_owned()),
        reason: Some("it does not work".to_owned()),
        turned_down_at: Some(at(turn + 3)),
    }
}

/// A record with something in every place.
fn full(name: &str, turn: i64) -> Record {
    let version = Version::numbered(u64::try_from(turn).expect("a number"), "2026-11-21");
    Record {
        rotation: None,
        key: key(name),
        ai_llm_id: Some(AiLlmId::new(format!("ai-{name}"))),
        created: Some(AiLlmId::new(format!("created-{name}"))),
        live: Some(Live {
            version: version.clone(),
            fingerprint: fingerprint("live"),
            origin: origin(name),
            settings: settings(name),
            created_at: Some(at(turn)),
            pushed_at: at(turn),
            verified_by: Some(Verifier::Flashback),
            verified_at: Some(at(turn)),
            shown: Some(Shown::As(Appearance {
                name: "another name".to_owned(),
                ai_type: Some("OTHER".to_owned()),
                endpoint: None,
                stored_key: Some(AiLlmId::new("key")),
            })),
        }),
        intent: Some(Intent {
            version: version.clone(),
            fingerprint: fingerprint("intent"),
            settings: settings("Zo\u{eb}'s \"key\"\n"),
            action: Action::Adopt,
            at: at(turn),
            drift: Some("ai_type was OTHER".to_owned()),
        }),
        refusal: Some(Refusal {
            version: version.clone(),
            origin: origin(name),
            settings: settings(name),
            at: at(turn),
            early: 3,
            error: "refused".to_owned(),
        }),
        held: Some(Held {
            version: version.clone(),
            reason: "by hand".to_owned(),
            origin: Some(origin(name)),
            instead: Some(stored(name, turn - 1)),
            left_at: Some(at(turn)),
        }),
        previous: Some(stored(name, turn - 1)),
        verification: Some(verification(name, turn, Stage::Back)),
        candidate: Some(verification(name, turn, Stage::Before)),
        acknowledged: Some(Acknowledged {
            source: SourceId::new("vault"),
            path: format!("llm/{name}"),
            version: version.clone(),
            at: at(turn),
            withdrawn: true,
        }),
        seen: Some(version),
        look: note(turn, Some("away")),
        lease: None,
        repair: None,
        edits: Edits {
            expected: 2,
            changed_by: Some("user-7".to_owned()),
        },
        unheard: Vec::new(),
        heard: Vec::new(),
    }
}

fn row(name: &str, turn: i64) -> HistoryRow {
    HistoryRow {
        at: at(turn),
        key: key(name),
        source: SourceId::new("vault"),
        name: name.to_owned(),
        ai_llm_id: Some(AiLlmId::new("ai-1")),
        previous_version: (turn > 0).then(|| Version::new(format!("v{}", turn - 1))),
        version: Version::new(format!("v{turn}")),
        action: Action::Update,
        outcome: Outcome::Failed,
        elapsed: Duration::from_micros(1_234_567),
        verified_by: None,
        reason: "the store holds another version".to_owned(),
        error: Some("500".to_owned()),
    }
}
