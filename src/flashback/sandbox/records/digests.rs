//! Credentials as the sandbox keeps them: their SHA-256 and nothing else.

use sha2::{Digest, Sha256};

use crate::flashback::sandbox::contract::Fields;

/// The SHA-256 of a text in hexadecimal digits: how the sandbox names secrets.
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
    /// Those of the credentials in a body.
    pub fn sent(body: &Fields) -> Self {
        Self {
            key: body.text("key").map(sha256_hex),
            secret: body.text("secret").map(sha256_hex),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.secret.is_none()
    }

    /// Takes over those of `newer` that are there.
    pub fn replace(&mut self, newer: Self) {
        self.key = newer.key.or(self.key.take());
        self.secret = newer.secret.or(self.secret.take());
    }
}
