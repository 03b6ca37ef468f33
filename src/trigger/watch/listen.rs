//! The trigger: waits for notices, and passes on what they come to.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::tree::{Changes, Tree};
use crate::trigger::contract::{Ear, Trigger, TriggerError};
use crate::trigger::heard::Heard;
use crate::trigger::inotify::Inotify;

/// The time between two readings of the whole tree. They find what inotify does not tell: a mount over a directory, and
/// a change of a link outside of the tree.
const AGAIN: Duration = Duration::from_secs(60);

/// Listens to the changes in a directory.
pub(super) struct Listener {
    dir: PathBuf,
}

/// What is done with the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Look into the notices.
    Look,
    /// Read it again.
    Scan,
}

impl Listener {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }
}

#[async_trait]
impl Trigger for Listener {
    async fn listen(&mut self, ear: &Ear) -> Result<Infallible, TriggerError> {
        let inotify = Inotify::open()?;
        let ready = inotify.ready()?;
        let dir = self.dir.clone();
        let mut tree = blocking(move || Tree::new(inotify, dir)).await?;
        let mut deaf = tree.deaf();
        stand(ear, deaf);
        let mut again = interval_at(Instant::now() + AGAIN, AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let work = next(&tree, &ready, &mut again).await;
            let heard_at = (work == Work::Look).then(Utc::now);
            let (back, changes) = blocking(move || {
                let changes = match work {
                    Work::Look => tree.look()?,
                    Work::Scan => Changes {
                        files: tree.scan_again()?,
                        overflowed: false,
                    },
                };
                Ok((tree, changes))
            })
            .await?;
            tree = back;
            pass_on(ear, changes, heard_at);
            if tree.deaf() != deaf {
                deaf = tree.deaf();
                stand(ear, deaf);
            }
        }
    }
}

/// Says if every change is heard.
fn stand(ear: &Ear, deaf: Option<&str>) {
    match deaf {
        None => ear.up(),
        Some(why) => ear.down(why),
    }
}

/// Waits until there is something to do.
async fn next(tree: &Tree, ready: &AsyncFd<Inotify>, again: &mut Interval) -> Work {
    if tree.has_more() {
        return Work::Look;
    }
    let due = async {
        match tree.due() {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        guard = ready.readable() => {
            // Cleared before the notices are taken: those that come later make it ready again.
            if let Ok(mut guard) = guard {
                guard.clear_ready();
            }
            Work::Look
        }
        () = due => Work::Look,
        _ = again.tick() => Work::Scan,
    }
}

fn pass_on(ear: &Ear, changes: Changes, at: Option<DateTime<Utc>>) {
    for paths in changes.files {
        ear.heard(Heard {
            paths,
            version: None,
            at,
            index: None,
            // Each replica has a directory of its own.
            everywhere: true,
        });
    }
    if changes.overflowed {
        ear.missed("the kernel had more changes of files to tell than it keeps");
    }
}

/// Runs file operations in a thread of their own: a directory may be on a server that does not answer.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TriggerError> + Send + 'static,
) -> Result<T, TriggerError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|_| {
        Err(TriggerError(
            "reading the directory was broken off".to_owned(),
        ))
    })
}
