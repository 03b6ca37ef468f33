//! Secret values, and the digests that stand for them where a value must not appear.
//!
//! A [`Secret`] has no `Display` and no `Serialize`, its `Debug` is redacted, and its memory is wiped on
//! drop. It is exposed only in a few places, such as where a request is written; `tests/tidy.rs` lists them.

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
    /// Takes ownership of a text, which is wiped when the secret is dropped.
    pub fn new(text: String) -> Self {
        // A `String` with spare capacity would be moved to a smaller allocation, and its old one would not be
        // wiped.
        let text = Zeroizing::new(text);
        Self(SecretString::from(text.as_str()))
    }

    /// Returns the value. Only the few places that send it may call this.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns `true` if the value is `text`.
    pub fn is(&self, text: &str) -> bool {
        self.expose() == text
    }

    /// Returns `true` if both values are the same text.
    pub fn is_same(&self, other: &Self) -> bool {
        self.is(other.expose())
    }

    /// Returns the secret without surrounding white space, or `None` if there is none.
    pub fn trimmed(&self) -> Option<Self> {
        let bare = self.expose().trim();
        (bare.len() < self.expose().len()).then(|| Self::new(bare.to_owned()))
    }

    /// Returns `true` if it can be the value of which this is shown.
    pub fn may_be(&self, shown: &Redacted) -> bool {
        shown.may_be(self.expose())
    }

    /// Returns `true` if the text is empty.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is shown of a value by a server that has it: how it begins and how it ends.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted {
    head: String,
    tail: String,
}

impl Redacted {
    /// The fewest characters that tell two values apart.
    const FEWEST: usize = 4;

    /// Reads a value of which the middle is masked, by asterisks, dots or an ellipsis. Returns `None` if too little of
    /// it is shown to tell keys apart.
    pub fn of(text: &str) -> Option<Self> {
        let is_mask = |c: char| matches!(c, '*' | '•' | '…');
        let (from, to) = match (text.find(is_mask), text.rfind(is_mask)) {
            (Some(from), Some(to)) => (from, to + text[to..].chars().next()?.len_utf8()),
            _ => {
                let from = text.find("...")?;
                let rest = text[from..].trim_start_matches('.');
                (from, text.len() - rest.len())
            }
        };
        let (head, tail) = (text[..from].to_owned(), text[to..].to_owned());
        (tail.chars().count() >= Self::FEWEST).then_some(Self { head, tail })
    }

    fn may_be(&self, value: &str) -> bool {
        value.len() > self.head.len() + self.tail.len()
            && value.starts_with(&self.head)
            && value.ends_with(&self.tail)
    }
}

/// Says nothing of the value.
impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redacted(…)")
    }
}

/// Appends to a buffer that is wiped on drop. A vector that grows by itself does not wipe its old memory.
pub fn append(buffer: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let needed = buffer.len() + more.len();
    if needed > buffer.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
        larger.extend_from_slice(buffer);
        // The old buffer is wiped here, as it is dropped.
        *buffer = larger;
    }
    buffer.extend_from_slice(more);
}

/// The values that are written into a configuration in Flashback.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `key` in Flashback's API: the access key id, if the provider has one.
    pub key: Option<Secret>,
    /// `secret` in Flashback's API: the API key or the secret access key.
    pub secret: Secret,
}

/// A keyed digest of a value. It shows whether two values are equal, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns all sixty-four hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the first twelve hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_hex()[..12].to_owned()
    }

    /// Parses the output of [`to_hex`](Self::to_hex). Returns `None` if the text is something else.
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

/// Computes fingerprints with a key that belongs to the state, so that guesses cannot be tested against them without
/// the state.
#[derive(Clone)]
pub struct Fingerprinter(Zeroizing<[u8; 32]>);

impl Fingerprinter {
    /// Uses the key that the state keeps.
    pub fn new(mut key: [u8; 32]) -> Self {
        let kept = Zeroizing::new(key);
        key.zeroize();
        Self(kept)
    }

    /// Uses a random key that is not kept, for digests that need not outlive this process.
    pub fn ephemeral() -> Self {
        Self::new(rand::random())
    }

    /// Returns the digest of a pair of credentials.
    pub fn credentials(&self, credentials: &Credentials) -> Fingerprint {
        let key = credentials.key.as_ref().map(Secret::expose);
        self.digest(&[
            key.unwrap_or_default().as_bytes(),
            credentials.secret.expose().as_bytes(),
        ])
    }

    /// Returns the digest of one secret, such as a token.
    pub fn secret(&self, secret: &Secret) -> Fingerprint {
        self.bytes(secret.expose().as_bytes())
    }

    /// Returns the digest of a whole document, for sources without versions.
    pub fn bytes(&self, bytes: &[u8]) -> Fingerprint {
        self.digest(&[bytes])
    }

    fn digest(&self, parts: &[&[u8]]) -> Fingerprint {
        let digest = self.digest_on_stack(parts);
        wipe_stack();
        digest
    }

    /// Hashes each part after its length, so that `("ab", "c")` and `("a", "bc")` differ.
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

/// Overwrites the part of the stack that the function called just before has used: hashing moves its buffer,
/// and each move leaves a copy of what was hashed.
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

    #[test]
    fn recognises_a_value_by_what_is_shown_of_it() {
        let value = "sk-proj-abcdefghijklmnop1234";
        for shown in [
            "sk-proj-abc****1234",
            "sk-proj-...1234",
            "sk-…mnop1234",
            "*******1234",
        ] {
            let shown = Redacted::of(shown).expect("enough is shown");
            assert!(shown.may_be(value));
            assert!(!shown.may_be("sk-proj-abcdefghijklmnop1235"));
            assert!(!shown.may_be("1234"));
        }
        for shown in ["sk-proj-abc****", "sk-...234", "sk-proj", "", "…", "..."] {
            assert_eq!(Redacted::of(shown), None, "{shown}");
        }
    }
}
