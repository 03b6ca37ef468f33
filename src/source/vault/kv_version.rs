//! The two KV engines.

/// The version of a KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    /// KV 1, which keeps only the latest version of a secret.
    V1,
    /// KV 2, which numbers and keeps the versions of a secret.
    V2,
}
