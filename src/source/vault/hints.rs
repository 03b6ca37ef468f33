//! Hints about paths and mounts in Vault.

use super::kv_version::KvVersion;
use crate::source::hint::Hint;

/// Returns a hint if a path begins with something that is not part of it: `v1/`, the namespace, the mount, and what
/// the API of KV 2 has after the mount.
pub fn path(namespace: Option<&str>, mount: &str, kv: KvVersion, path: &str) -> Option<Hint> {
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

/// Returns a hint if the mount of a KV engine has something that is not part of it.
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

/// Returns a hint if the mount of an auth method has something that is not part of it.
pub fn auth_mount(mount: &str) -> Option<Hint> {
    let bare = mount.strip_prefix("v1/").unwrap_or(mount);
    (bare.starts_with("auth/") || mount.len() != bare.len() || mount.ends_with("/login")).then(|| {
        Hint::likely(
            "`mount` is written as in an address: write it as `vault auth list` shows it, without `auth/` before it and `/login` after it",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::hint::Certainty;

    #[test]
    fn hints_name_the_path_prefixes_that_are_added_automatically() {
        let hint = |at| path(Some("team"), "secret", KvVersion::V2, at);
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
        assert_eq!(path(None, "kv", KvVersion::V1, "data/x"), None);
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
}
