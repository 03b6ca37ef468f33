//! A directory of files, one a secret: what Kubernetes, the CSI driver, systemd and sops mount.
//!
//! Such a directory has no versions, so the version is the keyed digest of what a file holds. A
//! look reads the file only where it may have changed: its identity, size and times are kept from
//! the last read, and trusted once they are old enough that a later write must have moved them.
//!
//! Nothing is resolved ahead of time. A mount is replaced by swapping a symbolic link (`..data` in
//! Kubernetes, the directory itself elsewhere), and each look follows the links anew.

mod reading;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::reading::{Content, Place, Stamp};
use super::{Reading, Source, SourceError};
use crate::document::Document;
use crate::lane::Lane;
use crate::model::{Missing, Observation, SourceId, Version};
use crate::secret::Fingerprinter;

/// How long after its last change a file's times are not trusted: a second write within the
/// clock's grain would leave them as they are. Two seconds cover the coarsest file systems in use.
const RACY: Duration = Duration::from_secs(2);

/// A `type = "file"` source.
pub struct FileSource {
    id: SourceId,
    dir: Arc<PathBuf>,
    fingerprinter: Fingerprinter,
    lane: Lane,
    /// The last read of each path that is there: as many as the configuration names.
    seen: Mutex<HashMap<String, Seen>>,
}

#[derive(Clone)]
struct Seen {
    stamp: Stamp,
    /// When it was read, taken before the read began.
    at: SystemTime,
    version: Version,
}

impl FileSource {
    /// The secrets are the files below `dir`, which need not exist yet.
    pub fn new(id: SourceId, dir: PathBuf, fingerprinter: Fingerprinter, lane: Lane) -> Self {
        Self {
            id,
            dir: Arc::new(dir),
            fingerprinter,
            lane,
            seen: Mutex::default(),
        }
    }

    /// Does file work where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        self.lane
            .call(operation, async {
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

    /// The file as it is now; the cache learns of it.
    async fn fetch(&self, path: &str) -> Result<Option<(Seen, Document)>, SourceError> {
        let at = SystemTime::now();
        let place = Place::new(self.dir.clone(), path)?;
        let content = self.blocking("read_file", move || place.read()).await;
        let Ok(Some(Content { text, stamp })) = content else {
            self.seen().remove(path);
            return content.map(|_| None);
        };
        let document = Document::from_text(text);
        let seen = Seen {
            stamp,
            at,
            version: Version::of_fingerprint(&document.fingerprint(&self.fingerprinter)),
        };
        self.seen().insert(path.to_owned(), seen.clone());
        Ok(Some((seen, document)))
    }

    /// What was last read, where the file is sure to be the same.
    async fn unchanged(&self, path: &str) -> Result<Option<Seen>, SourceError> {
        let seen = self.seen().get(path).cloned();
        let Some(seen) = seen.filter(|seen| seen.stamp.settled_at(seen.at, RACY)) else {
            return Ok(None);
        };
        let place = Place::new(self.dir.clone(), path)?;
        let now = self.blocking("stat_file", move || place.stamp()).await?;
        Ok(now.is_some_and(|now| now == seen.stamp).then_some(seen))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for FileSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    /// `written_at` is the file's time of modification.
    async fn look(&self, path: &str) -> Result<Observation, SourceError> {
        let seen = match self.unchanged(path).await? {
            Some(seen) => Some(seen),
            None => self.fetch(path).await?.map(|(seen, _)| seen),
        };
        Ok(match seen {
            Some(seen) => Observation::Present {
                written_at: time(&seen),
                version: seen.version,
            },
            None => Observation::Missing(Missing::NotFound),
        })
    }

    /// The file as it is now, whatever version was asked for.
    async fn read(&self, path: &str, _: &Version) -> Result<Reading, SourceError> {
        Ok(match self.fetch(path).await? {
            Some((seen, document)) => Reading::Present {
                written_at: time(&seen),
                version: seen.version,
                document,
            },
            None => Reading::Missing(Missing::NotFound),
        })
    }

    async fn connect(&self) -> Result<String, SourceError> {
        let dir = self.dir.clone();
        self.blocking("stat_dir", move || {
            reading::root(&dir).map(|root| format!("the directory {}", root.display()))
        })
        .await
    }
}

fn time(seen: &Seen) -> Option<DateTime<Utc>> {
    Some(DateTime::from(seen.stamp.modified()?))
}
