//! Whether a KV 2 version is deleted.
//!
//! Metadata do not say: a version carries a `deletion_time` when it was deleted and, with `delete_version_after`, when it
//! will be. Which of the two it is depends on the server's clock, and this machine's may be wrong. So the server is asked
//! for the version: it gives the data, or a 404. The answer is remembered for a while, as long as the
//! `deletion_time` is the same.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use vaultrs::api::kv2::responses::SecretMetadata;

use super::keeper::Keeper;
use super::kv::{Engine, Found, time};
use super::token::Token;
use crate::model::Missing;
use crate::source::contract::SourceError;

/// How long an answer is good for.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// What the server has said of the versions that carry a `deletion_time`, by path.
#[derive(Default)]
pub(super) struct Deletions(Mutex<HashMap<String, Answered>>);

struct Answered {
    number: u64,
    deletion_time: String,
    missing: Option<Missing>,
    at: Instant,
}

impl Engine {
    /// Returns why the version with this number is not there; `None` where it is.
    pub async fn missing(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
        number: u64,
        version: &SecretMetadata,
    ) -> Result<Option<Missing>, SourceError> {
        if version.destroyed {
            return Ok(Some(Missing::Destroyed));
        }
        if version.deletion_time.is_empty() {
            self.deletions().remove(path);
            return Ok(None);
        }
        time(&version.deletion_time)?;
        if let Some(known) = self.deletions().get(path)
            && known.number == number
            && known.deletion_time == version.deletion_time
            && known.at.elapsed() < GOOD_FOR
        {
            return Ok(known.missing);
        }
        let at = Instant::now();
        let missing = match self.find_version(keeper, token, path, number).await? {
            Found::Version(found) => found.data().err(),
            Found::Nothing(missing) => Some(missing),
        };
        let answered = Answered {
            number,
            deletion_time: version.deletion_time.clone(),
            missing,
            at,
        };
        self.deletions().insert(path.to_owned(), answered);
        Ok(missing)
    }

    fn deletions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Answered>> {
        let deletions = self.deletions.0.lock();
        deletions.unwrap_or_else(PoisonError::into_inner)
    }
}
