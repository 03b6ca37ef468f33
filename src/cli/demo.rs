//! `demo`: shows the real engine at work between a directory and a sandbox.

mod configuration;
mod directory;
mod hearing;
mod minting;
mod show;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::configuration::{MADE_BY_HAND, WATCHED, WORKSPACE, configuration};
use self::directory::{Directory, place, random_key, text};
use self::minting::Minting;
use self::show::{arrival, say, tell, until, until_known};
use super::end::{End, fail};
use super::kinds::kinds;
use super::{setup, status};
use crate::config;
use crate::credential::Plain;
use crate::daemon::state::State;
use crate::daemon::status_source::Watch;
use crate::engine::report::KeyReport;
use crate::flashback::Flashback as _;
use crate::flashback::client::{Auth, Client};
use crate::flashback::sandbox::provider::openai::OpenAi;
use crate::flashback::sandbox::provider::{ADMIN, Fake};
use crate::flashback::sandbox::{Operation, Options, Rule, Sandbox};
use crate::model::{AiLlmId, AiType, Settings, SourceId, Target, WorkspaceId};
use crate::retry::Limits;
use crate::runtime::{self, RuntimeContext, RuntimeHandle};
use crate::scheduler::{First, Scheduler};
use crate::secret::{Credentials, Secret};
use crate::state;
use crate::state::StateStore;
use crate::state::sqlite::Sqlite;
use crate::supervise::Supervisor;
use crate::trigger::TriggerError;
use crate::upstream::{Terms, Upstream};

pub async fn run() -> Result<End, End> {
    let mut stage = Stage::set().await.map_err(fail)?;
    stage.play().await.map_err(fail)?;
    Ok(End::Done)
}

/// A directory as the source, a sandbox as Flashback, a provider of keys, and the rotator between them.
struct Stage {
    directory: Directory,
    sandbox: Sandbox,
    provider: Fake,
}

impl Stage {
    async fn set() -> Result<Self, String> {
        let directory = Directory::new()?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(text)?;
        let sandbox = Sandbox::start(listener, Options::default()).map_err(text)?;
        let provider = Fake::start(OpenAi::default()).await;
        place(&directory.path("token"), &random_key("token"))?;
        place(&directory.path("admin"), ADMIN)?;
        let configuration = configuration(directory.root(), &sandbox.url(), &provider.settings());
        place(&directory.path("config.toml"), &configuration)?;
        Ok(Self {
            directory,
            sandbox,
            provider,
        })
    }

    async fn play(&mut self) -> Result<(), String> {
        say(
            "A directory is the store, a local sandbox is Flashback; keys are looked at every second. \
             The kernel tells of changes to Claude's.",
        );
        let by_hand = self.create_by_hand().await?;
        let openai = self.write("openai")?;
        let claude = self.write("claude")?;
        let code = random_key("code");
        self.provider.make("made by hand", &code);
        place(&self.directory.secret("code"), &code)?;
        let started = Instant::now();
        let rotator = self.start().await?;
        arrival(&self.sandbox, "GPT for search", &openai).await?;
        tell(
            started,
            "creation",
            "`GPT for search` was not in Flashback: created with its key",
        );
        let adopted = arrival(&self.sandbox, MADE_BY_HAND, &claude).await?;
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
        until("events", || rotator.is_heard(&watched)).await?;
        self.rotation(MADE_BY_HAND, "claude", "heard of it (inotify)")
            .await?;

        self.rotation_in_an_outage().await?;
        let rotator = self.restart(rotator).await?;
        let minting = Minting {
            provider: &self.provider,
            sandbox: &self.sandbox,
            secret: &self.directory.secret("code"),
            runtime: rotator.runtime.load(),
            store: rotator.store.as_ref(),
        };
        minting.show().await?;
        self.end(rotator).await
    }

    /// A key is rotated: the time is that from the store to Flashback.
    async fn rotation(&self, name: &str, file: &str, how: &str) -> Result<(), String> {
        let key = self.write(file)?;
        let started = Instant::now();
        arrival(&self.sandbox, name, &key).await?;
        let line = format!("the store got a new key; `{name}` has it: {how}");
        tell(started, "rotation", &line);
        Ok(())
    }

    async fn rotation_in_an_outage(&self) -> Result<(), String> {
        let before = self.writes();
        self.sandbox.fail(Rule::status(503));
        let started = Instant::now();
        let openai = self.write("openai")?;
        until("a push that fails", || {
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
        arrival(&self.sandbox, "GPT for search", &openai).await?;
        tell(
            started,
            "recovery",
            "Flashback is back; it has the newest key",
        );
        Ok(())
    }

    async fn restart(&self, rotator: Rotator) -> Result<Rotator, String> {
        rotator.stop().await;
        let before = self.writes();
        let started = Instant::now();
        let rotator = self.start().await?;
        until("every key looked at", || {
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
        Ok(rotator)
    }

    /// Shows how each key stands, and stops.
    async fn end(&self, rotator: Rotator) -> Result<(), String> {
        let runtime = rotator.runtime.load();
        let all_are_due = |rows: &[KeyReport]| {
            let due = |row: &KeyReport| row.standing.as_ref()?.next_check;
            rows.iter().all(|row| due(row).is_some())
        };
        let rows = until_known("the next checks", async || {
            let records = rotator.store.load_all().await.map_err(text)?;
            let rows = KeyReport::of_records(&runtime.config.keys, records);
            Ok(Some(rows).filter(|rows| all_are_due(rows)))
        })
        .await?;
        setup::print(format!("\n{}", status::keys(&rows, Utc::now(), true)));
        rotator.stop().await;
        Ok(())
    }

    async fn start(&self) -> Result<Rotator, String> {
        let path = self.directory.path("config.toml");
        let config = config::load(Some(&path), kinds()).map_err(text)?.config;
        let store = Arc::new(
            Sqlite::open(state::open::file(&config.state).map_err(text)?, "the demo")
                .map_err(text)?,
        );
        let (watch, stop) = (Arc::new(Watch::default()), CancellationToken::new());
        let state = State::unshared(store.clone());
        let context = setup::context(&state, watch.clone(), &stop).await;
        let context = RuntimeContext {
            since: Utc::now(),
            ..context.map_err(text)?
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
        place(&self.directory.secret(name), &key)?;
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

    /// Returns how many requests would have changed Flashback, carried out or not.
    fn writes(&self) -> usize {
        let write = |operation| matches!(operation, Operation::Create | Operation::Update);
        self.sandbox
            .journal()
            .iter()
            .filter(|entry| write(entry.operation))
            .count()
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
