//! A time limit for the work of a command, and the reconciling of keys within it.

use std::time::Duration;

use humantime::format_duration;
use indicatif::ProgressBar;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::BrokenOff;
use crate::engine::report::{Ended, KeyReport};
use crate::model::{KeyCommand, KeyId, NextKey};
use crate::runtime::Runtime;

/// The time that pushes in flight have to finish after the limit is reached.
const DRAIN: Duration = Duration::from_secs(10);

/// The interval at which the other keys that read the secret of a rotated one are checked.
const FOLLOW: Duration = Duration::from_millis(100);

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
    let sync = carry_out(runtime, keys, command, &each);
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

/// Carries out a command for these keys. While a key is rotated, those that read the same secret are checked, too: a
/// daemon would, and here nobody else does.
async fn carry_out(
    runtime: &Runtime,
    keys: &[KeyId],
    command: KeyCommand,
    each: &(dyn Fn(&KeyReport) + Sync),
) -> Vec<KeyReport> {
    let KeyCommand::Rotate(_) = command else {
        return runtime.sync(keys, command, each).await;
    };
    let over = CancellationToken::new();
    let rotate = async {
        let rows = runtime.sync(keys, command, each).await;
        over.cancel();
        rows
    };
    let (rows, ()) = tokio::join!(rotate, follow(runtime, keys, &over));
    rows
}

/// Checks the keys that read the secret of one that is rotated, as long as a new value is on its way to them.
async fn follow(runtime: &Runtime, keys: &[KeyId], over: &CancellationToken) {
    let rotated = || keys.iter().filter_map(|key| runtime.managed_keys.get(key));
    let sharers = rotated().flat_map(|managed| managed.sharers.iter());
    let others: Vec<KeyId> = sharers
        .filter(|(_, enabled)| *enabled)
        .map(|(key, _)| key.clone())
        .collect();
    while !others.is_empty() && !over.is_cancelled() {
        let mut is_stored = false;
        for managed in rotated() {
            let record = runtime.engine.store.load(&managed.key).await.ok();
            let rotation = record.and_then(|record| record.rotation);
            let next = rotation.and_then(|rotation| rotation.next);
            is_stored |= matches!(next, Some(NextKey::Stored { .. }));
        }
        if is_stored {
            runtime.sync(&others, KeyCommand::None, &|_| {}).await;
        }
        over.run_until_cancelled(tokio::time::sleep(FOLLOW)).await;
    }
}
