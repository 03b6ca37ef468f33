//! The events of the demo: what a directory tells becomes checks.

use std::sync::Arc;

use crate::engine::Told;
use crate::model::SourceId;
use crate::runtime::{Runtime, RuntimeHandle};
use crate::scheduler::Scheduler;
use crate::trigger::feed::Taken;
use crate::trigger::{Ear, TriggerError};

/// Has keys checked of whose changes this source tells, until the future is dropped.
///
/// # Errors
/// Returns [`TriggerError`] when the source cannot be listened to.
pub async fn hear(
    runtime: &RuntimeHandle,
    scheduler: &Scheduler,
    source: &SourceId,
) -> Result<(), TriggerError> {
    let runtime = runtime.load();
    let mut trigger = runtime.trigger(source)?;
    let ear = Ear::new(source.clone(), Arc::clone(&runtime.feed));
    let route = async {
        loop {
            for taken in runtime.feed.take().await {
                wake(&runtime, scheduler, &taken);
                runtime.feed.done(&taken);
            }
        }
    };
    tokio::select! {
        Err(error) = trigger.listen(&ear) => Err(error),
        () = route => Ok(()),
    }
}

fn wake(runtime: &Runtime, scheduler: &Scheduler, taken: &Taken) {
    let Taken { source, news, .. } = taken;
    let paths = news.heard.values().flat_map(|heard| &heard.paths);
    let keys = paths.flat_map(|path| runtime.by_secret.of(source, path));
    let keys: Vec<_> = keys.map(|managed| managed.key.clone()).collect();
    for key in &keys {
        runtime.engine.told.tell(key, Told::default(), None);
    }
    scheduler.told(keys);
    if news.missed.is_some() {
        scheduler.missed(source.clone());
    }
}
