//! The classes of failures, and the waits before the next attempt.
//!
//! No other file uses the `backoff` crate, and this one only to generate intervals, because the retry loop of the crate
//! obeys `Retry-After` without a cap and cannot be cancelled. Nothing here sleeps: a wait becomes a wake-up
//! in the scheduler. The next attempt begins by reading the source again, so that the newest key is pushed
//! after an outage, not the one that failed.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::exponential::{ExponentialBackoff, ExponentialBackoffBuilder};
use tokio::time::Instant;

/// The reaction that a failure calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The service as a whole is unavailable or asks for quiet: all calls to it must wait.
    Outage {
        /// The time that the service asked callers to wait.
        retry_after: Option<Duration>,
    },
    /// This call failed and may succeed if it is repeated.
    Transient {
        /// The time that the service asked callers to wait.
        retry_after: Option<Duration>,
    },
    /// A retry fails again until a person changes the configuration, a permission or the secret.
    Refused,
}

impl Class {
    /// Returns how long the service asked callers to wait.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Outage { retry_after } | Self::Transient { retry_after } => retry_after,
            Self::Refused => None,
        }
    }
}

/// Returns the class of an HTTP status. 408, 425, 429 and 5xx are worth a repetition. 429 and the gateway
/// statuses (502 to 504) concern the whole service.
pub fn class_of_status(status: u16, retry_after: Option<Duration>) -> Class {
    match status {
        429 | 502..=504 => Class::Outage { retry_after },
        408 | 425 | 500..=599 => Class::Transient { retry_after },
        _ => Class::Refused,
    }
}

/// The limits of one round of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The first wait, before jitter.
    pub initial: Duration,
    /// The longest wait, before jitter.
    pub max: Duration,
    /// The time after which a round is given up. The next one begins with the next check.
    pub give_up_after: Duration,
}

/// The longest `Retry-After` that is obeyed. A service that asks for more is called again after this time, so
/// that a nonsensical header cannot stop a key for good.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// One round of attempts: exponential growth with full jitter, a deadline and a count.
#[derive(Debug)]
pub struct Round {
    limits: Limits,
    intervals: ExponentialBackoff<backoff::SystemClock>,
    started: Instant,
    attempts: u32,
}

impl Round {
    /// Begins a round now.
    pub fn begin(limits: Limits) -> Self {
        // With a randomization factor of 1 the crate draws from [0, 2·interval). Half of that is full jitter
        // over [0, interval).
        let intervals = ExponentialBackoffBuilder::new()
            .with_initial_interval(limits.initial)
            .with_max_interval(limits.max)
            .with_multiplier(2.0)
            .with_randomization_factor(1.0)
            .with_max_elapsed_time(None)
            .build();
        Self {
            limits,
            intervals,
            started: Instant::now(),
            attempts: 1,
        }
    }

    /// Returns the number of the current attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempts
    }

    /// Returns the wait before the next attempt, or `None` if the round is over. Apart from `retry_after`, no
    /// wait is longer than the round has lasted: chance may draw several short waits in a row, and a service
    /// that was unavailable for a moment must not be waited for much longer.
    pub fn next_wait(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let elapsed = self.started.elapsed();
        let longest = elapsed.clamp(self.limits.initial, self.limits.max);
        let wait = self.draw(longest, retry_after);
        if elapsed + wait > self.limits.give_up_after {
            return None;
        }
        self.attempts += 1;
        Some(wait)
    }

    fn draw(&mut self, longest: Duration, retry_after: Option<Duration>) -> Duration {
        let mut drawn = self.intervals.next_backoff().unwrap_or(self.limits.max) / 2;
        if drawn > longest {
            drawn = longest.mul_f64(rand::random_range(0.5..=1.0));
        }
        let drawn = drawn.max(self.limits.initial / 10);
        match retry_after {
            // The requested wait is the minimum; the random wait on top keeps callers apart.
            Some(asked) => asked.min(LONGEST_RETRY_AFTER) + drawn.min(self.limits.initial),
            None => drawn,
        }
    }
}

