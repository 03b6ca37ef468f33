//! The events of the sources: `check --connect` listens until it is known whether changes are heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::report::Outcome;
use crate::cli::kinds::kinds;
use crate::model::SourceId;
use crate::runtime::Runtime;
use crate::telemetry::metrics::Metrics;
use crate::trigger::{Ear, Feed, TriggerKind};

/// The time within which a trigger must say whether it hears. Calls to a server have shorter time limits.
const WITHIN: Duration = Duration::from_secs(15);

/// The wait before the feed is asked again.
const PAUSE: Duration = Duration::from_millis(5);

/// Listens to the events of these sources for a moment. Those that a source has without being asked are left out.
pub async fn events(
    runtime: &Runtime,
    works: impl Fn(&SourceId) -> bool,
) -> BTreeMap<SourceId, Outcome> {
    let asked = runtime.config.sources.iter().filter_map(|(id, source)| {
        let events = source.events.as_deref()?;
        let implied = kinds().triggers.iter().any(|kind| {
            let implied = (kind.implied)(source.kind.as_ref());
            implied.is_some_and(|implied| *implied == *events)
        });
        (!implied && works(id)).then_some((id, events))
    });
    let heard = asked.map(async |(id, events)| (id.clone(), listen(runtime, id, events).await));
    join_all(heard).await.into_iter().collect()
}

async fn listen(runtime: &Runtime, id: &SourceId, events: &dyn TriggerKind) -> Outcome {
    let place = events.place();
    let works = |detail: String| Outcome::Works {
        detail,
        version: None,
    };
    if events.is_exclusive() {
        return works(format!(
            "not tried, as the daemon alone listens at {place}; `status` says whether changes are heard"
        ));
    }
    let mut trigger = match runtime.trigger(id) {
        Ok(trigger) => trigger,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    // Nothing takes from this feed, so that no message counts as scheduled and is deleted.
    let feed = Arc::new(Feed::new(Arc::new(Metrics::new())));
    let ear = Ear::new(id.clone(), Arc::clone(&feed));
    let turned = async {
        while !feed.is_up(id) && feed.why_down(id).is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        Err(error) = trigger.listen(&ear) => Outcome::Failed(error.to_string()),
        () = turned => works(match feed.why_down(id) {
            None => format!("changes are heard ({place})"),
            Some(why) => format!("changes are not heard for now ({place}): {why}"),
        }),
        () = tokio::time::sleep(WITHIN) => Outcome::Failed(format!(
            "{place} has not answered within {} s",
            WITHIN.as_secs()
        )),
    }
}
