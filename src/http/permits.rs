//! A limit on connections that leaves enough file descriptors for the work and always admits a new
//! connection.
//!
//! When all permits are taken, the connection that has sent no request for longest is closed. So a client
//! that sends a request is served however many others connect and stay silent, send a head slowly or do not
//! read their answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The most connections at once.
const MOST: u64 = 256;

/// The divisor of the process's limit on file descriptors: connections may use one in four.
const SHARE: u64 = 4;

pub(super) struct ConnectionLimit {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

/// The open connections, by the order of their latest request; the one idle for longest comes first.
#[derive(Default)]
struct Taken {
    next: u64,
    closing: BTreeMap<u64, CancellationToken>,
}

impl ConnectionLimit {
    /// Returns a limit as high as the process's limit on file descriptors allows.
    pub fn new() -> Arc<Self> {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = (descriptors / SHARE).clamp(1, MOST);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(1))),
            taken: Mutex::default(),
        })
    }

    /// Takes a permit for a new connection, for which another connection may be closed.
    pub async fn take(self: &Arc<Self>) -> Permit {
        let free = Arc::clone(&self.free);
        if free.available_permits() == 0 {
            self.close_one();
        }
        let permit = free.acquire_owned().await.expect("never closed");
        let closing = CancellationToken::new();
        let number = Mutex::new(self.taken.lock().add(closing.clone()));
        Permit {
            permits: Arc::clone(self),
            number,
            closing,
            _permit: permit,
        }
    }

    /// Closes the connection that has sent no request for longest.
    pub fn close_one(&self) {
        if let Some((_, closing)) = self.taken.lock().closing.pop_first() {
            closing.cancel();
        }
    }
}

impl Taken {
    fn add(&mut self, closing: CancellationToken) -> u64 {
        self.next += 1;
        self.closing.insert(self.next, closing);
        self.next
    }
}

/// The permit of one connection, returned when this is dropped.
pub(super) struct Permit {
    permits: Arc<ConnectionLimit>,
    number: Mutex<u64>,
    closing: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Permit {
    /// Records that the client has sent a request.
    pub fn heard(&self) {
        let mut number = self.number.lock();
        let mut taken = self.permits.taken.lock();
        if let Some(closing) = taken.closing.remove(&number) {
            *number = taken.add(closing);
        }
    }

    /// Waits until this connection is to be closed in favor of another.
    pub async fn needed(&self) {
        self.closing.cancelled().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let number = *self.number.lock();
        self.permits.taken.lock().closing.remove(&number);
    }
}
