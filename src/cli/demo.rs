//! `demo`: shows the real engine at work between a directory and a sandbox.

mod hearing;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::end::{End, fail};
use super::kinds::kinds;
use super::{setup, status, table};
use crate::config;
use crate::credential::Plain;
use crate::daemon::status_source::Watch;
use crate::engine::Changes;
use crate::engine::report::KeyReport;
use crate::flashback::Flashback as _;
use crate::flashback::client::{Auth, Client};
use crate::flashback::sandbox::{Operation, Options, Rule, Sandbox, sha256_hex};
use crate::lease::LeaseTable;
use crate::model::{AiLlmId, AiType, Settings, SourceId, Target, WorkspaceId};
use crate::retry::Limits;
use crate::runtime::{self, RuntimeContext, RuntimeHandle};
use crate::scheduler::{First, Scheduler};
use crate::secret::{Credentials, Secret};
use crate::state;
use crate::state::StateStore;
use crate::state::sqlite::Sqlite;
use crate::supervise::Supervisor;
use crate::telemetry::metrics::Metrics;
use crate::trigger::{Feed, TriggerError};
use crate::upstream::{Terms, Upstream};

/// The time limit of a step, far more than any step needs. The demo names a step that does not succeed in time.
const PATIENCE: Duration = Duration::from_secs(20);

/// The name of a configuration that is in Flashback before the rotator is.
const MADE_BY_HAND: &str = "Claude for support";

/// The source that tells of its changes.
const WATCHED: &str = "watched";

const WORKSPACE: &str = "workspace-demo";

pub async fn run() -> End {
    match Stage::set().await {
        Ok(mut stage) => match stage.play().await {
            Ok(()) => End::Done,
            Err(error) => fail(error),
        },
        Err(error) => fail(error),
    }
}

/// A directory as the source, a sandbox as Flashback, and the rotator between them.
struct Stage {
    directory: Directory,
    sandbox: Sandbox,
}

