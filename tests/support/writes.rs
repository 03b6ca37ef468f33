//! The writes that Flashback received, and the invariants for several processes that write.

use chrono::{DateTime, TimeDelta, Utc};
use flashback_rotator::flashback::sandbox::{Entry, Operation, Sandbox, sha256_hex};

/// The time for which a value may be written after it was replaced, because a reconcile run was under way
/// when the key was rotated, on a machine under load.
const UNDER_WAY: TimeDelta = TimeDelta::seconds(10);

/// A write, as Flashback received it.
#[derive(Clone, Debug)]
pub struct Write {
    pub name: String,
    /// The SHA-256 of its secret.
    pub secret: String,
    /// The id of the process.
    pub writer: u32,
    pub from: DateTime<Utc>,
    /// The time at which it ended; `None` while it is under way.
    pub to: Option<DateTime<Utc>>,
    /// `true` if it was carried out.
    pub done: bool,
}

/// A time in which a process was stopped, or its requests were delayed on their way, so that it could not
/// know whether it may write.
#[derive(Clone, Debug)]
pub struct Blackout {
    pub writer: u32,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Blackout {
    fn covers(&self, write: &Write) -> bool {
        // A request sent at the last moment arrives a little later.
        let ends = self.to + UNDER_WAY;
        self.writer == write.writer
            && write.from <= ends
            && write.to.is_none_or(|to| to >= self.from)
    }
}

/// A value that a key had in the source.
#[derive(Clone, Debug)]
pub struct Stored {
    pub name: String,
    pub secret: String,
    /// The time at which it was written to the source.
    pub at: DateTime<Utc>,
}

impl Stored {
    pub fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            secret: sha256_hex(value),
            at: Utc::now(),
        }
    }
}

/// Returns all writes, in the order of their arrival.
pub fn writes(sandbox: &Sandbox) -> Vec<Write> {
    let journal = sandbox.journal();
    let is_write =
        |entry: &&Entry| matches!(entry.operation, Operation::Create | Operation::Update);
    let write = |entry: &Entry| Write {
        name: entry.name.clone().expect("a name"),
        secret: entry.secret_sha256.clone().expect("a secret"),
        writer: writer(entry),
        from: entry.at,
        to: entry.ended_at,
        done: entry.status.is_some_and(|status| status < 300),
    };
    journal.iter().filter(is_write).map(write).collect()
}

/// Returns the process that sent a request, from its user agent `flashback-rotator/VERSION (HOST/PROCESS)`.
fn writer(entry: &Entry) -> u32 {
    let agent = entry.user_agent.as_deref().unwrap_or_default();
    let number = agent
        .rsplit('/')
        .next()
        .and_then(|rest| rest.strip_suffix(')'));
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("it says who it is: {entry:?}"))
}

/// Checks that no two processes wrote to one configuration at once. Returns how often that happened with one
/// of them in a blackout.
pub fn one_at_a_time(writes: &[Write], blackouts: &[Blackout]) -> usize {
    let mut excused = 0;
    for (index, one) in writes.iter().enumerate() {
        for other in &writes[index + 1..] {
            let apart = one.name != other.name
                || one.writer == other.writer
                || one.to.is_some_and(|to| to <= other.from);
            if apart {
                continue;
            }
            let excuse = blackouts
                .iter()
                .any(|dark| dark.covers(one) || dark.covers(other));
            assert!(excuse, "two at once:\n{one:?}\n{other:?}");
            excused += 1;
        }
    }
    excused
}

/// Checks that no process begins to write a value that has been replaced in the source. Returns how often a
/// process in a blackout did.
pub fn nothing_outdated(writes: &[Write], stored: &[Stored], blackouts: &[Blackout]) -> usize {
    let mut excused = 0;
    for write in writes {
        let values = stored.iter().filter(|value| value.name == write.name);
        let replaced = values
            .skip_while(|value| value.secret != write.secret)
            .nth(1);
        if replaced.is_none_or(|next| write.from <= next.at + UNDER_WAY) {
            continue;
        }
        let excuse = blackouts.iter().any(|dark| dark.covers(write));
        assert!(excuse, "outdated: {write:?}, replaced by {replaced:?}");
        excused += 1;
    }
    excused
}

/// Returns how often a value was written.
pub fn times(writes: &[Write], value: &str) -> usize {
    let digest = sha256_hex(value);
    let of_it = |write: &&Write| write.done && write.secret == digest;
    writes.iter().filter(of_it).count()
}
