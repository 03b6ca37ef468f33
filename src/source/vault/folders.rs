//! Decides which observations are answered from a list.
//!
//! One list answers for all the keys of a folder, until one of them is observed for a second time. These rules keep
//! what a key is told as new as if it had been asked for alone, but for the length of one turn of the keys:
//!
//! - A key is never answered from a list that began before its last answer. So one that is observed again at once, as
//!   after a push, gets a newer answer, and no answer is older than the one before.
//! - A key without an answer in the last two turns accepts only a list that began a moment ago ([`RECENT`]).
//! - What a list does not say is asked for alone. A policy may hide secrets in lists, so a secret that is missing in
//!   one may still exist.
//! - A new list is made once enough keys were answered since the last one began: it costs the server about as much as
//!   a tenth of its entries one by one ([`ENTRIES_PER_LOOK`]).
//!
//! Where a list shows that a secret has changed, its key is told at once ([`Folders::tell`]), so that a rotation is found
//! as soon as if each key had been asked for alone.
//!
//! There is no clock in an order of events: a set has the keys that were answered since a list began.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::VaultLook;
use super::mounted::DENIED_FOR;
use crate::model::{Observation, Version};
use crate::source::contract::{Changes, SourceError};

/// The age up to which a list is accepted for a key that was not observed lately.
const RECENT: Duration = Duration::from_secs(5);

/// The number of keys in one folder from which on lists are tried by themselves.
const ENOUGH: usize = 8;

/// The number of entries of a list that cost the server as much as observing one secret. Measured with OpenBao 2.7: 36
/// against 377 microseconds.
const ENTRIES_PER_LOOK: usize = 10;

/// What a list says of each secret in a folder, by its name. `None` where only the secret itself shows it.
pub(super) type Named = HashMap<Box<str>, Option<Observation>>;

/// The folders in which keys are observed.
#[derive(Default)]
pub(super) struct Folders {
    all: Mutex<HashMap<Box<str>, Folder>>,
    hasher: RandomState,
    changes: Mutex<Option<Changes>>,
}

/// A folder. Paths are kept as hashes: it does no harm if two of them are mixed up.
struct Folder {
    /// The time at which a key in it was last observed.
    used: Instant,
    list: Option<List>,
    /// The paths that were answered while the list before the present one was in use.
    before: HashSet<u64>,
    /// The paths that were answered since the present list began.
    answered: HashSet<u64>,
    /// The number of answers since the present list began.
    answers: usize,
    making: Option<Making>,
    /// The generation of the token to which lists were refused, and the time.
    refused: Option<(u64, Instant)>,
}

struct List {
    began: Instant,
    named: Arc<Named>,
}

/// A list that is being made.
struct Making {
    /// The paths that were answered since it began.
    answered: HashSet<u64>,
    done: watch::Receiver<Option<Made>>,
}

/// What came of a list: the list, or nothing where there is none to be had.
pub(super) type Made = Result<Option<Arc<Named>>, SourceError>;

/// What to do to observe a secret.
pub(super) enum Plan<'a> {
    /// Observe it alone.
    Alone,
    /// It is answered.
    Listed(Observation),
    /// Wait for a list that another task makes.
    Wait(watch::Receiver<Option<Made>>),
    /// Make a list.
    Make(Turn<'a>),
}

/// The right to make the list of a folder. If it is dropped, another task gets it.
pub(super) struct Turn<'a> {
    folders: &'a Folders,
    /// The path of the secret that the task observes.
    path: &'a str,
    folder: &'a str,
    began: Instant,
    done: watch::Sender<Option<Made>>,
}

impl Folders {
    /// Decides how to observe the secret at `path`. `generation` is that of the token in use.
    pub fn plan<'a>(&'a self, path: &'a str, look: VaultLook, generation: u64) -> Plan<'a> {
        let (folder, name) = split(path);
        let hash = self.hash(path);
        let mut all = self.all();
        if !all.contains_key(folder) {
            all.insert(folder.into(), Folder::new());
        }
        let Some(known) = all.get_mut(folder) else {
            return Plan::Alone;
        };
        known.used = Instant::now();
        if let Some(list) = known.accepted(hash) {
            let Some(Some(observation)) = list.get(name) else {
                return Plan::Alone;
            };
            let observation = observation.clone();
            known.note(hash);
            return Plan::Listed(observation);
        }
        if let Some(making) = &known.making {
            return match making.answered.contains(&hash) {
                true => Plan::Alone,
                false => Plan::Wait(making.done.clone()),
            };
        }
        self.begin(known, path, hash, look, generation)
    }

    fn begin<'a>(
        &'a self,
        known: &mut Folder,
        path: &'a str,
        hash: u64,
        look: VaultLook,
        generation: u64,
    ) -> Plan<'a> {
        if !known.is_worth_a_list(hash, look, generation) {
            return Plan::Alone;
        }
        let (done, made) = watch::channel(None);
        known.making = Some(Making {
            answered: HashSet::new(),
            done: made,
        });
        Plan::Make(Turn {
            folders: self,
            path,
            folder: split(path).0,
            began: Instant::now(),
            done,
        })
    }

    /// Returns what a list that was just made says of the secret at `path`, unless there is a newer answer.
    pub fn take(&self, path: &str, list: &Arc<Named>) -> Option<Observation> {
        let (folder, name) = split(path);
        let hash = self.hash(path);
        let mut all = self.all();
        let known = all.get_mut(folder)?;
        let present = known.list.as_ref()?;
        if !Arc::ptr_eq(&present.named, list) || known.answered.contains(&hash) {
            return None;
        }
        let observation = list.get(name)?.clone()?;
        known.note(hash);
        Some(observation)
    }

    /// Sets who is told of the changes that lists show.
    pub fn tell(&self, to: Changes) {
        *self.changes.lock() = Some(to);
    }

    /// Takes note that a secret was observed, by whatever means: no older list will answer for it.
    pub fn note(&self, path: &str) {
        let (folder, _) = split(path);
        let hash = self.hash(path);
        if let Some(known) = self.all().get_mut(folder) {
            known.note(hash);
        }
    }

    fn hash(&self, path: &str) -> u64 {
        self.hasher.hash_one(path)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Box<str>, Folder>> {
        self.all.lock()
    }
}

