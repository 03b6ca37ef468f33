//! Finds out if a KV 2 version is deleted.
//!
//! Metadata do not say: a version carries a `deletion_time` when it was deleted and, with `delete_version_after`, when it
//! will be. Which of the two it is depends on the server's clock, and this machine's may be wrong. So the server is asked
//! for the version: it gives the data, or a 404. The answer is remembered for a while, as long as the
//! `deletion_time` is the same.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use vaultrs::api::kv2::responses::SecretMetadata;

use super::entry::{Found, time};
use crate::model::Missing;
use crate::source::contract::SourceError;

/// The time for which an answer is remembered.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// The server's answers about versions with a `deletion_time`, by path.
#[derive(Default)]
pub(super) struct Deletions(Mutex<HashMap<String, Answered>>);

struct Answered {
    number: u64,
    deletion_time: String,
    missing: Option<Missing>,
    at: Instant,
}

impl Deletions {
    /// Returns why the version with this number is missing; `None` if it is not. `ask` requests the version from the
    /// server, and is not polled if the answer is known.
    pub(super) async fn missing(
        &self,
        path: &str,
        number: u64,
        version: &SecretMetadata,
        ask: impl Future<Output = Result<Found, SourceError>>,
    ) -> Result<Option<Missing>, SourceError> {
        if version.destroyed {
            return Ok(Some(Missing::Destroyed));
        }
        if version.deletion_time.is_empty() {
            self.0.lock().remove(path);
            return Ok(None);
        }
        time(&version.deletion_time)?;
        if let Some(known) = self.0.lock().get(path)
            && known.number == number
            && known.deletion_time == version.deletion_time
            && known.at.elapsed() < GOOD_FOR
        {
            return Ok(known.missing);
        }
        let at = Instant::now();
        let missing = match ask.await? {
            Found::Version(found) => found.data().err(),
            Found::Nothing(missing) => Some(missing),
        };
        let answered = Answered {
            number,
            deletion_time: version.deletion_time.clone(),
            missing,
            at,
        };
        self.0.lock().insert(path.to_owned(), answered);
        Ok(missing)
    }
}
