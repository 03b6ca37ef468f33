//! The files of a directory, of whose changes the kernel tells: inotify.
//!
//! A source of the type `file` has this trigger by itself. Every directory of its tree is watched, those that links
//! lead to included, and so is each place at which a link or a rename can replace the tree: Kubernetes swaps `..data`,
//! others swap the directory itself. What the kernel tells of a plain file leads to its names at once; anything else
//! that is told, and a look every minute, has the tree read again and compared with what it was.
//!
//! - `inotify`: the kernel's interface; `scan`: reads the tree; `watched`: what is watched; `tree`: what a
//!   notice means
//! - `trust`: the file systems on which the kernel is told of every change
//! - `listen`: the trigger

mod listen;
mod scan;
mod tree;
mod trust;
mod watched;

use std::path::PathBuf;
use std::sync::Arc;

use super::contract::{Trigger, TriggerError};
use super::kind::{Context, Kind, TriggerKind};
use crate::source::SourceKind;
use crate::source::file::FileConfig;
use listen::Listener;

/// The changes of files in a directory. It is no `events` table: the setting `watch` of the source turns it off.
pub const KIND: Kind = Kind {
    name: "watch",
    sources: &[],
    settings: &[],
    reference: "",
    implied,
    read: |_| None,
};

/// The trigger of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    dir: PathBuf,
}

fn implied(source: &dyn SourceKind) -> Option<Arc<dyn TriggerKind>> {
    let source: &FileConfig = (source as &dyn std::any::Any).downcast_ref()?;
    let watch = source.watch.then(|| Watch {
        dir: source.dir.clone(),
    });
    Some(Arc::new(watch?))
}

impl TriggerKind for Watch {
    fn place(&self) -> String {
        format!("the directory {}", self.dir.display())
    }

    fn build(&self, _: Context<'_>) -> Result<Box<dyn Trigger>, TriggerError> {
        Ok(Box::new(Listener::new(self.dir.clone())))
    }
}
