//! A directory with one file for each secret, as Kubernetes, the CSI driver, systemd and sops mount it.
//!
//! Such a directory has no versions, so the version is the keyed digest of the contents of a file. An observation reads
//! the file only if it may have changed: its identity, size and times are kept from the last read, and trusted once
//! they are old enough that a later write must have changed them. A file that is being written is waited for
//! ([`settled`](crate::settled)), so that half a key is never read as a version.
//!
//! Nothing is resolved ahead of time. A mount is replaced by swapping a symbolic link (`..data` in Kubernetes, the
//! directory itself elsewhere), and each observation follows the links anew.

mod config;
mod list;
mod reading;
mod source;
mod writing;

pub use config::{FileConfig, KIND};
pub use source::FileSource;
