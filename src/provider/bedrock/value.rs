//! Reads the public part of a Bedrock API key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What a long-term key begins with.
const PREFIX: &str = "ABSK";

/// Returns `true` if the key is the one of the credential with this alias. Behind `ABSK`, a key is the Base64 of its
/// alias, a colon and what is secret.
///
/// AWS's documentation says only that the alias is the public portion of the key
/// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_ServiceSpecificCredential.html>). A key of another form is
/// none of any alias.
pub(super) fn has_alias(value: &Secret, alias: &str) -> bool {
    let Some(encoded) = value.expose().strip_prefix(PREFIX) else {
        return false;
    };
    let Ok(decoded) = STANDARD.decode(encoded).map(Zeroizing::new) else {
        return false;
    };
    let mut parts = decoded.splitn(2, |byte| *byte == b':');
    let is_alias = parts.next() == Some(alias.as_bytes());
    is_alias && !alias.is_empty() && parts.next().is_some_and(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_alias_in_it_and_no_other() {
        let key = |text: &str| Secret::new(format!("ABSK{}", STANDARD.encode(text)));
        let alias = "llm+1-at-123456789012";
        assert!(has_alias(&key("llm+1-at-123456789012:canary:more="), alias));
        for other in [
            key("llm-at-123456789012:canary"),
            key("llm+1-at-1234567890123:canary"),
            key("llm+1-at-123456789012:"),
            key("llm+1-at-123456789012"),
            Secret::new(STANDARD.encode("llm+1-at-123456789012:canary")),
            Secret::new("ABSKcanary".to_owned()),
            Secret::new("ABSK".to_owned()),
        ] {
            assert!(!has_alias(&other, alias));
        }
        assert!(!has_alias(&key(":canary"), ""));
    }
}
