//! Limits how often the rotator signs in.
//!
//! Sign-ins whose token Flashback accepts are not limited, however soon the token expires. All others are few, as a
//! person's would be: a platform that sees the same account sign in hundreds of times a minute may lock it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::failpoint;

/// The window in which calls are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// The most calls in a window.
const MOST: usize = 6;
/// The most calls that may follow each other without a wait.
const AT_ONCE: usize = 3;
/// Each further call waits this part of the window after the last, so that a mistake that was corrected is
/// noticed soon.
const APART: u32 = 4;

/// Counts the calls of `POST /user/login` and `POST /user/refresh`, until a token that they gave has
/// been accepted. Those that were made because a token was refused before its time stay counted,
/// whatever becomes of the next token.
#[derive(Debug, Default)]
pub(super) struct Pace {
    calls: VecDeque<Call>,
    after_refusal: bool,
}

#[derive(Debug)]
struct Call {
    at: Instant,
    after_refusal: bool,
    proven: bool,
}

impl Pace {
    /// Returns how long no call may be made from `now` on; `None` if one may.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        let window = failpoint::interval("FLASHBACK_ROTATOR_SIGN_IN_WINDOW_MS", WINDOW);
        while self
            .calls
            .front()
            .is_some_and(|call| call.at + window <= now)
        {
            self.calls.pop_front();
        }
        let mut until = now;
        if self.calls.len() >= MOST {
            until = self.calls[self.calls.len() - MOST].at + window;
        }
        let unproven = self.calls.iter().filter(|call| !call.proven);
        if let Some(last) = self.calls.back()
            && unproven.count() >= AT_ONCE
        {
            until = until.max(last.at + window / APART);
        }
        (until > now).then(|| until - now)
    }

    /// Notes that a call is being made.
    pub fn called(&mut self, now: Instant) {
        self.calls.push_back(Call {
            at: now,
            after_refusal: self.after_refusal,
            proven: false,
        });
    }

    /// Notes that the last call did not get a connection, and so does not count.
    pub fn not_connected(&mut self) {
        self.calls.pop_back();
    }

    /// Notes that a token was refused.
    pub fn refused(&mut self) {
        self.after_refusal = true;
    }

    /// Notes that the newest token was accepted.
    pub fn accepted(&mut self) {
        self.after_refusal = false;
        self.calls.retain(|call| call.after_refusal);
        for call in &mut self.calls {
            call.proven = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a call whenever it may, for ten minutes, and returns when each was made.
    fn eager(mut after: impl FnMut(&mut Pace)) -> Vec<u64> {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut made = Vec::new();
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            for _ in 0..100 {
                if pace.wait(now).is_none() {
                    pace.called(now);
                    made.push(second);
                    after(&mut pace);
                }
            }
        }
        made
    }

    fn most_in_a_minute(made: &[u64]) -> usize {
        let within = |from: u64| {
            made.iter()
                .filter(move |at| (from..from + 60).contains(*at))
        };
        (0..600).map(|from| within(from).count()).max().unwrap_or(0)
    }

    #[test]
    fn allows_six_a_minute_while_no_token_is_accepted() {
        let made = eager(|_| {});
        assert_eq!(made[..7], [0, 0, 0, 15, 30, 45, 60]);
        assert_eq!(most_in_a_minute(&made), MOST);
    }

    #[test]
    fn does_not_limit_sign_ins_whose_token_is_accepted() {
        assert_eq!(eager(Pace::accepted).len(), 60_000);
    }

    #[test]
    fn allows_six_a_minute_where_each_token_is_accepted_and_then_refused() {
        let made = eager(|pace| {
            pace.accepted();
            pace.refused();
        });
        assert_eq!(
            most_in_a_minute(&made),
            MOST + 1,
            "the first had another reason"
        );
    }

    #[test]
    fn does_not_count_what_did_not_connect() {
        assert_eq!(eager(Pace::not_connected).len(), 60_000);
    }
}
