//! Remembers what a token's policies deny, or the server does not offer, so that it is not asked for each time.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::mounted::DENIED_FOR;
use super::token::Token;

/// What was denied, with the generation of the token and the time. It is forgotten after [`DENIED_FOR`], and with the
/// token.
#[derive(Default)]
pub(super) struct Denials(Mutex<HashMap<String, (u64, Instant)>>);

impl Denials {
    /// Returns `true` if this was denied to the token.
    pub fn has(&self, what: &str, token: &Token) -> bool {
        let mut all = self.0.lock();
        let denied = all.get(what).is_some_and(|(generation, at)| {
            *generation == token.generation && at.elapsed() < DENIED_FOR
        });
        if !denied {
            all.remove(what);
        }
        denied
    }

    /// Remembers a denial, from the first time on.
    pub fn add(&self, what: &str, token: &Token) {
        let mut all = self.0.lock();
        all.entry(what.to_owned())
            .or_insert_with(|| (token.generation, Instant::now()));
    }

    /// Forgets a denial.
    pub fn remove(&self, what: &str) {
        self.0.lock().remove(what);
    }
}
