//! The answers of a daemon to requests, and the reports that are shown if there is none.

use std::time::Duration;

use humantime::format_duration;
use serde::Deserialize;

use super::end::{End, fail};
use crate::config::Config;
use crate::engine::report::KeyReport;
use crate::model::KeyId;
use crate::state::Request;

/// The additional time for which the command waits for the answer after the daemon's time is over.
const ANSWER: Duration = Duration::from_secs(3);

/// The answer of a daemon.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    /// The request was carried out.
    Done {
        /// A report for each key.
        keys: Vec<KeyReport>,
    },
    /// The request could not be carried out.
    Not {
        /// The reason.
        error: String,
    },
}

/// Returns the reports in a daemon's answer.
pub fn rows_of(answer: &str) -> Result<Vec<KeyReport>, End> {
    match serde_json::from_str(answer) {
        Ok(Answer::Done { keys }) => Ok(keys),
        Ok(Answer::Not { error }) => Err(fail(format!("the daemon: {error}"))),
        Err(_) => Err(fail(
            "the daemon's answer cannot be read: is it of another version?",
        )),
    }
}

/// Returns the reports in a daemon's answer, one for each key that was asked for.
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

/// Returns how long to wait for an answer, if there is a limit: somewhat longer than the daemon was given.
pub fn patience(request: &Request) -> Option<Duration> {
    let within = request.answer_within()?;
    Some(within.saturating_add(ANSWER))
}

/// Returns reports for the keys of a request that was not answered in time.
pub fn unanswered(request: &Request, config: &Config, asked: &[KeyId]) -> Vec<KeyReport> {
    let within = request.answer_within().unwrap_or_default();
    let late = format!(
        "no answer within {}: the request waits in the state, and `status` shows what comes of it",
        format_duration(within)
    );
    let row = |key: &KeyId| KeyReport::failed(key, &config.keys[key], &late);
    asked.iter().map(row).collect()
}
