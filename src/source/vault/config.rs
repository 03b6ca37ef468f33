//! `type = "vault"`: the settings.

use std::path::PathBuf;

use serde_json::json;

use super::auth::{self, VaultAuth};
use super::kv_version::KvVersion;
use super::value_types::{ADDRESS, MOUNT};
use crate::setting::tree::Value;
use crate::setting::value_types::place::PATH;
use crate::setting::value_types::text::{TEXT, words};
use crate::setting::{Choice, Shape, ValueType, settings};

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
        /// How the versions of KV 2 secrets are looked at: `metadata` asks for each secret by itself, `list` for all of a folder at once (OpenBao 2.2 and later), `auto` for a list where there is one and 8 or more keys are in the folder.
        look: VaultLook = LOOK, Default;
        /// A PEM file with the certificate authorities to trust, beside the system's.
        ca_file: PathBuf = PATH, Optional;
        /// How to sign in.
        auth: VaultAuth = auth::AUTH, Required;
    }
}

/// The way in which the secrets of a source are observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VaultLook {
    /// With others in the same folder where that pays, and one by one where the server or the policy has no list.
    #[default]
    Auto,
    /// One by one.
    Metadata,
    /// With others in the same folder. It is an error where there is no list.
    List,
}

const LOOKS: Choice<VaultLook> = &[
    ("auto", VaultLook::Auto),
    ("metadata", VaultLook::Metadata),
    ("list", VaultLook::List),
];

const LOOK: ValueType<VaultLook> = ValueType {
    shape: Shape::Text(|| words(LOOKS)),
    read: |input| input.choice(LOOKS),
};

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
