//! `type = "vault"`: its settings and how a source is built from them.

use std::sync::Arc;

use super::config::{VaultConfig, VaultLook, VaultTable};
use super::hints;
use super::kv_version::KvVersion;
use super::sign_in::VaultCredentials;
use super::source::VaultSource;
use crate::redact::host_and_port;
use crate::setting::Reader;
use crate::source::contract::{Source, SourceError};
use crate::source::hint::Hint;
use crate::source::kind::{Context, Example, Kind, SourceKind};

/// HashiCorp Vault and OpenBao.
pub const KIND: Kind = Kind {
    name: "vault",
    title: "Vault or OpenBao",
    settings: VaultTable::ALL,
    reference: include_str!("reference.toml"),
    example: Example {
        name: "vault",
        about: "HashiCorp Vault or OpenBao",
        text: include_str!("../../../config/examples/vault-approle.toml"),
    },
    acknowledges: Some("KV 2"),
    alone: &[],
    read,
};

fn read(table: &mut Reader<'_, '_>) -> Option<Arc<dyn SourceKind>> {
    let read = VaultTable::read(table);
    if let (Some(kv), Some(mount), Some(span)) =
        (read.kv_version.value, &read.mount.value, read.mount.span)
        && let Some(hint) = hints::kv_mount(kv, mount)
    {
        table.diagnostics.warn(Some(span), hint.text);
    }
    if let (Some(KvVersion::V1), Some(VaultLook::List), Some(span)) =
        (read.kv_version.value, read.look.value, read.look.span)
    {
        table
            .diagnostics
            .mistake(span, "KV 1 has no versions, and no list of them")
            .help("take `look` out");
    }
    Some(Arc::new(read.finish()?))
}

impl SourceKind for VaultConfig {
    /// Returns the reason for KV 1, which has no versions and cannot record which one is live.
    fn cannot_acknowledge(&self) -> Option<&'static str> {
        let is_kv_1 = self.kv_version == KvVersion::V1;
        is_kv_1.then_some("KV 1 cannot be told which version is live")
    }

    fn check_path(&self, path: &str) -> Option<Hint> {
        if !is_path(path) {
            return Some(Hint::certain(
                "this is no path in Vault: write it below the mount, as in `vault kv get -mount=secret llm/openai`: without `/` at its ends, and without `.` and `..`",
            ));
        }
        let namespace = self.namespace.as_deref();
        hints::path(namespace, &self.mount, self.kv_version, path)
    }

    /// Counts a call for each check, unless the configuration insists on lists: they are few, and how many folders
    /// there are is not known here.
    fn cost(&self, checks: f64) -> f64 {
        match self.look {
            VaultLook::Auto | VaultLook::Metadata => checks,
            VaultLook::List => checks.min(1.0),
        }
    }

    fn place(&self) -> String {
        format!("{}/{}", host_and_port(&self.address), self.mount)
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Source>, SourceError> {
        let credentials = VaultCredentials::resolve(&self.auth, context.secret);
        let source = VaultSource::new(
            context.id,
            self.clone(),
            credentials,
            context.fingerprinter,
            context.upstream,
        )?;
        Ok(Arc::new(source.acknowledging(context.acknowledge)))
    }
}

fn is_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_below_the_mount() {
        assert!(is_path("llm/openai") && is_path("a"));
        assert!(!is_path("/a") && !is_path("a/") && !is_path("a/../b"));
    }
}
