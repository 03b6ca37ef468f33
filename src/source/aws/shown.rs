//! Selects the parts of AWS's answers and of failed connections that may be shown.

use crate::outbound::CallError;
use crate::words;

/// Returns why there is no connection to AWS. The host of a region that does not exist cannot be resolved.
pub(super) fn on_the_way(why: &CallError) -> String {
    let CallError::Unresolved { host, .. } = why else {
        return why.to_string();
    };
    match region_in(host) {
        Some(region) => format!("cannot resolve {host}: is there a region `{region}`?"),
        None => why.to_string(),
    }
}

/// Returns the region in the public name of a service's host, as in `secretsmanager.eu-west-1.amazonaws.com`.
fn region_in(host: &str) -> Option<&str> {
    let (labels, _) = host.split_once(".amazonaws.")?;
    let (_, region) = labels.split_once('.')?;
    (!region.contains('.')).then_some(region)
}

/// Returns the code of an error if it consists of known words and dots, as AWS's do. What a broken server sends in its
/// place is not shown.
pub(super) fn plain(word: &str) -> Option<&str> {
    let fits = !word.is_empty() && word.len() <= 64 && words::is_plain(word);
    let is_code = |c: char| c.is_ascii_alphabetic() || c == '.';
    (fits && word.chars().all(is_code)).then_some(word)
}

/// Returns the id of a request if it is a UUID, or known words and numbers.
pub(super) fn identifier(word: &str) -> Option<&str> {
    let fits = !word.is_empty() && word.len() <= 64;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let harmless = uuid::Uuid::try_parse(word).is_ok() || words::is_plain(word);
    (fits && harmless && word.chars().all(is_word)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_read_from_the_public_names_of_hosts_alone() {
        for (host, region) in [
            ("secretsmanager.eu-wst-1.amazonaws.com", Some("eu-wst-1")),
            ("sts.cn-nrth-1.amazonaws.com.cn", Some("cn-nrth-1")),
            ("sts.amazonaws.com", None),
            (
                "vpce-0a1-b2c.secretsmanager.us-east-2.vpce.amazonaws.com",
                None,
            ),
            ("aws.invalid", None),
        ] {
            assert_eq!(region_in(host), region, "{host}");
        }
    }

    #[test]
    fn a_word_that_may_be_a_key_stays_unseen() {
        for code in [
            "ThrottlingException",
            "KMSInvalidStateException",
            "AWS.Other",
        ] {
            assert_eq!(plain(code), Some(code));
        }
        for id in ["request-1", "b7c1f2de-6c0e-4b59-9f0e-1d2c3b4a5968"] {
            assert_eq!(identifier(id), Some(id));
        }
        for key in [
            "",
            "wJalrXUtnFEMIK7MDENGbPxRfiCY9m2",
            "sk-proj-canary",
            "a b",
        ] {
            assert_eq!(plain(key), None, "{key}");
        }
        for key in [
            "",
            "wJa1rXUtn5EMIK7MDENGbPxRfiCY9m2",
            "sk-proj-canary",
            "a b",
        ] {
            assert_eq!(identifier(key), None, "{key}");
        }
    }
}
