//! A time limit for the work of a command, and the reconciling of keys within it.

use std::time::Duration;

use humantime::format_duration;
use indicatif::ProgressBar;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::BrokenOff;
use crate::engine::report::{Ended, KeyReport};
use crate::model::{KeyCommand, KeyId};
use crate::runtime::Runtime;

/// The time that pushes in flight have to finish after the limit is reached.
const DRAIN: Duration = Duration::from_secs(10);

/// The time by which a command's work must be done.
#[derive(Clone, Copy)]
pub struct Limit {
    timeout: Duration,
    at: Instant,
}

impl Limit {
    /// Creates a limit that begins now; `None` without a time-out.
    pub fn new(timeout: Option<Duration>) -> Option<Self> {
        let timeout = timeout?;
        let at = Instant::now().checked_add(timeout)?;
        Some(Self { timeout, at })
    }

    /// Waits until the limit is reached; for ever if there is none.
    pub async fn reached(limit: Option<Self>) {
        match limit {
            Some(limit) => tokio::time::sleep_until(limit.at).await,
            None => std::future::pending().await,
        }
    }
}

/// Reconciles these keys once. At the limit nothing new is begun, pushes in flight have [`DRAIN`] to finish,
/// and the other keys are reported as not done.
pub async fn pass(
    runtime: &Runtime,
    (keys, command): (&[KeyId], KeyCommand),
    stop: &CancellationToken,
    limit: Option<Limit>,
    bar: &ProgressBar,
) -> Vec<KeyReport> {
    let done: Mutex<Vec<KeyReport>> = Mutex::default();
    let so_far = || done.lock();
    let each = |row: &KeyReport| {
        so_far().push(row.clone());
        bar.inc(1);
    };
    let sync = runtime.sync(keys, command, &each);
    tokio::pin!(sync);
    let limit = tokio::select! {
        rows = &mut sync => return rows,
        () = Limit::reached(limit) => limit,
    };
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN, sync).await.is_ok();
    let timeout = limit.map(|limit| limit.timeout).unwrap_or_default();
    let found_out = match drained {
        true => "",
        false => "; what was in flight is found out about at the next look",
    };
    let late = format!("not done within {}{found_out}", format_duration(timeout));
    let mut rows = so_far().clone();
    rows.retain(|row| row.ended != Ended::BrokenOff(BrokenOff::Stopped));
    runtime.complete(rows, keys, &late)
}
