//! What Flashback was asked to write, and what must hold of it where several processes write.

use chrono::{DateTime, TimeDelta, Utc};
use flashback_rotator::flashback::sandbox::{Entry, Operation, Sandbox, sha256_hex};

/// Of a look that was under way when its key was rotated, the value may be a little old: under load
/// this much.
const UNDER_WAY: TimeDelta = TimeDelta::seconds(10);

/// A write, as Flashback saw it.
#[derive(Clone, Debug)]
pub struct Write {
    pub name: String,
    /// The SHA-256 of its secret.
    pub secret: String,
    /// The process.
    pub writer: u32,
    pub from: DateTime<Utc>,
    /// When it was over; `None` while it is under way.
    pub to: Option<DateTime<Utc>>,
    /// It was carried out.
    pub done: bool,
}

/// A time in which a process could not know what it does: it was stopped, or what it sent was held
/// up on the way.
#[derive(Clone, Debug)]
pub struct Blackout {
    pub writer: u32,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Blackout {
    fn covers(&self, write: &Write) -> bool {
        // What was sent at the last moment arrives a little later.
        let ends = self.to + UNDER_WAY;
        self.writer == write.writer
            && write.from <= ends
            && write.to.is_none_or(|to| to >= self.from)
    }
}

/// A value that a key had in the store.
#[derive(Clone, Debug)]
pub struct Stored {
    pub name: String,
    pub secret: String,
    /// When it was there.
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

/// All there were, in the order in which they came.
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

/// The process that sent a request: `flashback-rotator/VERSION (HOST/PROCESS)`.
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

/// That no two processes were in one configuration at once. Gives how many times they were, where one
/// of them was in the dark.
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

/// That nobody begins to write a value that has been replaced in the store. Gives how many times
/// somebody did who was in the dark.
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

/// How often a value was written.
pub fn times(writes: &[Write], value: &str) -> usize {
    let digest = sha256_hex(value);
    let of_it = |write: &&Write| write.done && write.secret == digest;
    writes.iter().filter(of_it).count()
}
