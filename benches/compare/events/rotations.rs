//! Rotations at random moments, and when each has arrived.

use std::time::Duration;

use chrono::{DateTime, Utc};
use flashback_rotator::flashback::sandbox::sha256_hex;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::row::Latency;
use crate::common::process::Tree;
use crate::common::store::secret;
use crate::contest::{PATIENCE, phases};
use crate::flashback::Flashback;
use crate::length::Length;

pub struct Rotation {
    pub begun: DateTime<Utc>,
    pub secret: String,
}

/// What the daemons have used while keys were rotated, and how long that took.
pub struct Used {
    /// In cores.
    pub cpu: f64,
    pub minutes: f64,
}

/// Rotates different keys at random moments, by `write`, which gets the key's number and its new value.
pub async fn make(length: &Length, write: impl AsyncFn(usize, &str)) -> (Vec<Rotation>, f64) {
    let (keys, count) = length.events;
    let first: usize = rand::random_range(0..keys);
    let write = &write;
    let rotations = phases(count)
        .into_iter()
        .enumerate()
        .map(|(rotation, phase)| async move {
            sleep(length.events_spread.mul_f64(phase)).await;
            let key = (first + rotation * keys / count) % keys;
            let secret = secret(key, &format!("event-{rotation}"));
            let begun = Utc::now();
            write(key, &secret).await;
            Rotation { begun, secret }
        });
    let begun = Instant::now();
    let made = join_all(rotations).await;
    (made, begun.elapsed().as_secs_f64() / 60.0)
}

/// Rotates keys as [`make`] does while these processes run, and returns what they have used.
pub async fn make_beside(
    pids: &[u32],
    length: &Length,
    write: impl AsyncFn(usize, &str),
) -> (Vec<Rotation>, Used) {
    let cpu = || -> Duration { pids.iter().map(|pid| Tree::of(*pid).cpu).sum() };
    let before = cpu();
    let (made, minutes) = make(length, write).await;
    let cpu = cpu().saturating_sub(before).as_secs_f64() / (minutes * 60.0);
    (made, Used { cpu, minutes })
}

/// Waits until all have arrived, or count as lost.
pub async fn arrive(flashback: &Flashback, made: &[Rotation]) -> Latency {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let arrivals = flashback.arrivals();
        let times = made.iter().filter_map(|rotation| {
            let at = arrivals.get(&sha256_hex(&rotation.secret))?;
            (*at - rotation.begun).to_std().ok()
        });
        let times: Vec<Duration> = times.collect();
        let lost = made.len() - times.len();
        if lost == 0 || Instant::now() >= deadline {
            return Latency { times, lost };
        }
        sleep(Duration::from_millis(50)).await;
    }
}