impl Folder {
    fn new() -> Self {
        Self {
            used: Instant::now(),
            list: None,
            before: HashSet::new(),
            answered: HashSet::new(),
            answers: 0,
            making: None,
            refused: None,
        }
    }

    /// Returns the present list, if it may answer for this path.
    fn accepted(&self, hash: u64) -> Option<&Named> {
        let list = self.list.as_ref()?;
        let is_new = !self.answered.contains(&hash);
        let is_recent = || self.before.contains(&hash) || list.began.elapsed() <= RECENT;
        (is_new && is_recent()).then_some(&*list.named)
    }

    fn note(&mut self, hash: u64) {
        self.answered.insert(hash);
        self.answers += 1;
        if let Some(making) = &mut self.making {
            making.answered.insert(hash);
        }
    }

    fn is_worth_a_list(&self, hash: u64, look: VaultLook, generation: u64) -> bool {
        let entries = self.list.as_ref().map_or(0, |list| list.named.len());
        let is_new = !self.answered.contains(&hash) && !self.before.contains(&hash);
        let keys = self.before.len().max(self.answered.len()) + usize::from(is_new);
        let pays = self.answers >= (entries / ENTRIES_PER_LOOK).min(keys / 2);
        let is_refused = self
            .refused
            .is_some_and(|(refused, at)| refused == generation && at.elapsed() < DENIED_FOR);
        match look {
            VaultLook::Metadata => false,
            VaultLook::List => pays,
            VaultLook::Auto => {
                let few_others = entries <= keys * ENTRIES_PER_LOOK;
                pays && keys >= ENOUGH && few_others && !is_refused
            }
        }
    }
}

impl<'a> Turn<'a> {
    /// Returns the folder to list.
    pub fn folder(&self) -> &'a str {
        self.folder
    }

    /// Returns the path of a secret in this folder.
    fn place(&self, name: &str) -> String {
        match self.folder {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        }
    }

    /// Ends with a list, which answers from now on.
    pub fn made(self, named: Named) -> Arc<Named> {
        let named = Arc::new(named);
        let mut changed = Vec::new();
        let mut all = self.folders.all();
        if let Some(known) = all.get_mut(self.folder) {
            let during = known.making.take().map(|making| making.answered);
            let during = during.unwrap_or_default();
            known.answers = during.len();
            known.before = std::mem::replace(&mut known.answered, during);
            known.refused = None;
            let list = List {
                began: self.began,
                named: Arc::clone(&named),
            };
            if let Some(old) = known.list.replace(list) {
                changed = differences(&old.named, &named);
            }
            changed.retain(|(name, _)| {
                let path = self.place(name);
                let hash = self.folders.hash(&path);
                path != self.path && known.before.contains(&hash) && !known.answered.contains(&hash)
            });
        }
        all.retain(|_, known| known.used.elapsed() < DENIED_FOR);
        drop(all);
        let changes = self.folders.changes.lock().clone();
        if let Some(tell) = changes {
            for (name, version) in changed {
                tell(&self.place(name), version);
            }
        }
        self.done.send_replace(Some(Ok(Some(Arc::clone(&named)))));
        named
    }

    /// Ends without a list, because the server or the policy has none for the token of this generation. Those who wait
    /// ask alone.
    pub fn refused(self, generation: u64) {
        if let Some(known) = self.folders.all().get_mut(self.folder) {
            known.refused = Some((generation, Instant::now()));
            known.list = None;
            known.making = None;
        }
        self.done.send_replace(Some(Ok(None)));
    }

    /// Ends with an error, which those who wait get, too.
    pub fn failed(self, error: &SourceError) {
        if let Some(known) = self.folders.all().get_mut(self.folder) {
            known.making = None;
        }
        self.done.send_replace(Some(Err(error.clone())));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let is_over = self.done.borrow().is_some();
        // Else its task was cancelled. Those who wait see that the sender is gone.
        if !is_over && let Some(known) = self.folders.all().get_mut(self.folder) {
            known.making = None;
        }
    }
}

/// Waits for a list that another task makes. It has come to nothing if that task is cancelled.
pub(super) async fn wait(mut made: watch::Receiver<Option<Made>>) -> Made {
    match made.wait_for(Option::is_some).await {
        Ok(made) => made.clone().unwrap_or(Ok(None)),
        Err(_) => Ok(None),
    }
}

/// Returns the secrets that have another version in the new list than in the old one.
fn differences<'a>(old: &Named, new: &'a Named) -> Vec<(&'a str, &'a Version)> {
    let mut changed = Vec::new();
    for (name, now) in new {
        if let Some(Observation::Present { version, .. }) = now
            && old.get(name) != Some(now)
        {
            changed.push((&**name, version));
        }
    }
    changed
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests;
