//! A directory of files, one a secret: what Kubernetes, the CSI driver, systemd and sops mount.
//!
//! Such a directory has no versions, so the version is the keyed digest of what a file holds. A
//! look reads the file only where it may have changed: its identity, size and times are kept from
//! the last read, and trusted once they are old enough that a later write must have moved them. What
//! is being written is waited for ([`settled`](crate::settled)), so that half a key is never a version.
//!
//! Nothing is resolved ahead of time. A mount is replaced by swapping a symbolic link (`..data` in
//! Kubernetes, the directory itself elsewhere), and each look follows the links anew.

mod config;
mod reading;
mod source;

pub use config::{FileConfig, KIND};
pub use source::FileSource;
