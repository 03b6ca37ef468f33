//! The tasks that listen to the sources' events, one for each source that has any.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::SourceConfig;
use crate::model::SourceId;
use crate::retry::{Limits, Round};
use crate::runtime::RuntimeHandle;
use crate::supervise::Supervisor;
use crate::telemetry::panics::Task;
use crate::trigger::{Ear, Feed, TriggerError};

/// The waits before a trigger that has ended is started again.
const WAITS: Limits = Limits {
    initial: Duration::from_millis(500),
    max: Duration::from_secs(15),
    give_up_after: Duration::MAX,
};

/// A trigger that has listened for this long counts as well, so that it is started again soon.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// The tasks that listen.
pub struct Listeners {
    runtime: Arc<RuntimeHandle>,
    feed: Arc<Feed>,
    supervisor: Supervisor,
    running: Mutex<BTreeMap<SourceId, Running>>,
}

struct Running {
    /// The settings that the task was started with.
    config: SourceConfig,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listeners {
    /// Returns no listeners yet.
    pub fn new(runtime: Arc<RuntimeHandle>, feed: Arc<Feed>, supervisor: Supervisor) -> Self {
        Self {
            runtime,
            feed,
            supervisor,
            running: Mutex::default(),
        }
    }

    /// Listens to what the current configuration asks for. Those whose settings are the same go on.
    pub fn renew(&self) {
        let runtime = self.runtime.load();
        let wanted = || {
            let sources = runtime.config.sources.iter();
            sources.filter(|(_, source)| source.events.is_some())
        };
        let mut running = self.running.lock();
        running.retain(|id, it| {
            let same = wanted().any(|(wanted, config)| wanted == id && *config == it.config);
            if !same {
                self.feed.forget(id);
            }
            same
        });
        for (id, config) in wanted() {
            running.entry(id.clone()).or_insert_with(|| Running {
                config: config.clone(),
                task: self.start(id),
            });
        }
    }

    fn start(&self, id: &SourceId) -> JoinHandle<()> {
        let supervisor = self.supervisor.clone();
        let listener = Listener {
            runtime: Arc::clone(&self.runtime),
            feed: Arc::clone(&self.feed),
            ear: Ear::new(id.clone(), Arc::clone(&self.feed)),
        };
        tokio::spawn(async move {
            supervisor
                .keep(Task::Events, listener, |listener| listener.run().boxed())
                .await;
        })
    }
}

/// Listens to the events of one source.
struct Listener {
    runtime: Arc<RuntimeHandle>,
    feed: Arc<Feed>,
    ear: Ear,
}

impl Listener {
    /// Listens, and begins again after a wait whenever that ends.
    async fn run(&mut self) {
        let source = self.ear.source();
        let mut round = Round::begin(WAITS);
        loop {
            let began = Instant::now();
            let Err(error) = self.listen().await;
            self.feed.down(source, &error.to_string());
            if began.elapsed() >= WELL_AFTER {
                round = Round::begin(WAITS);
            }
            tokio::time::sleep(round.next_wait(None).unwrap_or(WAITS.max)).await;
        }
    }

    async fn listen(&self) -> Result<Infallible, TriggerError> {
        let mut trigger = self.runtime.load().trigger(self.ear.source())?;
        trigger.listen(&self.ear).await
    }
}
