//! The KV engine of a source, as records name it.

use crate::source::vault::{KvVersion, VaultConfig};

/// The longest path of a secret that is taken, in bytes: sources refuse longer ones.
const LONGEST_PATH: usize = 4096;

/// The KV engine whose changes are listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// The namespace and the mount, each with a `/` behind it: `team/secret/`.
    root: String,
    kv: KvVersion,
}

/// What a request with success means for an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// This secret was written, and the answer has its version if the engine has versions.
    Written(&'a str),
    /// Another change of this secret: versions were deleted, undeleted or destroyed.
    Changed(&'a str),
    /// Any secret may have changed.
    Everything(&'static str),
    /// It changed no secret here.
    Nothing,
}

impl Engine {
    /// Returns the engine that these settings name.
    pub fn of(config: &VaultConfig) -> Self {
        let namespace = config.namespace.as_deref().unwrap_or_default();
        // A server takes `root` for its root namespace, too.
        let namespace = match namespace.trim_matches('/') {
            "" | "root" => String::new(),
            name => format!("{name}/"),
        };
        Self {
            root: format!("{namespace}{}/", config.mount.trim_matches('/')),
            kv: config.kv_version,
        }
    }

    /// Returns the meaning of a request in `namespace`, which ends in a `/` or is empty.
    pub(super) fn meaning<'a>(
        &self,
        namespace: &str,
        operation: &str,
        path: &'a str,
    ) -> Meaning<'a> {
        let is_write = matches!(operation, "create" | "update" | "patch");
        let is_delete = operation == "delete";
        // A mount and a namespace in a namespace may look alike here; both names together do not.
        let Some(mount) = self
            .root
            .strip_prefix(namespace)
            .filter(|it| !it.is_empty())
        else {
            return Meaning::Nothing;
        };
        if !is_write && !is_delete {
            return Meaning::Nothing;
        }
        let meaning = match (path.strip_prefix(mount), self.kv) {
            (Some(path), KvVersion::V1) if is_write => Meaning::Written(path),
            (Some(path), KvVersion::V1) => Meaning::Changed(path),
            (Some(path), KvVersion::V2) => versioned(path, is_write),
            (None, _) => return of_mounts(mount, path),
        };
        match meaning {
            Meaning::Written(path) | Meaning::Changed(path) if !is_secret(path) => Meaning::Nothing,
            meaning => meaning,
        }
    }
}

/// Returns the meaning of a write or delete below a mount of KV 2
/// (<https://openbao.org/api-docs/secret/kv/kv-v2/>). A write of metadata changes no version; what acknowledges a
/// version is one.
fn versioned(path: &str, is_write: bool) -> Meaning<'_> {
    match path.split_once('/') {
        Some(("data", path)) if is_write => Meaning::Written(path),
        Some(("data", path)) => Meaning::Changed(path),
        Some(("delete" | "undelete" | "destroy", path)) if is_write => Meaning::Changed(path),
        Some(("metadata", path)) if !is_write => Meaning::Changed(path),
        _ => Meaning::Nothing,
    }
}

/// Returns the meaning of a write or delete outside the mount: another engine may be in its place.
fn of_mounts(mount: &str, path: &str) -> Meaning<'static> {
    let moved = path == "sys/remount";
    let mounted = path
        .strip_prefix("sys/mounts/")
        .is_some_and(|name| name.trim_end_matches('/') == mount.trim_end_matches('/'));
    match moved || mounted {
        true => Meaning::Everything("an engine was mounted, moved or unmounted"),
        false => Meaning::Nothing,
    }
}

fn is_secret(path: &str) -> bool {
    !path.is_empty() && !path.ends_with('/') && path.len() <= LONGEST_PATH
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn engine(root: &str, kv: KvVersion) -> Engine {
        let root = root.to_owned();
        Engine { root, kv }
    }

    #[test]
    fn writes_and_deletes_of_the_engine_are_changes_and_all_else_is_not() {
        use Meaning::{Changed, Everything, Nothing, Written};
        let kv2 = engine("secret/", KvVersion::V2);
        let moved = Everything("an engine was mounted, moved or unmounted");
        for (operation, path, meaning) in [
            ("create", "secret/data/llm/openai", Written("llm/openai")),
            ("update", "secret/data/data/x", Written("data/x")),
            ("patch", "secret/data/x", Written("x")),
            ("delete", "secret/data/x", Changed("x")),
            ("update", "secret/delete/x", Changed("x")),
            ("update", "secret/undelete/x", Changed("x")),
            ("update", "secret/destroy/x", Changed("x")),
            ("delete", "secret/metadata/x", Changed("x")),
            ("patch", "secret/metadata/x", Nothing),
            ("update", "secret/metadata/x", Nothing),
            ("read", "secret/data/x", Nothing),
            ("list", "secret/metadata/x/", Nothing),
            ("update", "secret/config", Nothing),
            ("update", "secret/data/", Nothing),
            ("update", "secret2/data/x", Nothing),
            ("delete", "sys/mounts/secret", moved),
            ("update", "sys/remount", moved),
            ("update", "sys/mounts/secret/tune", Nothing),
            ("update", "sys/mounts/other", Nothing),
        ] {
            assert_eq!(
                kv2.meaning("", operation, path),
                meaning,
                "{operation} {path}"
            );
        }
        let kv1 = engine("kv/", KvVersion::V1);
        assert_eq!(
            kv1.meaning("", "create", "kv/data/x"),
            Written("data/x"),
            "KV 1 has no prefixes"
        );
        assert_eq!(kv1.meaning("", "delete", "kv/x"), Changed("x"));
    }

    #[test]
    fn namespace_and_mount_must_both_be_those_of_the_source() {
        let team = engine("team/a/b/", KvVersion::V2);
        let write = |namespace, path| team.meaning(namespace, "update", path);
        assert_eq!(write("team/", "a/b/data/x"), Meaning::Written("x"));
        assert_eq!(write("team/a/", "b/data/x"), Meaning::Written("x"));
        for (namespace, path) in [
            ("", "a/b/data/x"),
            ("other/", "a/b/data/x"),
            ("team/", "b/data/x"),
            ("team/a/b/", "data/x/y"),
        ] {
            assert_eq!(
                write(namespace, path),
                Meaning::Nothing,
                "{namespace}{path}"
            );
        }
    }
}