/// A directory that is removed with all that is in it, however the demo ends.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    async fn set() -> Result<Self, String> {
        let name = format!("flashback-rotator-demo-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        // Others may write in the directory above: this one is new, and only this user can enter it.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(text)?;
        let directory = Directory(path);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(text)?;
        let sandbox = Sandbox::start(listener, Options::default()).map_err(text)?;
        let path = &directory.0;
        std::fs::create_dir(path.join("secrets")).map_err(text)?;
        place(&path.join("token"), &random_key("token"))?;
        let configuration = configuration(path, &sandbox.url());
        place(&path.join("config.toml"), &configuration)?;
        Ok(Self { directory, sandbox })
    }

    async fn play(&mut self) -> Result<(), String> {
        say(
            "A directory is the store, a local sandbox is Flashback; keys are looked at every second. \
             The kernel tells of changes to Claude's.",
        );
        self.creation_and_adoption().await
    }

    async fn creation_and_adoption(&mut self) -> Result<(), String> {
        let by_hand = self.create_by_hand().await?;
        let openai = self.write("openai")?;
        let claude = self.write("claude")?;
        let started = Instant::now();
        let rotator = self.start().await?;
        self.arrival("GPT for search", &openai).await?;
        tell(
            started,
            "creation",
            "`GPT for search` was not in Flashback: created with its key",
        );
        let adopted = self.arrival(MADE_BY_HAND, &claude).await?;
        if adopted != by_hand.as_str() {
            return Err("a second configuration was made".to_owned());
        }
        tell(
            started,
            "adoption",
            "`Claude for support` was there, made by hand: adopted, key replaced",
        );

        self.rotation("GPT for search", "openai", "looked at every second")
            .await?;
        let watched = SourceId::new(WATCHED);
        self.until("events", || rotator.is_heard(&watched)).await?;
        self.rotation(MADE_BY_HAND, "claude", "heard of it (inotify)")
            .await?;

        self.rotation_in_an_outage().await?;
        self.restart(rotator).await
    }

    /// A key is rotated: the time is that from the store to Flashback.
    async fn rotation(&self, name: &str, file: &str, how: &str) -> Result<(), String> {
        let key = self.write(file)?;
        let started = Instant::now();
        self.arrival(name, &key).await?;
        let line = format!("the store got a new key; `{name}` has it: {how}");
        tell(started, "rotation", &line);
        Ok(())
    }

    async fn rotation_in_an_outage(&self) -> Result<(), String> {
        let before = self.writes();
        self.sandbox.fail(Rule::status(503));
        let started = Instant::now();
        let openai = self.write("openai")?;
        self.until("a push that fails", || {
            (self.writes() >= before + 3).then_some(())
        })
        .await?;
        let tries = self.writes() - before;
        tell(
            started,
            "outage",
            &format!("rotated while Flashback answers 503: {tries} tries failed, none lost"),
        );
        self.sandbox.heal();
        let started = Instant::now();
        self.arrival("GPT for search", &openai).await?;
        tell(
            started,
            "recovery",
            "Flashback is back; it has the newest key",
        );
        Ok(())
    }

    async fn restart(&self, rotator: Rotator) -> Result<(), String> {
        rotator.stop().await;
        let before = self.writes();
        let started = Instant::now();
        let rotator = self.start().await?;
        self.until("every key looked at", || {
            (rotator.scheduler.unseen() == 0).then_some(())
        })
        .await?;
        let pushed = self.writes() - before;
        if pushed > 0 {
            return Err(format!("{pushed} keys were pushed again after a restart"));
        }
        tell(
            started,
            "restart",
            "every key looked at again, nothing pushed",
        );
        let records = rotator.store.load_all().await.map_err(text)?;
        let rows = KeyReport::of_records(&rotator.runtime.load().config.keys, records);
        setup::print(format!("\n{}", status::keys(&rows, Utc::now(), true)));
        rotator.stop().await;
        Ok(())
    }

    async fn start(&self) -> Result<Rotator, String> {
        let path = self.directory.0.join("config.toml");
        let config = config::load(Some(&path), kinds()).map_err(text)?.config;
        let store = Arc::new(
            Sqlite::open(state::open::file(&config.state).map_err(text)?, "the demo")
                .map_err(text)?,
        );
        let (watch, stop) = (Arc::new(Watch::default()), CancellationToken::new());
        let metrics = Arc::new(Metrics::new());
        let context = RuntimeContext {
            fingerprinter: store.fingerprinter().await.map_err(text)?,
            store: store.clone(),
            leases: Arc::new(LeaseTable::alone()),
            replica: None,
            feed: Arc::new(Feed::new(Arc::clone(&metrics))),
            metrics,
            checks: Arc::default(),
            outages: watch.clone(),
            told: Arc::default(),
            changes: Changes::default(),
            stop: stop.clone(),
            since: Utc::now(),
        };
        let runtime = runtime::build(Arc::new(config), &context, None).map_err(text)?;
        let schedule = runtime.schedule(|_| First::Now);
        let runtime = Arc::new(RuntimeHandle::new(runtime));
        let scheduler = Scheduler::start(runtime.clone(), Supervisor::new(stop.clone()));
        watch.attach(scheduler.clone());
        scheduler.replace(schedule);
        let (listening, heard) = (runtime.clone(), scheduler.clone());
        let events = tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            hearing::hear(&listening, &heard, &SourceId::new(WATCHED)).await
        }));
        Ok(Rotator {
            events,
            runtime,
            scheduler,
            store,
            stop,
        })
    }

    /// Writes a new key into the source.
    fn write(&self, name: &str) -> Result<String, String> {
        let key = random_key(name);
        place(&self.directory.0.join("secrets").join(name), &key)?;
        Ok(key)
    }

    /// Creates a configuration as a person would have done in Flashback's console, some time ago.
    async fn create_by_hand(&self) -> Result<AiLlmId, String> {
        let limit = Duration::from_secs(5);
        let retry = Limits {
            initial: limit,
            max: limit,
            give_up_after: limit,
        };
        let terms = Terms {
            max_rps: None,
            timeout: limit,
            permits: 1,
            retry,
        };
        let upstream = Upstream::new("by-hand", terms, Arc::default(), Arc::new(Watch::default()));
        let token = Auth::Token(Arc::new(Plain("by-hand".to_owned())));
        let client = Client::new(&self.sandbox.url(), token, Arc::new(upstream)).map_err(text)?;
        let settings = Settings {
            workspace_id: WorkspaceId::new(WORKSPACE),
            name: MADE_BY_HAND.to_owned(),
            ai_type: AiType::Anthropic,
            endpoint: "https://api.anthropic.com".to_owned(),
            target: Target::Configuration,
        };
        let credentials = Credentials {
            key: None,
            secret: Secret::new(random_key("old")),
        };
        client.create(&settings, &credentials).await.map_err(text)
    }

    /// Waits until Flashback has this key under this name. Returns the configuration's id.
    async fn arrival(&self, name: &str, key: &str) -> Result<String, String> {
        let digest = sha256_hex(key);
        let arrived = || {
            let all = self.sandbox.configurations();
            let there = all
                .into_iter()
                .find(|one| one.name == name && one.secret_sha256 == digest);
            there.map(|one| one.ai_llm_id)
        };
        self.until(name, arrived).await
    }

    /// Returns how many requests would have changed Flashback, carried out or not.
    fn writes(&self) -> usize {
        let write = |operation| matches!(operation, Operation::Create | Operation::Update);
        self.sandbox
            .journal()
            .iter()
            .filter(|entry| write(entry.operation))
            .count()
    }

    async fn until<T>(&self, what: &str, condition: impl Fn() -> Option<T>) -> Result<T, String> {
        let started = Instant::now();
        loop {
            if let Some(value) = condition() {
                return Ok(value);
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("{what}: not within {} s", PATIENCE.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// The running engine.
struct Rotator {
    /// The task that listens to the source's events.
    events: JoinHandle<Option<Result<(), TriggerError>>>,
    runtime: Arc<RuntimeHandle>,
    scheduler: Scheduler,
    store: Arc<Sqlite>,
    stop: CancellationToken,
}

impl Rotator {
    /// Returns whether changes of a source are heard, once that is known.
    fn is_heard(&self, source: &SourceId) -> Option<()> {
        let feed = &self.runtime.load().feed;
        let known = feed.is_up(source) || feed.why_down(source).is_some();
        (known || self.events.is_finished()).then_some(())
    }

    async fn stop(self) {
        self.stop.cancel();
        self.scheduler.drained().await;
    }
}

fn configuration(path: &Path, url: &str) -> String {
    let path = path.display();
    format!(
        r#"[flashback]
base_url = "{url}"
workspace_id = "{WORKSPACE}"

[flashback.auth]
token = {{ file = "{path}/token" }}

[state]
url = "sqlite://{path}/state.db"

[schedule]
check = "1s"

[retry]
initial = "200ms"
max = "1s"

[sources.directory]
type = "file"
dir = "{path}/secrets"
watch = false

[sources.{WATCHED}]
type = "file"
dir = "{path}/secrets"

[keys.gpt]
name = "GPT for search"
ai_type = "OPENAI"
source = "directory"
path = "openai"

[keys.claude]
name = "{MADE_BY_HAND}"
ai_type = "ANTHROPIC"
source = "{WATCHED}"
path = "claude"
"#
    )
}

/// Returns a random key, which no provider has ever issued.
fn random_key(kind: &str) -> String {
    format!("demo-{kind}-{:032x}", rand::random::<u128>())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Writes a file and moves it into place, as a careful writer does. The kernel's clock ticks in between,
/// which shows that the file was complete before it was moved.
fn place(path: &Path, content: &str) -> Result<(), String> {
    let next = path.with_extension("next");
    std::fs::write(&next, content).map_err(text)?;
    std::thread::sleep(Duration::from_millis(20));
    std::fs::rename(&next, path).map_err(text)
}

fn say(line: &str) {
    setup::print(format!("{}\n", table::dim(line)));
}

fn tell(started: Instant, what: &str, line: &str) {
    let took = format!("{:>5} ms", started.elapsed().as_millis());
    setup::print(format!(
        "{took}  {} {line}",
        table::green(&format!("{what:<9}"))
    ));
}
