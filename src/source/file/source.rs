//! A source that reads the files of a directory.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;

use super::list;
use super::reading::{self, Content, Place};
use super::writing::{self, New};
use crate::document::{Document, Malformed};
use crate::model::{Missing, Observation, SourceId, Version};
use crate::redact;
use crate::secret::Fingerprinter;
use crate::settled::{self, Now, Sighting, Stamp, State};
use crate::source::contract::{Reading, Source, SourceError};
use crate::source::listing::{Listed, Scope};
use crate::source::replacement::{Replacement, StoreOutcome};
use crate::upstream::Upstream;

/// The time after the last change of a file for which its times are not trusted: a second write within the resolution
/// of the clock would not change them. Two seconds cover the coarsest file systems in use.
const RACY: Duration = Duration::from_secs(2);

/// Threads that the work of one source may take. On a mount that does not answer each of them hangs,
/// and those of the process are there for everybody.
const THREADS: usize = 16;

/// The most tries to replace a file that changes meanwhile.
const TRIES: usize = 5;

/// A `type = "file"` source.
pub struct FileSource {
    id: SourceId,
    dir: Arc<PathBuf>,
    fingerprinter: Fingerprinter,
    upstream: Upstream,
    threads: Arc<Semaphore>,
    /// The last read of each path that is there: as many as the configuration names.
    seen: Mutex<HashMap<String, Box<Seen>>>,
}

#[derive(Clone)]
struct Seen {
    sighting: Sighting<Version>,
    /// The time at which it was read, taken before the read began.
    at: SystemTime,
}

/// The result of reading a file.
enum Fetched {
    Nothing,
    Whole(Seen, Document),
    /// It may still be being written; read it again after this time.
    Unfinished(Duration),
}

impl FileSource {
    /// Makes a source of the files below `dir`, which need not exist yet.
    pub fn new(
        id: SourceId,
        dir: PathBuf,
        fingerprinter: Fingerprinter,
        upstream: Upstream,
    ) -> Self {
        Self {
            id,
            dir: Arc::new(dir),
            fingerprinter,
            upstream,
            threads: Arc::new(Semaphore::new(THREADS)),
            seen: Mutex::default(),
        }
    }

    /// Runs blocking file operations in a thread of their own.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        self.upstream
            .call(operation, async {
                let thread = Arc::clone(&self.threads).acquire_owned().await;
                let work = move || {
                    let _thread = thread;
                    work()
                };
                tokio::task::spawn_blocking(work)
                    .await
                    .map_err(|_| SourceError::Unavailable {
                        what: "reading was interrupted".to_owned(),
                        status: "interrupted".to_owned(),
                        retry_after: None,
                    })?
            })
            .await
    }

    /// Reads the file once it has been written completely.
    async fn fetch(&self, path: &str) -> Result<Option<(Seen, Document)>, SourceError> {
        let deadline = Instant::now() + settled::PATIENCE;
        loop {
            match self.fetch_once(path).await? {
                Fetched::Nothing => return Ok(None),
                Fetched::Whole(seen, document) => return Ok(Some((seen, document))),
                Fetched::Unfinished(wait) if Instant::now() < deadline => {
                    tokio::time::sleep(wait).await;
                }
                Fetched::Unfinished(_) => return Err(unfinished(path)),
            }
        }
    }

    /// Reads the file and updates the cache.
    async fn fetch_once(&self, path: &str) -> Result<Fetched, SourceError> {
        let at = SystemTime::now();
        let place = Place::new(self.dir.clone(), path)?;
        let content = self.blocking("read_file", move || place.read()).await;
        let Ok(Some(Content {
            text, place, stamp, ..
        })) = content
        else {
            self.seen().remove(path);
            return content.map(|_| Fetched::Nothing);
        };
        let is_local = settled::is_local(&place);
        let document = text.map(Document::from_text);
        let is_finished = settled::is_finished(&place, &stamp);
        let fingerprint = match &document {
            Some(document) => document.fingerprint(&self.fingerprinter),
            None => self.fingerprinter.bytes(b"no text"),
        };
        let state = State {
            place,
            stamp,
            content: Version::of_fingerprint(&fingerprint),
        };
        let mut all = self.seen();
        let before = all.get(path).map(|seen| &seen.sighting);
        let (mut sighting, mut wait) = Sighting::next(before, state, Now::read(), is_local);
        if is_finished {
            (sighting, wait) = (sighting.finished(), None);
        }
        let seen = Seen { sighting, at };
        all.insert(path.to_owned(), Box::new(seen.clone()));
        match (wait, document) {
            (Some(wait), _) => Ok(Fetched::Unfinished(wait)),
            (None, Some(document)) => Ok(Fetched::Whole(seen, document)),
            (None, None) => {
                all.remove(path);
                Err(SourceError::Malformed(Malformed::Binary))
            }
        }
    }

    /// Returns the last read if the file is certain to be the same.
    async fn unchanged(&self, path: &str) -> Result<Option<Seen>, SourceError> {
        let seen = self.seen().get(path).map(|seen| Seen::clone(seen));
        let is_sure = |seen: &Seen| seen.sighting.is_whole() && seen.stamp().age(seen.at) >= RACY;
        let Some(seen) = seen.filter(is_sure) else {
            return Ok(None);
        };
        let place = Place::new(self.dir.clone(), path)?;
        let now = self.blocking("stat_file", move || place.stamp()).await?;
        Ok(now.is_some_and(|now| now == *seen.stamp()).then_some(seen))
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, Box<Seen>>> {
        self.seen.lock()
    }
}

