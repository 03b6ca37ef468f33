//! Standard error of the daemon, written by a thread of its own.
//!
//! Standard error may be a pipe that is not read, a terminal that was halted, or a file on a full disk.
//! Logging must not wait for it: a line goes into a queue of limited size, and one that does not fit is
//! dropped and counted. So is one that could not be written.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;

/// The number of bytes that may wait to be written. At most as many again are being written.
const QUEUE: usize = 1 << 20;

/// The number of bytes of memory that an empty queue keeps.
const KEPT: usize = 16 << 10;

/// The time limit for writing the last lines. A pipe that is not read must not hold up the exit.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The wait before a descriptor that accepts nothing at the moment (`O_NONBLOCK`) is tried again.
const NOT_NOW: Duration = Duration::from_millis(20);

/// The number of dropped lines in this process. It is registered with the other metrics.
pub static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Accepts whole lines, each with one call of `write`, and never waits.
#[derive(Clone)]
pub struct LogWriter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    /// `true` if the lines that were taken out last are still being written.
    writing: bool,
    /// The number of lines that were dropped since the log last reported it.
    unreported: u64,
}

impl LogWriter {
    /// Starts the thread that writes to standard error.
    ///
    /// # Errors
    /// Returns an error if there is no thread or file descriptor left.
    pub fn to_stderr() -> io::Result<Self> {
        // `std::io::stderr` is not used: its lock would be held while the thread is blocked.
        let descriptor = io::stderr().as_fd().try_clone_to_owned()?;
        Self::to(File::from(descriptor))
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writer = Self(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || shared.write_to(out))?;
        Ok(writer)
    }

    /// Waits until everything is written, for at most `limit`.
    fn flush_within(&self, limit: Duration) {
        let mut queue = self.0.queue.lock();
        let pending = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        let changed = &self.0.changed;
        changed.wait_while_for(&mut queue, pending, limit);
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.0.queue.lock();
        if queue.lines.len() + line.len() > QUEUE {
            queue.dropped(1);
        } else {
            let waits = queue.lines.is_empty() && !queue.writing;
            queue.lines.extend_from_slice(line);
            drop(queue);
            // A thread that is at work finds the line by itself, and waking it costs a system call.
            if waits {
                self.0.changed.notify_all();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the last lines on drop, if that is possible in a short time.
pub struct LastLines(pub LogWriter);

impl Drop for LastLines {
    fn drop(&mut self) {
        self.0.flush_within(LAST_LINES);
    }
}

impl Shared {
    fn write_to(&self, out: impl Write) {
        let mut out = Lines { out, torn: false };
        let mut lines = Vec::new();
        loop {
            self.take(&mut lines);
            let lost = out.put(&lines);
            let mut queue = self.queue.lock();
            queue.dropped(lost);
            // This is reported only after a successful write and where there is room: otherwise the report
            // would be dropped next.
            let tell = lost == 0 && queue.lines.len() < QUEUE / 2;
            let dropped = if tell {
                std::mem::take(&mut queue.unreported)
            } else {
                0
            };
            drop(queue);
            if dropped > 0 {
                tracing::warn!(
                    dropped,
                    "log lines were dropped: standard error did not take them in time"
                );
            }
        }
    }

    /// Waits for lines and takes all of them.
    fn take(&self, lines: &mut Vec<u8>) {
        lines.clear();
        lines.shrink_to(KEPT);
        let mut queue = self.queue.lock();
        queue.writing = false;
        self.changed.notify_all();
        let is_empty = |queue: &mut Queue| queue.lines.is_empty();
        self.changed.wait_while(&mut queue, is_empty);
        std::mem::swap(lines, &mut queue.lines);
        queue.writing = true;
    }
}

impl Queue {
    fn dropped(&mut self, lines: u64) {
        self.unreported += lines;
        DROPPED.inc_by(lines);
    }
}

/// Writes lines, and starts a new line if the last one was cut short.
struct Lines<W> {
    out: W,
    torn: bool,
}

impl<W: Write> Lines<W> {
    /// Writes lines and returns how many of them could not be written.
    fn put(&mut self, lines: &[u8]) -> u64 {
        if self.torn && self.put_all(b"\n").is_ok() {
            self.torn = false;
        }
        let Err(left) = self.put_all(lines) else {
            return 0;
        };
        let (written, left) = lines.split_at(lines.len() - left);
        self.torn |= written.last().is_some_and(|last| *last != b'\n');
        left.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// Returns the number of bytes that are left.
    fn put_all(&mut self, mut bytes: &[u8]) -> Result<(), usize> {
        while !bytes.is_empty() {
            match self.out.write(bytes) {
                Ok(0) => return Err(bytes.len()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(NOT_NOW),
                Err(_) => return Err(bytes.len()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn takes_lines_that_nobody_reads_and_drops_what_is_too_much() {
        let (mut reader, pipe) = io::pipe().expect("a pipe");
        let mut writer = LogWriter::to(pipe).expect("a thread");
        let line = |number: u32| format!("{number:0>1023}\n");
        for number in 0..10_000 {
            writer.write_all(line(number).as_bytes()).expect("taken");
        }
        writer.flush_within(Duration::from_millis(1));
        let unreported = writer.0.queue.lock().unreported;
        assert!((7_000..9_500).contains(&unreported), "{unreported}");

        let kept = 10_000 - u32::try_from(unreported).expect("few");
        let mut read = vec![0; 1024 * kept as usize];
        reader.read_exact(&mut read).expect("what was kept");
        let mut last = None;
        for kept in read.chunks(1024) {
            let text = std::str::from_utf8(kept).expect("text");
            let number: u32 = text.trim_end().parse().expect("a whole line");
            assert!(
                text == line(number) && last < Some(number),
                "whole lines, in order"
            );
            last = Some(number);
        }
    }

    /// A disk with room for so many more bytes.
    struct Disk {
        free: usize,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.free);
            if length == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.free -= length;
            let mut written = self.written.lock();
            written.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn counts_what_a_full_disk_does_not_take_and_begins_a_line_anew() {
        let written = Arc::default();
        let mut lines = Lines {
            out: Disk {
                free: 7,
                written: Arc::clone(&written),
            },
            torn: false,
        };
        assert_eq!(lines.put(b"one\ntwo two\nthree\n"), 2);
        assert_eq!(lines.put(b"four\n"), 1);
        lines.out.free = 100;
        assert_eq!(lines.put(b"five\n"), 0);
        assert_eq!(lines.put(b"six\n"), 0);
        let written = written.lock();
        assert_eq!(String::from_utf8_lossy(&written), "one\ntwo\nfive\nsix\n");
    }
}
