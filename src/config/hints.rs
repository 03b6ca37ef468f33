//! What a path or a mount looks like that has more in it than belongs there, or belongs elsewhere.
//!
//! Copied from an API's address, a policy or another tool, such a path is right in form and leads
//! nowhere. What is certain is a mistake, what is likely a warning when the configuration is read, and
//! the rest is said once the store has said that there is nothing. No hint repeats a path: it may be a
//! secret in the wrong place.

use super::KvVersion;

/// A clause for people, after a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// What it looks like and, after a colon, what to write.
    pub text: String,
    /// How sure that is.
    pub certainty: Certainty,
}

/// How sure a [`Hint`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// Nothing else can be meant.
    Certain,
    /// Hardly anything else can be meant.
    Likely,
    /// It may be as it should be.
    Possible,
}

impl Hint {
    fn certain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            certainty: Certainty::Certain,
        }
    }

    fn likely(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            certainty: Certainty::Likely,
        }
    }

    fn possible(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            certainty: Certainty::Possible,
        }
    }
}

/// What a path in Vault begins with that is no part of it: `v1/`, the namespace, the mount, and what
/// the API of KV 2 has after the mount.
pub fn vault_path(namespace: Option<&str>, mount: &str, kv: KvVersion, path: &str) -> Option<Hint> {
    let mut rest = path;
    let mut found = Vec::new();
    let mut take = |prefix: &str, what: &'static str| {
        let after = rest
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('/'));
        if let Some(after) = after.filter(|after| !prefix.is_empty() && !after.is_empty()) {
            rest = after;
            found.push(what);
        }
    };
    take("v1", "`v1/`");
    take(namespace.unwrap_or_default(), "the namespace");
    take(mount, "the mount");
    if kv == KvVersion::V2 {
        take("data", "`data/`");
        take("metadata", "`metadata/`");
    }
    let Some((last, others)) = found.split_last() else {
        let is_address = matches!(path.split('/').nth(1), Some("data" | "metadata"));
        return (kv == KvVersion::V2 && is_address).then(|| {
            Hint::likely(
                "the second part of the path is `data` or `metadata`, as in an address of the API, where a mount comes before it: name the mount in `mount`, and write what comes after `data/`",
            )
        });
    };
    let text = match others {
        [] => format!(
            "the path begins with {last}, which is added by itself: if it is no part of the secret's path, write what comes after it"
        ),
        _ => format!(
            "the path begins with {} and {last}, which are added by themselves: write what comes after",
            others.join(", ")
        ),
    };
    Some(match (others, *last) {
        ([], "the namespace" | "the mount") => Hint::possible(text),
        ([], _) => Hint::likely(text),
        _ => Hint::certain(text),
    })
}

/// What the mount of a KV engine has that is no part of it.
pub fn kv_mount(kv: KvVersion, mount: &str) -> Option<Hint> {
    if mount.starts_with("v1/") {
        return Some(Hint::certain(
            "`mount` begins with `v1/`, which is added by itself: write what comes after it",
        ));
    }
    let ends = |what: &str| {
        mount
            .strip_suffix(what)
            .is_some_and(|rest| rest.ends_with('/'))
    };
    (kv == KvVersion::V2 && (ends("data") || ends("metadata"))).then(|| {
        Hint::likely(
            "`mount` ends with `data` or `metadata`, which KV 2 adds by itself: write what comes before it",
        )
    })
}

/// What the mount of an auth method has that is no part of it.
pub fn auth_mount(mount: &str) -> Option<Hint> {
    let bare = mount.strip_prefix("v1/").unwrap_or(mount);
    (bare.starts_with("auth/") || mount.len() != bare.len() || mount.ends_with("/login")).then(|| {
        Hint::likely(
            "`mount` is written as in an address: write it as `vault auth list` shows it, without `auth/` before it and `/login` after it",
        )
    })
}

/// What the base URL of Flashback has that is no part of it.
pub fn base_url(url: &str) -> Option<Hint> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    (path.contains("/ai/") || path.ends_with("/ai")).then(|| {
        Hint::likely("`base_url` goes on to one of the API's paths: write what comes before `/ai`")
    })
}

/// What an id of a secret in AWS looks like, to a source that asks in `region`.
pub fn aws_path(region: Option<&str>, path: &str) -> Option<Hint> {
    let parts: Vec<_> = path.split(':').collect();
    let ["arn", _, service, of, _, kind, ref rest @ ..] = parts[..] else {
        return of_aws_name(region, path);
    };
    if service != "secretsmanager" || kind != "secret" {
        return Some(Hint::certain(
            "this is the ARN of something else: a secret's begins `arn:aws:secretsmanager:REGION:ACCOUNT:secret:`",
        ));
    }
    if rest.len() > 1 {
        return Some(Hint::certain(
            "the ARN goes on with a field, a stage or a version, as ECS writes it: end it with the secret's name, and name the field in `fields`",
        ));
    }
    region.filter(|region| *region != of).map(|region| {
        let is_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let of = match of.chars().all(is_region) && of.len() <= 32 {
            true => format!("`{of}`"),
            false => "another one".to_owned(),
        };
        Hint::likely(format!(
            "the source asks in the region `{region}`, and the ARN is of {of}: a secret of another region needs a source with that `region`"
        ))
    })
}

