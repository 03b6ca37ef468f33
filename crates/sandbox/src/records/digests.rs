//! The SHA-256 of credentials, which the sandbox keeps in their place.

use sha2::{Digest, Sha256};

use crate::contract::Fields;

/// Returns the SHA-256 of a text in hexadecimal digits, by which the sandbox refers to secrets.
pub fn sha256_hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digests of a `key` and a `secret`.
#[derive(Clone, Default)]
pub struct Digests {
    pub key: Option<String>,
    pub secret: Option<String>,
}

impl Digests {
    /// Returns the digests of the credentials in a body.
    pub fn sent(body: &Fields) -> Self {
        Self {
            key: body.text("key").map(sha256_hex),
            secret: body.text("secret").map(sha256_hex),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.secret.is_none()
    }

    /// Replaces those digests that are present in `newer`.
    pub fn replace(&mut self, newer: Self) {
        self.key = newer.key.or(self.key.take());
        self.secret = newer.secret.or(self.secret.take());
    }
}
