//! HashiCorp Vault and OpenBao.
//!
//! A look costs one request for a key's metadata, which exposes no value. Where a policy denies
//! metadata, the look is a read of the data, and metadata is tried again now and then. KV 1 has
//! no versions: the keyed digest of what it holds stands for one.
//!
//! `wire` sends requests, `refusal` says what an answer that is no success means, `kv` what the
//! engines hold, `older` what they held before, `mounted` which engine it is, and `acknowledge` writes
//! which version is live. `config` has its settings, `auth` those of the ways to sign in, and `kind` makes a source of them. `sign_in` knows the methods, `token` is what they give, `keeper` gets and renews
//! it, and `asking` asks once more where one did not.

mod acknowledge;
mod asking;
mod auth;
mod config;
mod deletion;
mod entry;
mod hints;
mod keeper;
mod kind;
mod kv;
mod kv_version;
mod mounted;
mod older;
mod refusal;
mod sign_in;
mod source;
mod token;
mod value_types;
mod wire;

pub use auth::VaultAuth;
pub use config::VaultConfig;
pub use kind::KIND;
pub use kv_version::KvVersion;
pub use sign_in::VaultCredentials;
pub use source::VaultSource;
