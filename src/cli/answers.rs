//! What a daemon answers to a request, and what is said for it while it does not.

use std::time::Duration;

use humantime::format_duration;
use serde::Deserialize;

use super::end::{End, fail};
use crate::config::Config;
use crate::engine::report::KeyReport;
use crate::model::KeyId;
use crate::state::Request;

/// How much longer than a daemon was given its answer is waited for.
const ANSWER: Duration = Duration::from_secs(3);

/// What a daemon answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    /// The rows.
    Done {
        /// One for each key.
        keys: Vec<KeyReport>,
    },
    /// It cannot.
    Not {
        /// Why.
        error: String,
    },
}

/// The rows of a daemon's answer.
pub fn rows_of(answer: &str) -> Result<Vec<KeyReport>, End> {
    match serde_json::from_str(answer) {
        Ok(Answer::Done { keys }) => Ok(keys),
        Ok(Answer::Not { error }) => Err(fail(format!("the daemon: {error}"))),
        Err(_) => Err(fail(
            "the daemon's answer cannot be read: is it of another version?",
        )),
    }
}

/// The rows of a daemon's answer, one for each key that was asked for.
pub fn rows_for(answer: &str, config: &Config, asked: &[KeyId]) -> Result<Vec<KeyReport>, End> {
    let mut rows = rows_of(answer)?;
    let missing: Vec<_> = asked
        .iter()
        .filter(|key| !rows.iter().any(|row| row.key == **key))
        .collect();
    rows.extend(missing.into_iter().map(|key| {
        let unknown = "the daemon does not know it yet: it has not loaded this configuration";
        KeyReport::failed(key, &config.keys[key], unknown)
    }));
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(rows)
}

/// Returns how long an answer is waited for, where there is a limit: somewhat longer than those who are asked
/// were given.
pub fn patience(request: &Request) -> Option<Duration> {
    let within = request.answer_within()?;
    Some(within.saturating_add(ANSWER))
}

/// Returns the rows of keys that nobody has answered for in time.
pub fn unanswered(request: &Request, config: &Config, asked: &[KeyId]) -> Vec<KeyReport> {
    let within = request.answer_within().unwrap_or_default();
    let late = format!(
        "no answer within {}: the request waits in the state, and `status` shows what comes of it",
        format_duration(within)
    );
    let row = |key: &KeyId| KeyReport::failed(key, &config.keys[key], &late);
    asked.iter().map(row).collect()
}