/// Returns the wait after `tries` attempts that belong to no round. It has full jitter and is no shorter than
/// `retry_after`, which is capped at [`LONGEST_RETRY_AFTER`].
pub fn wait(limits: Limits, tries: u32, retry_after: Option<Duration>) -> Duration {
    let mut round = Round::begin(limits);
    // The interval doubles up to its limit, which it reaches long before 32 attempts.
    for _ in 0..tries.min(32) {
        let _ = round.intervals.next_backoff();
    }
    round.draw(limits.max, retry_after)
}

/// Parses a `Retry-After` header: seconds, or an HTTP date (RFC 9110, section 10.2.3).
pub fn parse_retry_after(text: &str, now: std::time::SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(30),
        give_up_after: Duration::from_secs(300),
    };

    #[tokio::test(start_paused = true)]
    async fn a_round_grows_is_capped_and_ends() {
        let mut round = Round::begin(LIMITS);
        let mut waits = Vec::new();
        while let Some(wait) = round.next_wait(None) {
            assert!(wait <= LIMITS.max, "{wait:?}");
            waits.push(wait);
            tokio::time::advance(wait).await;
        }
        assert!(waits.len() >= 10, "{} tries", waits.len());
        assert!(waits[0] <= LIMITS.initial, "{:?}", waits[0]);
        assert!(waits.iter().sum::<Duration>() <= LIMITS.give_up_after);
        assert_eq!(round.attempt() as usize, waits.len() + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_is_longer_than_its_round_has_lasted() {
        for _ in 0..200 {
            let mut round = Round::begin(LIMITS);
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(3) {
                let wait = round.next_wait(None).expect("within the round");
                assert!(wait <= began.elapsed().max(LIMITS.initial), "{wait:?}");
                tokio::time::advance(wait).await;
            }
        }
    }

    #[test]
    fn a_wait_outside_of_a_round_grows_and_is_capped() {
        for (tries, most) in [
            (0, 500),
            (1, 1_000),
            (3, 4_000),
            (9, 30_000),
            (1_000, 30_000),
        ] {
            let wait = wait(LIMITS, tries, None);
            assert!(wait <= Duration::from_millis(most), "{tries}: {wait:?}");
            assert!(wait >= LIMITS.initial / 10);
        }
        let asked = Duration::from_secs(7);
        assert!(wait(LIMITS, 0, Some(asked)) >= asked);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_a_floor_with_a_cap() {
        let limits = Limits {
            give_up_after: Duration::from_secs(86_400),
            ..LIMITS
        };
        let mut round = Round::begin(limits);
        let wait = round
            .next_wait(Some(Duration::from_secs(7)))
            .expect("within the round");
        assert!(
            wait >= Duration::from_secs(7) && wait <= Duration::from_secs(8),
            "{wait:?}"
        );
        let wait = round
            .next_wait(Some(Duration::from_secs(1_000_000)))
            .expect("within the round");
        assert!(wait <= LONGEST_RETRY_AFTER + LIMITS.initial, "{wait:?}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT").expect("a date");
        let parse = |text| parse_retry_after(text, now);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            parse("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(7))
        );
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("soon"), None);
    }

    #[test]
    fn statuses_have_a_class() {
        assert!(matches!(class_of_status(429, None), Class::Outage { .. }));
        assert!(matches!(class_of_status(503, None), Class::Outage { .. }));
        assert!(matches!(
            class_of_status(500, None),
            Class::Transient { .. }
        ));
        assert!(matches!(
            class_of_status(408, None),
            Class::Transient { .. }
        ));
        assert!(matches!(
            class_of_status(425, None),
            Class::Transient { .. }
        ));
        assert!(matches!(class_of_status(400, None), Class::Refused));
    }
}
