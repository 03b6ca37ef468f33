//! The two KV engines.

/// The version of a KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    /// Without versions of a secret.
    V1,
    /// With versions of a secret.
    V2,
}
