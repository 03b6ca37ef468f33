//! The changes that one replica has heard of, and that another one is to check.
//!
//! A wakeup says *check this key now*, as an event of its source does. The replica that hears of a change leaves it here
//! for the one that has leased the key. Every implementation keeps this contract:
//!
//! - **It cannot be lost.** A wakeup is durable when [`Wakeups::hand_on`] returns, and stays until a replica says under
//!   the lease it read it under that the check is [`done`](Wakeups::done). If the replica loses the key before that, the
//!   next one finds the wakeup.
//! - **One for each key.** A newer wakeup takes the place of the one that is there, under a new number. What is done is
//!   the number that was seen, so the newer one stays.
//! - **Being told is a hint.** [`Wakeups::listen`] makes a wakeup known within milliseconds where it can. Whoever must
//!   not miss one asks from time to time, too.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::StateError;
use crate::model::{FencingToken, KeyId, Version};

/// A key to be checked, with what was heard of the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wakeup {
    /// The key.
    pub key: KeyId,
    /// The version that the secret has now, where it was told.
    pub version: Option<Version>,
    /// What to send along with the read, so that it is not answered from an older state of the source.
    pub index: Option<String>,
    /// The time of the change according to the source.
    pub at: Option<DateTime<Utc>>,
}

impl Wakeup {
    /// Returns `true` if the source says that `other` is of an earlier change. Of two without a time, neither is.
    pub fn is_after(&self, other: &Self) -> bool {
        matches!((self.at, other.at), (Some(at), Some(other)) if at > other)
    }
}

/// A wakeup as this process has read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The number of the wakeup. No other has the same.
    pub number: i64,
    /// The fencing token of the lease on the key at that time.
    pub fencing_token: FencingToken,
}

/// A state through which replicas wake each other's keys.
#[async_trait]
pub trait Wakeups: Send + Sync {
    /// Leaves wakeups for the replicas that have leased the keys, or will. Of two for one key, the one of the later
    /// change says what was heard of it. Durable when it returns.
    ///
    /// # Errors
    /// Returns [`StateError`]. The wakeups may have been left; doing it again does no harm.
    async fn hand_on(&self, wakeups: &[Wakeup]) -> Result<(), StateError>;

    /// Returns up to `most` wakeups of the keys that this process has leased, the oldest first, without those it has in
    /// hand; none while it is no replica.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn pending(
        &self,
        in_hand: &[Receipt],
        most: u32,
    ) -> Result<Vec<(Wakeup, Receipt)>, StateError>;

    /// Removes wakeups whose checks have ended. One that came since stays, and so does one whose key has changed hands.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn done(&self, receipts: &[Receipt]) -> Result<(), StateError>;

    /// Notifies `came` when wakeups are left for this process, and when some may have been left unnoticed. Where the
    /// state cannot tell, it only waits. Ends when it is dropped.
    async fn listen(&self, came: Arc<Notify>) -> Infallible;
}
