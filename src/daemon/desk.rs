//! Takes the requests that other processes leave in the state, and answers them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::fleet::Current;
use crate::store::{Request, RequestId, Store, StoreError};

/// How often the desk is looked at. People wait on the other side.
const POLL: Duration = Duration::from_millis(250);

/// Serves until dropped.
pub async fn serve(current: Arc<Current>, store: Arc<dyn Store>) {
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        poll.tick().await;
        match store.take_request().await {
            Ok(None) => failing = false,
            Ok(Some((id, request))) => {
                failing = false;
                tokio::spawn(carry_out(current.clone(), store.clone(), id, request));
            }
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "requests in the state cannot be read");
            }
            Err(_) => {}
        }
    }
}

async fn carry_out(current: Arc<Current>, store: Arc<dyn Store>, id: RequestId, request: Request) {
    let Request::Sync { keys, force } = request;
    let done = AtomicU32::new(0);
    let fleet = current.load();
    let total = u32::try_from(fleet.named(&keys).len()).unwrap_or(u32::MAX);
    let each = || {
        done.fetch_add(1, Ordering::Relaxed);
    };
    let sync = fleet.sync(&keys, force, &each);
    tokio::pin!(sync);
    let rows = loop {
        tokio::select! {
            rows = &mut sync => break rows,
            () = tokio::time::sleep(POLL) => {
                let done = done.load(Ordering::Relaxed);
                // Progress is a courtesy; the answer is what counts.
                let _ = store.report_progress(id, done, total).await;
            }
        }
    };
    if let Err(error) = answer(store.as_ref(), id, &rows).await {
        tracing::warn!(%error, "a request was carried out, and its answer could not be written");
    }
}

async fn answer(
    store: &dyn Store,
    id: RequestId,
    rows: &[crate::engine::row::Row],
) -> Result<(), StoreError> {
    store.flush().await?;
    let document = crate::engine::row::document(rows);
    store.answer(id, &document.to_string()).await
}