#[async_trait]
impl Source for FileSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    /// Returns the version of the file. `written_at` is its time of modification.
    async fn observe(&self, path: &str) -> Result<Observation, SourceError> {
        let seen = match self.unchanged(path).await? {
            Some(seen) => Some(seen),
            None => self.fetch(path).await?.map(|(seen, _)| seen),
        };
        Ok(match seen {
            Some(seen) => Observation::Present {
                written_at: time(&seen),
                version: seen.version(),
            },
            None => Observation::Missing(Missing::NotFound),
        })
    }

    /// Reads the file as it is now, whichever version was requested.
    async fn read(&self, path: &str, _: &Version) -> Result<Reading, SourceError> {
        Ok(match self.fetch(path).await? {
            Some((seen, document)) => Reading::Present {
                written_at: time(&seen),
                version: seen.version(),
                document,
            },
            None => Reading::Missing(Missing::NotFound),
        })
    }

    /// Replaces the file as a whole. What another process writes between the last look at the file and the replacement,
    /// which follow each other at once, is lost.
    async fn store(
        &self,
        path: &str,
        replacement: &Replacement<'_>,
    ) -> Result<StoreOutcome, SourceError> {
        for _ in 0..TRIES {
            let found = self.fetch(path).await?;
            let stamp = found.as_ref().map(|(seen, _)| *seen.stamp());
            let version = found.as_ref().map(|(seen, _)| seen.version());
            if version.as_ref() != replacement.expected {
                let is_ours = found.is_some_and(|(_, document)| {
                    document.holds(replacement.fields, replacement.credentials)
                });
                return Ok(match version.filter(|_| is_ours) {
                    Some(version) => StoreOutcome::Stored(version),
                    None => StoreOutcome::Conflict,
                });
            }
            let new = New::of(Place::new(self.dir.clone(), path)?, stamp, replacement)?;
            let written = self.blocking("write_file", move || new.write()).await?;
            self.seen().remove(path);
            if let Some(document) = written {
                let fingerprint = document.fingerprint(&self.fingerprinter);
                return Ok(StoreOutcome::Stored(Version::of_fingerprint(&fingerprint)));
            }
        }
        Err(SourceError::Invalid {
            what: format!("{} changes all the time", self.place(path)),
        })
    }

    async fn may_store(&self, path: &str) -> Result<(), SourceError> {
        let place = Place::new(self.dir.clone(), path)?;
        self.blocking("stat_dir", move || writing::may_write(&place))
            .await
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Listed>, SourceError> {
        let (dir, scope) = (self.dir.clone(), scope.clone());
        self.blocking("list_files", move || list::list(&dir, &scope))
            .await
    }

    async fn entry(&self, path: &str) -> Result<Option<Listed>, SourceError> {
        let observed = self.observe(path).await?;
        let is_there = matches!(observed, Observation::Present { .. });
        Ok(is_there.then(|| Listed {
            path: path.to_owned(),
            observed: Some(observed),
            metadata: Some(BTreeMap::new()),
        }))
    }

    fn place(&self, path: &str) -> String {
        format!("`{}` below {}", redact::shown(path), self.dir.display())
    }

    async fn connect(&self) -> Result<String, SourceError> {
        let dir = self.dir.clone();
        self.blocking("stat_dir", move || {
            reading::root(&dir).map(|root| format!("the directory {}", root.display()))
        })
        .await
    }
}

impl Seen {
    fn stamp(&self) -> &Stamp {
        &self.sighting.state().stamp
    }

    fn version(&self) -> Version {
        self.sighting.state().content.clone()
    }
}

fn time(seen: &Seen) -> Option<DateTime<Utc>> {
    Some(DateTime::from(seen.stamp().modified()?))
}

/// Returns the error for a file that kept changing.
fn unfinished(path: &str) -> SourceError {
    SourceError::Protocol {
        what: format!(
            "`{}` is still being written: it kept changing for {}",
            path.escape_debug(),
            humantime::format_duration(settled::PATIENCE)
        ),
        status: "unfinished".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::retry::Limits;
    use crate::telemetry::metrics::Metrics;
    use crate::upstream::{Outages, Terms};

    struct Silent;

    impl Outages for Silent {
        fn unavailable(&self, _: &str, _: &str, _: Duration) {}
        fn recovered(&self, _: &str, _: Duration) {}
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_that_hangs_takes_no_more_than_its_threads() {
        let wait = Duration::from_millis(1);
        let terms = Terms {
            max_rps: None,
            timeout: wait,
            permits: 16,
            retry: Limits {
                initial: wait,
                max: wait,
                give_up_after: wait,
            },
        };
        let upstream = Upstream::new("files", terms, Arc::new(Metrics::new()), Arc::new(Silent));
        let source = FileSource::new(
            SourceId::new("files"),
            PathBuf::from("/"),
            Fingerprinter::ephemeral(),
            upstream,
        );
        let (answers, hung) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut timed_out = 0;
        while timed_out < 2 * THREADS {
            let (answers, hung) = (Arc::clone(&answers), Arc::clone(&hung));
            let work = move || {
                hung.fetch_add(1, Ordering::Relaxed);
                while !answers.load(Ordering::Relaxed) {
                    std::thread::sleep(wait);
                }
                Ok(())
            };
            match source.blocking("read_file", work).await {
                Err(SourceError::Unavailable { .. }) => timed_out += 1,
                Err(SourceError::CircuitOpen { .. }) => tokio::time::sleep(wait).await,
                other => panic!("{other:?}"),
            }
        }
        let hung = hung.load(Ordering::Relaxed);
        answers.store(true, Ordering::Relaxed);
        assert_eq!(hung, THREADS);
        // It answers again, and so does the source.
        for _ in 0..10_000 {
            if source.blocking("read_file", || Ok(())).await.is_ok() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
        panic!("the source does not answer");
    }
}
