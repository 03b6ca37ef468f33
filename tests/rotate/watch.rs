//! Looks all the time, at Flashback and at the providers, while keys are rotated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::Sandbox;
use tokio::task::JoinHandle;

use super::account::Account;

/// A watch that runs. It fails as soon as what Flashback has is dead at the provider, or an old key is revoked before
/// the new one was live for as long as `overlap` says.
pub struct Watch {
    over: Arc<AtomicBool>,
    watches: Vec<JoinHandle<u64>>,
}

impl Watch {
    /// Watches these accounts, each with the names of the keys that are made there.
    pub fn of(
        flashback: &Arc<Sandbox>,
        accounts: Vec<(Arc<Account>, Vec<String>)>,
        overlap: Duration,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let watches = accounts.into_iter().map(|(account, names)| {
            let mut looks = Looks::new(Arc::clone(flashback), account, names, overlap);
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    looks.look().await;
                }
                looks.revoked
            })
        });
        Self {
            watches: watches.collect(),
            over,
        }
    }

    /// Fails if it has failed.
    pub fn goes_on(&self) {
        for watch in &self.watches {
            assert!(!watch.is_finished(), "the watch has seen what must not be");
        }
    }

    /// Ends it, and returns the number of old keys that it has seen revoked. Fails if it has failed.
    pub async fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        let mut revoked = 0;
        for watch in self.watches {
            revoked += watch.await.expect("nothing was seen that must not be");
        }
        revoked
    }
}

/// Returns the digests of what Flashback has, by the names of its configurations: of the id of a pair, and of any other
/// value.
pub fn digests(flashback: &Sandbox) -> BTreeMap<String, String> {
    let all = flashback.configurations().into_iter();
    all.map(|one| (one.name, one.key_sha256.unwrap_or(one.secret_sha256)))
        .collect()
}

/// What was seen of an account.
struct Looks {
    flashback: Arc<Sandbox>,
    account: Arc<Account>,
    names: Vec<String>,
    overlap: Duration,
    /// The time of the last look.
    last: Instant,
    /// What Flashback has of each key.
    live: BTreeMap<String, String>,
    /// What Flashback had of each key and the provider still serves, with a time at which Flashback had it still.
    old: BTreeMap<(String, String), Instant>,
    revoked: u64,
}

impl Looks {
    fn new(
        flashback: Arc<Sandbox>,
        account: Arc<Account>,
        names: Vec<String>,
        overlap: Duration,
    ) -> Self {
        Self {
            flashback,
            account,
            names,
            overlap,
            last: Instant::now(),
            live: BTreeMap::new(),
            old: BTreeMap::new(),
            revoked: 0,
        }
    }

    async fn look(&mut self) {
        let begun = Instant::now();
        let before = digests(&self.flashback);
        let served = self.account.live().await;
        let after = digests(&self.flashback);
        for name in self.names.clone() {
            let Some(digest) = before.get(&name) else {
                continue;
            };
            // One that was replaced meanwhile may be dead already.
            let is_same = after.get(&name) == Some(digest);
            assert!(
                !is_same || served.contains(digest),
                "what Flashback has of {name} is dead"
            );
            self.delivered(&name, digest);
        }
        self.revoked(&served);
        self.last = begun;
        // moto is a server of its own, and answers more slowly than all fakes.
        let pause = match *self.account {
            Account::Fake { .. } => Duration::from_millis(1),
            Account::User { .. } => Duration::from_millis(50),
        };
        tokio::time::sleep(pause).await;
    }

    fn delivered(&mut self, name: &str, digest: &str) {
        let before = self.live.insert(name.to_owned(), digest.to_owned());
        if let Some(before) = before.filter(|before| before != digest) {
            self.old.insert((name.to_owned(), before), self.last);
        }
        self.old.remove(&(name.to_owned(), digest.to_owned()));
    }

    fn revoked(&mut self, served: &BTreeSet<String>) {
        let gone = self
            .old
            .extract_if(.., |(_, digest), _| !served.contains(digest));
        for ((name, _), live) in gone {
            assert!(
                live.elapsed() >= self.overlap,
                "the old key of {name} was revoked {:?} after it was live",
                live.elapsed()
            );
            self.revoked += 1;
        }
    }
}
