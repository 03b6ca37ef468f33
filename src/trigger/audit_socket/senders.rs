//! The connections of audit devices.
//!
//! Whoever can connect can write records, so a record is believed for one check at most. A connection counts once it has
//! sent a record: a server sends one as soon as it connects, and what sends anything else is no audit device.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Notify;

use super::listener::Connection;
use crate::trigger::audit::{Engine, Record, Records, tell};
use crate::trigger::contract::{Ear, TriggerError};

/// The most connections that are read. Servers of a cluster have one each.
const MOST: usize = 64;

/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// The connections that are open.
pub(super) struct Senders<'a> {
    ear: &'a Ear,
    engine: &'a Engine,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// In the order in which they came.
    senders: Vec<Sender>,
    next: u64,
}

struct Sender {
    number: u64,
    /// `true` once it has sent a record.
    counts: bool,
    /// Ends the connection.
    end: Arc<Notify>,
}

impl<'a> Senders<'a> {
    pub fn new(ear: &'a Ear, engine: &'a Engine) -> Self {
        Self {
            ear,
            engine,
            open: Mutex::default(),
        }
    }

    /// Reads a connection until it ends.
    pub async fn read(&self, mut connection: Connection) {
        let (number, end) = self.enter();
        tokio::select! {
            () = self.read_records(number, &mut connection) => {}
            () = end.notified() => {}
        }
        self.leave(number);
    }

    async fn read_records(&self, number: u64, connection: &mut Connection) {
        let mut records = Records::from_the_start(self.engine.clone());
        let mut buffer = vec![0; PIECE];
        let mut counts = false;
        while let Ok(count @ 1..) = connection.read(&mut buffer).await {
            let piece = &mut buffer[..count];
            let taken = self.take(number, &mut counts, &mut records, piece);
            // With `log_raw` there are values in it.
            piece.fill(0);
            if taken.is_err() {
                break;
            }
        }
    }

    /// Takes what was read.
    fn take(
        &self,
        number: u64,
        counts: &mut bool,
        records: &mut Records,
        piece: &[u8],
    ) -> Result<(), TriggerError> {
        let mut is_device = true;
        records.take(piece, |record| {
            if !*counts {
                is_device &= !matches!(record, Record::Malformed | Record::TooLong);
                if !is_device {
                    return;
                }
                *counts = true;
                self.count(number);
            }
            tell(self.ear, record);
        })?;
        match is_device {
            true => Ok(()),
            false => Err(TriggerError("it sends no audit records".to_owned())),
        }
    }

    /// Adds a connection. The oldest one ends if there are too many, one that has sent nothing first: a server that is
    /// gone without a word is among those.
    fn enter(&self) -> (u64, Arc<Notify>) {
        let mut open = self.open.lock();
        if open.senders.len() >= MOST {
            let silent = open.senders.iter().position(|it| !it.counts);
            let surplus = open.senders.remove(silent.unwrap_or_default());
            surplus.end.notify_one();
            self.left(&open, &surplus);
        }
        let number = open.next;
        open.next += 1;
        let end = Arc::new(Notify::new());
        open.senders.push(Sender {
            number,
            counts: false,
            end: Arc::clone(&end),
        });
        (number, end)
    }

    /// Notes that a connection has sent a record. With the first one the changes are heard.
    fn count(&self, number: u64) {
        let mut open = self.open.lock();
        let is_first = !open.senders.iter().any(|it| it.counts);
        for sender in &mut open.senders {
            sender.counts |= sender.number == number;
        }
        if is_first {
            self.ear.up();
        }
    }

    /// Removes a connection that has ended.
    fn leave(&self, number: u64) {
        let mut open = self.open.lock();
        if let Some(at) = open.senders.iter().position(|it| it.number == number) {
            let sender = open.senders.remove(at);
            self.left(&open, &sender);
        }
    }

    /// Notes that a connection has ended. If it was the last one nothing is heard any more, and otherwise its server may
    /// have had something to say before it connects again.
    fn left(&self, open: &Open, sender: &Sender) {
        if !sender.counts {
            return;
        }
        match open.senders.iter().any(|it| it.counts) {
            true => self.ear.missed("an audit device has closed its connection"),
            false => self.ear.down("no audit device is connected"),
        }
    }
}

#[cfg(test)]
mod tests;
