//! Signatures as specified by [Standard Webhooks](https://www.standardwebhooks.com): HMAC-SHA256 over id,
//! time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The optional prefix of a secret.
const PREFIX: &str = "whsec_";

/// Decodes the signing key: base64, with or without the prefix `whsec_`. Returns `None` if the text is not
/// base64 or the key is too short.
pub fn key(secret: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let text = secret.expose().trim();
    let text = text.strip_prefix(PREFIX).unwrap_or(text);
    let key = Zeroizing::new(STANDARD.decode(text).ok()?);
    (key.len() >= SHORTEST).then_some(key)
}

/// The least length of a key, in bytes, as recommended by the specification.
const SHORTEST: usize = 24;

/// Returns the value of the header `webhook-signature`.
pub fn sign(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses the example of the specification's reference libraries.
    #[test]
    fn signs_as_the_reference_libraries_do() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let key = key(&secret).expect("a key");
        let signature = sign(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_no_key_is_none() {
        for text in [
            "whsec_",
            "whsec_!!!",
            "c2hvcnQ=",
            "a passphrase of ordinary words",
        ] {
            assert!(key(&Secret::new(text.to_owned())).is_none(), "{text}");
        }
    }
}
