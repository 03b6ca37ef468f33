//! The lifetime of a token, and when to renew or replace it.

use std::time::Duration;

use tokio::time::Instant;

/// The longest wait after a renewal that failed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The time for which a token from a file or the environment is used before it is fetched again, because it
/// may have been replaced there.
const FETCHED_AGAIN: Duration = Duration::from_secs(5);

/// The lifetime of a token.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The lifetime that was granted at first, which each renewal requests again; `None` if the token never
    /// expires.
    full: Option<Duration>,
    ends: Option<Instant>,
    due: Option<Instant>,
    renewable: bool,
}

impl Lease {
    /// Creates the lease of a token that was requested at `from` and lives for `full`, or forever.
    pub fn new(from: Instant, full: Option<Duration>, renewable: bool) -> Self {
        let ends = full.and_then(|life| from.checked_add(life));
        Self {
            full,
            ends,
            due: ends.map(|_| from + two_thirds(full.unwrap_or_default())),
            renewable,
        }
    }

    /// Creates the lease of a token that was made elsewhere and whose end is not known.
    pub fn unknown(from: Instant) -> Self {
        Self {
            full: None,
            ends: None,
            due: Some(from + FETCHED_AGAIN),
            renewable: false,
        }
    }

    /// Creates the lease of a token that was made elsewhere, with a lifetime of `first`, and has `left` to
    /// live. Renewals request the lifetime that it had at first.
    pub fn adopted(
        from: Instant,
        left: Option<Duration>,
        first: Duration,
        renewable: bool,
    ) -> Self {
        let lease = Self::new(from, left, renewable);
        let full = lease.full.map(|left| left.max(first));
        Self { full, ..lease }
    }

    /// Returns the lease after a renewal that granted `life`, or `None` if it granted nothing. If it granted
    /// less than was requested, the token will soon not be renewed any more and must be replaced next.
    pub fn renewed(&self, from: Instant, life: Option<Duration>, renewable: bool) -> Option<Self> {
        let (full, life) = (self.full?, life?);
        let given = Self::new(from, Some(life), renewable);
        Some(Self {
            full: self.full,
            renewable: renewable && life >= full,
            ..given
        })
    }

    /// Returns the lease after a failed attempt. The next one is due after a quarter of the remaining time,
    /// but not before `quiet` is over. Nothing is due for a token that has expired: the next caller signs in.
    pub fn postponed(&self, quiet: Duration, now: Instant) -> Self {
        let left = self.ends.map_or(4 * FETCHED_AGAIN, |ends| {
            ends.saturating_duration_since(now)
        });
        let shortest = Duration::from_secs(1);
        let wait = (left / 4).clamp(shortest, LONGEST_WAIT).max(quiet);
        let wait = wait.mul_f64(1.0 + rand::random::<f64>() / 10.0);
        Self {
            due: self.lives(now).then(|| now + wait),
            ..*self
        }
    }

    /// Returns the lifetime that a renewal requests, or `None` if the token cannot be renewed.
    pub fn increment(&self) -> Option<Duration> {
        self.full.filter(|_| self.renewable)
    }

    /// Returns the lifetime that was granted at first.
    pub fn full(&self) -> Option<Duration> {
        self.full
    }

    /// Returns the time at which to renew or replace the token.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns `true` if the token must be renewed or replaced now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Returns `true` if the token has not expired.
    pub fn lives(&self, now: Instant) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }
}

/// Returns around two thirds of a lifetime, at random, so that daemons that started together do not renew
/// together.
fn two_thirds(life: Duration) -> Duration {
    life.mul_f64(0.60 + rand::random::<f64>() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_token_is_due_around_two_thirds_of_its_lease_and_valid_to_its_end() {
        let now = Instant::now();
        let lease = Lease::new(now, Some(HOUR), true);
        let due = lease.due().expect("due") - now;
        assert!(due >= Duration::from_secs(2160) && due < Duration::from_secs(2520));
        assert!(lease.lives(now + HOUR - SECOND));
        assert!(!lease.lives(now + HOUR));
        let forever = Lease::new(now, None, false);
        assert!(
            forever.due().is_none() && forever.lives(now + Duration::from_secs(u64::MAX >> 20))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_renewal_is_the_last() {
        let now = Instant::now();
        let lease = Lease::new(now, Some(HOUR), true);
        let again = lease.renewed(now, Some(HOUR), true).expect("renewed");
        assert_eq!(again.increment(), Some(HOUR));
        let last = again
            .renewed(now, Some(HOUR - SECOND), true)
            .expect("renewed");
        assert_eq!(last.increment(), None, "a new token is next");
        assert!(last.due().is_some());
        assert!(again.renewed(now, None, true).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_attempt_is_repeated_until_the_end() {
        let now = Instant::now();
        let mut lease = Lease::new(now, Some(HOUR), true);
        let mut at = lease.due().expect("due");
        let mut tries = 0;
        loop {
            lease = lease.postponed(Duration::from_secs(5), at);
            let Some(next) = lease.due() else { break };
            assert!(next >= at + Duration::from_secs(5) && next <= at + Duration::from_secs(66));
            at = next;
            tries += 1;
        }
        assert!(tries >= 15, "{tries}");
        assert!(!lease.lives(at));
    }
}
