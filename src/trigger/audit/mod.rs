//! What an audit device of OpenBao or Vault writes, as changes of one KV engine.
//!
//! Each request to the server makes two records, a JSON object on a line: one before it is carried out (`request`), and
//! one after (`response`), before the client is answered. So a change that is heard is there to be read. Values and
//! tokens in them are HMACs; paths, version numbers and times are in clear
//! (<https://openbao.org/docs/audit/>, <https://developer.hashicorp.com/vault/docs/audit>).
//!
//! - `lines`: splits what is read into lines of bounded length
//! - `engine`: the KV engine of a source, and what a path in a record means for it
//! - `record`: reads one record

mod engine;
mod lines;
mod record;

use self::lines::{Line, Lines};
use self::record::record;
use crate::trigger::contract::{Ear, TriggerError};

pub use self::engine::Engine;
pub use self::lines::LONGEST;
pub use self::record::Record;

/// The records of one file or connection, in the order of their bytes.
#[derive(Debug)]
pub struct Records {
    engine: Engine,
    lines: Lines,
}

impl Records {
    /// Returns the records of bytes that begin with one.
    pub fn from_the_start(engine: Engine) -> Self {
        let lines = Lines::default();
        Self { engine, lines }
    }

    /// Returns the records of bytes that begin in the middle of one, which is passed over.
    pub fn from_within(engine: Engine) -> Self {
        let lines = Lines::from_within();
        Self { engine, lines }
    }

    /// Starts over with bytes that begin with a record. Returns `true` if the one before is not complete.
    pub fn restart(&mut self) -> bool {
        self.lines.restart()
    }

    /// Takes the next bytes, and gives each record that is complete to `each`.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if the device writes something else than JSON.
    pub fn take(&mut self, bytes: &[u8], mut each: impl FnMut(Record)) -> Result<(), TriggerError> {
        let mut is_xml = false;
        let engine = &self.engine;
        self.lines.take(bytes, |line| match line {
            Line::TooLong => each(Record::TooLong),
            Line::Whole(line) if line.starts_with(b"<json:") => is_xml = true,
            Line::Whole(line) => each(record(line, engine)),
        });
        if is_xml {
            let why = "the audit device writes JSONx: set its option `format` to `json`";
            return Err(TriggerError(why.to_owned()));
        }
        Ok(())
    }
}

/// Tells the ear of a record. One that cannot be read may have been a change.
pub fn tell(ear: &Ear, record: Record) {
    match record {
        Record::Request => {}
        Record::Other => ear.passed_over("ignored"),
        Record::Change(heard) => ear.heard(heard),
        Record::Everything(why) => ear.missed(why),
        Record::TooLong => {
            ear.passed_over("malformed");
            ear.missed("an audit record was too long to be read");
        }
        Record::Malformed => {
            ear.passed_over("malformed");
            ear.missed("an audit record could not be read");
        }
    }
}
