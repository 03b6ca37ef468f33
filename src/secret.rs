//! Secret values, and the digest that stands for them where a value must not be.
//!
//! A [`Secret`] has no `Display` and no `Serialize`, its `Debug` is redacted and its memory is
//! wiped when it is dropped. It is exposed where a request body is written and nowhere else;
//! `tests/tidy.rs` keeps the list of places.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// A secret text.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes ownership; the text is wiped when the secret is dropped.
    pub fn new(text: String) -> Self {
        // A text with room to spare would be moved to where it fits, and stay where it was.
        let text = Zeroizing::new(text);
        Self(SecretString::from(text.as_str()))
    }

    /// The value. Callers are the few places that put it on the wire.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The same without white space at its ends; `None` where there is none.
    pub fn trimmed(&self) -> Option<Self> {
        let bare = self.expose().trim();
        (bare.len() < self.expose().len()).then(|| Self::new(bare.to_owned()))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Adds to a buffer that is wiped. One that grows by itself leaves its old memory as it is.
pub fn append(buffer: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let needed = buffer.len() + more.len();
    if needed > buffer.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
        larger.extend_from_slice(buffer);
        // The old one is wiped here.
        *buffer = larger;
    }
    buffer.extend_from_slice(more);
}

/// What is written into a configuration in Flashback.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `key` in Flashback's API: the access key id, where the provider has one.
    pub key: Option<Secret>,
    /// `secret` in Flashback's API: the API key or the secret access key.
    pub secret: Secret,
}

/// A keyed digest of a value: tells whether two values are the same, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Sixty-four hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_hex()[..12].to_owned()
    }

    /// Reads what [`to_hex`](Self::to_hex) wrote; `None` where it is not that.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", self.short())
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not a fingerprint"))
    }
}

/// Makes fingerprints with a key of the state store's own, so that one without the state cannot
/// try guesses against them.
#[derive(Clone)]
pub struct Fingerprinter(Zeroizing<[u8; 32]>);

impl Fingerprinter {
    /// With the key that the state store keeps.
    pub fn new(mut key: [u8; 32]) -> Self {
        let kept = Zeroizing::new(key);
        key.zeroize();
        Self(kept)
    }

    /// With a key nobody keeps, for a store that does not exist yet.
    pub fn ephemeral() -> Self {
        Self::new(rand::random())
    }

    /// The digest of a pair of credentials.
    pub fn credentials(&self, credentials: &Credentials) -> Fingerprint {
        let key = credentials.key.as_ref().map(Secret::expose);
        self.digest(&[
            key.unwrap_or_default().as_bytes(),
            credentials.secret.expose().as_bytes(),
        ])
    }

    /// The digest of a whole document, for stores without versions.
    pub fn bytes(&self, bytes: &[u8]) -> Fingerprint {
        self.digest(&[bytes])
    }

    fn digest(&self, parts: &[&[u8]]) -> Fingerprint {
        let digest = self.digest_on_stack(parts);
        wipe_stack();
        digest
    }

    /// Each part goes in behind its length, so that `("ab", "c")` and `("a", "bc")` differ.
    #[inline(never)]
    fn digest_on_stack(&self, parts: &[&[u8]]) -> Fingerprint {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Fingerprint(mac.finalize().into_bytes().into())
    }
}

/// Overwrites the part of the stack that a function called just before has used: the digest moves its
/// buffer about, and each move leaves a copy of what was hashed.
#[inline(never)]
fn wipe_stack() {
    let mut used = [0_u8; 4096];
    std::hint::black_box(&mut used);
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: Option<&str>, secret: &str) -> Credentials {
        Credentials {
            key: key.map(|text| Secret::new(text.into())),
            secret: Secret::new(secret.into()),
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", pair(Some("canary-key"), "canary-secret"));
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_buffer_grows_and_keeps_what_is_in_it() {
        let mut buffer = Zeroizing::new(Vec::with_capacity(2));
        for chunk in [&b"a"[..], b"", b"bcd", &[b'x'; 5000]] {
            append(&mut buffer, chunk);
        }
        assert!(buffer.starts_with(b"abcdxx") && buffer.len() == 5004);
    }

    #[test]
    fn fingerprints_tell_values_and_keys_apart() {
        let one = Fingerprinter::new([1; 32]);
        assert_eq!(
            one.credentials(&pair(None, "a")),
            one.credentials(&pair(None, "a"))
        );
        assert_ne!(
            one.credentials(&pair(Some("ab"), "c")),
            one.credentials(&pair(Some("a"), "bc"))
        );
        assert_ne!(one.bytes(b"a"), Fingerprinter::new([2; 32]).bytes(b"a"));
    }

    #[test]
    fn a_fingerprint_survives_its_text() {
        let fingerprint = Fingerprinter::ephemeral().bytes(b"x");
        assert_eq!(
            Fingerprint::from_hex(&fingerprint.to_hex()),
            Some(fingerprint)
        );
        assert_eq!(Fingerprint::from_hex("zz"), None);
    }
}
