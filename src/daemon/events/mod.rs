//! Events: what the triggers hear becomes checks of keys.

mod listeners;
mod notices;
mod router;
mod wake;

pub use listeners::Listeners;
pub use notices::Notices;
pub use router::Router;
pub use wake::Waker;

use std::sync::Arc;

use super::assignments::Assignments;
use super::discovery::Discovery;
use crate::runtime::RuntimeHandle;
use crate::state::wakeups::Wakeups;
use crate::supervise::Supervisor;
use crate::trigger::Feed;

/// What makes checks of events.
pub struct Events {
    /// Makes checks of what was heard.
    pub router: Router,
    /// Listens to the sources.
    pub listeners: Listeners,
    /// Takes notices over HTTP.
    pub notices: Notices,
}

impl Events {
    /// Begins to listen to the sources of this runtime. Nothing is checked before the router runs.
    pub fn begin(
        feed: &Arc<Feed>,
        runtime: &Arc<RuntimeHandle>,
        assignments: &Arc<Assignments>,
        (discovery, wakeups): (&Arc<Discovery>, Option<Arc<dyn Wakeups>>),
        supervisor: &Supervisor,
    ) -> Self {
        let listeners = Listeners::new(runtime.clone(), feed.clone(), supervisor.clone());
        listeners.renew();
        Self {
            router: Router::new(
                feed.clone(),
                runtime.clone(),
                assignments.clone(),
                wakeups,
                discovery.clone(),
            ),
            listeners,
            notices: Notices::new(runtime.clone(), feed.clone()),
        }
    }
}