/// A name that ends as an ARN does leads nowhere; one that does not may be in another region.
fn of_aws_name(region: Option<&str>, path: &str) -> Option<Hint> {
    let is_random = |end: &str| {
        end.len() == 6
            && end.chars().all(|c| c.is_ascii_alphanumeric())
            && end.chars().any(|c| c.is_ascii_uppercase())
    };
    if path.rsplit_once('-').is_some_and(|(_, end)| is_random(end)) {
        return Some(Hint::possible(
            "the path ends as an ARN does: write the secret's name without the hyphen and the six characters, or the whole ARN",
        ));
    }
    region.map(|region| {
        Hint::possible(format!(
            "the source asks in the region `{region}`, with the account it is signed in to: is the secret there?"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_by_itself_is_named() {
        let hint = |path| vault_path(Some("team"), "secret", KvVersion::V2, path);
        for (path, words, certainty) in [
            ("data/llm/openai", "`data/`", Certainty::Likely),
            ("metadata/llm/openai", "`metadata/`", Certainty::Likely),
            ("kv/data/llm/openai", "name the mount", Certainty::Likely),
            ("secret/llm/openai", "the mount", Certainty::Possible),
            ("team/llm/openai", "the namespace", Certainty::Possible),
            ("v1/llm/openai", "`v1/`", Certainty::Likely),
            (
                "secret/data/llm/openai",
                "the mount and `data/`",
                Certainty::Certain,
            ),
            (
                "v1/secret/data/llm",
                "`v1/`, the mount and `data/`",
                Certainty::Certain,
            ),
            (
                "team/secret/metadata/llm",
                "the namespace, the mount and `metadata/`",
                Certainty::Certain,
            ),
        ] {
            let hint = hint(path).unwrap_or_else(|| panic!("{path}"));
            assert!(hint.text.contains(words), "{path}: {}", hint.text);
            assert!(!hint.text.contains("llm"), "{}", hint.text);
            assert_eq!(hint.certainty, certainty, "{path}");
        }
        for path in ["llm/openai", "data", "database/x", "secrets/x", "v10/x"] {
            assert_eq!(hint(path), None, "{path}");
        }
        assert_eq!(vault_path(None, "kv", KvVersion::V1, "data/x"), None);
    }

    #[test]
    fn mounts_are_known_by_their_ends() {
        for mount in ["secret/data", "team/kv/metadata", "v1/secret"] {
            assert!(kv_mount(KvVersion::V2, mount).is_some(), "{mount}");
        }
        for mount in ["secret", "data", "team/database", "metadata/kv"] {
            assert_eq!(kv_mount(KvVersion::V2, mount), None, "{mount}");
        }
        assert_eq!(kv_mount(KvVersion::V1, "secret/data"), None);
        for mount in [
            "auth/approle",
            "v1/auth/approle",
            "v1/approle",
            "approle/login",
        ] {
            assert!(auth_mount(mount).is_some(), "{mount}");
        }
        for mount in ["approle", "team/approle", "authentication/jwt"] {
            assert_eq!(auth_mount(mount), None, "{mount}");
        }
    }

    #[test]
    fn ids_of_aws_are_told_apart() {
        let of = |path: &str| aws_path(Some("eu-west-1"), path);
        let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:llm/openai-AbCdEf";
        assert_eq!(of(secret), None);
        assert_eq!(
            aws_path(None, &secret.replace("eu-west-1", "us-east-1")),
            None
        );
        let said = |path: &str| of(path).unwrap_or_else(|| panic!("{path}"));
        let elsewhere = said(&secret.replace("eu-west-1", "us-east-1"));
        assert!(
            elsewhere.certainty == Certainty::Likely && elsewhere.text.contains("`us-east-1`"),
            "{}",
            elsewhere.text
        );
        let odd = said(&secret.replace("eu-west-1", "CANARY"));
        assert!(!odd.text.contains("CANARY"), "{}", odd.text);
        assert!(
            said(&format!("{secret}:api_key::"))
                .text
                .contains("as ECS writes it")
        );
        let parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/llm";
        assert!(said(parameter).text.contains("something else"));
        assert!(said("llm/openai-AbCdEf").text.contains("six characters"));
        assert!(said("llm/openai").text.contains("`eu-west-1`"));
    }

    #[test]
    fn a_base_url_ends_before_the_paths_of_the_api() {
        for url in ["https://f.example.com/ai/llm", "https://f.example.com/ai"] {
            assert!(base_url(url).is_some(), "{url}");
        }
        for url in ["https://ai.example.com", "https://f.example.com/gateway"] {
            assert_eq!(base_url(url), None, "{url}");
        }
    }
}
