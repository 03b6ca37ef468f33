//! `type = "vault"`: the settings.

use std::path::PathBuf;

use serde_json::json;

use super::auth::{self, VaultAuth};
use super::kv_version::KvVersion;
use super::value_types::{ADDRESS, MOUNT};
use crate::setting::tree::Value;
use crate::setting::value_types::place::PATH;
use crate::setting::value_types::text::TEXT;
use crate::setting::{Shape, ValueType, settings};

settings! {
    /// A source of the type `vault`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct VaultConfig, read by VaultTable {
        /// Scheme, host and port, without a path.
        address: String = ADDRESS, Required;
        /// The namespace, where there are any.
        namespace: String = TEXT, Optional;
        /// Where the KV engine is mounted.
        mount: String = MOUNT, Default;
        /// The KV engine's version: 2 with versions of a secret, 1 without.
        kv_version: KvVersion = KV_VERSION, Default;
        /// A PEM file with the certificate authorities to trust, beside the system's.
        ca_file: PathBuf = PATH, Optional;
        /// How to sign in.
        auth: VaultAuth = auth::AUTH, Required;
    }
}

const KV_VERSION: ValueType<KvVersion> = ValueType {
    shape: Shape::Leaf(|| json!({ "enum": [1, 2] })),
    read: |input| match input.node.value {
        Value::Integer(Some(1)) => Some(KvVersion::V1),
        Value::Integer(Some(2)) => Some(KvVersion::V2),
        _ => {
            input.wrong("must be 1 or 2").help(
                "write `kv_version = 2` where secrets have versions (`vault secrets list -detailed` shows `version:2`), else `kv_version = 1`",
            );
            None
        }
    },
};
