//! OpenBao's audit log: every request, with its time and its sender.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// A request for a secret's metadata, named as in the daemon's metrics.
pub const METADATA: &str = "read_metadata";

pub struct Audit {
    path: PathBuf,
}

/// A request in the audit log.
pub struct Call {
    pub at: DateTime<Utc>,
    pub operation: String,
    /// The policy of its token other than `default`; for a sign-in, the mount of the auth method.
    pub who: String,
}

impl Audit {
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the present end of the log.
    pub fn mark(&self) -> u64 {
        self.path.metadata().expect("an audit log").len()
    }

    /// Empties the log, which would grow by gigabytes. OpenBao continues at the new end.
    pub fn clear(&self) {
        let file = std::fs::File::options().write(true).open(&self.path);
        file.and_then(|file| file.set_len(0)).expect("an audit log");
    }

    /// Returns the requests after a mark, in the order of their arrival.
    pub fn since(&self, mark: u64) -> Vec<Call> {
        let mut file = std::fs::File::open(&self.path).expect("an audit log");
        file.seek(SeekFrom::Start(mark)).expect("the mark");
        let mut lines = BufReader::new(file);
        let mut calls = Vec::new();
        let mut line = String::new();
        while lines.read_line(&mut line).expect("an audit log") > 0 {
            // A line without an end is still being written.
            if line.ends_with('\n') {
                calls.extend(call(&line));
            }
            line.clear();
        }
        calls.sort_by_key(|call| call.at);
        calls
    }
}

/// Parses a line. A request has two lines, one when it arrives and one when it is answered; only the first
/// counts.
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
    let policies = line["auth"]["policies"].as_array();
    let mut policies = policies.into_iter().flatten().filter_map(Value::as_str);
    let mounted = path
        .strip_prefix("auth/")
        .and_then(|rest| rest.split('/').next());
    let who = policies.find(|policy| *policy != "default").or(mounted);
    let time = line["time"].as_str().expect("a time");
    Some(Call {
        at: time.parse().expect("a time"),
        operation: operation.to_owned(),
        who: who.unwrap_or_default().to_owned(),
    })
}

/// Returns the largest number of these moments, which are in order, that fall into any span of length
/// `stretch`.
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
