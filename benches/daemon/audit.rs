//! What OpenBao wrote into its audit log: every request, with its time.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// A request for a secret's metadata, by the name the daemon's metrics give it.
pub const METADATA: &str = "read_metadata";

pub struct Audit {
    path: PathBuf,
}

/// One request.
pub struct Call {
    pub at: DateTime<Utc>,
    pub operation: String,
}

impl Audit {
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where the log ends now.
    pub fn mark(&self) -> u64 {
        self.path.metadata().expect("an audit log").len()
    }

    /// The requests after a mark, in the order in which they came.
    pub fn since(&self, mark: u64) -> Vec<Call> {
        let mut file = std::fs::File::open(&self.path).expect("an audit log");
        file.seek(SeekFrom::Start(mark)).expect("the mark");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("an audit log");
        // A line that is being written has no end yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut calls: Vec<Call> = whole.lines().filter_map(call).collect();
        calls.sort_by_key(|call| call.at);
        calls
    }
}

/// A request has two lines, one when it comes and one when it is answered.
fn call(line: &str) -> Option<Call> {
    let line: Value = serde_json::from_str(line).expect("JSON");
    if line["type"] != "request" {
        return None;
    }
    let path = line["request"]["path"].as_str().expect("a path");
    let operation = match path.split('/').collect::<Vec<_>>()[..] {
        ["secret", "metadata", ..] => METADATA,
        ["secret", "data", ..] => "read_data",
        ["auth", .., "login"] => "login",
        _ => path,
    };
    let time = line["time"].as_str().expect("a time");
    Some(Call {
        at: time.parse().expect("a time"),
        operation: operation.to_owned(),
    })
}

/// The most of these moments, in their order, that fall into any stretch of time so long.
pub fn most_within(moments: &[DateTime<Utc>], stretch: TimeDelta) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (index, moment) in moments.iter().enumerate() {
        while *moment - moments[first] >= stretch {
            first += 1;
        }
        most = most.max(index - first + 1);
    }
    most
}
