//! The value of a key that was made and is not stored yet.

use std::sync::Arc;

use crate::secret::{Credentials, Fingerprint};

/// A key that was made and is not stored yet. Its value is nowhere but here and at the provider.
#[derive(Debug)]
pub struct MintedValue {
    /// The digest of its value, by which the record knows it.
    pub fingerprint: Fingerprint,
    /// Its value.
    pub credentials: Arc<Credentials>,
}
