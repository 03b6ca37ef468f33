//! HashiCorp Vault and OpenBao.
//!
//! An observation costs one request for a key's metadata, which exposes no value. If a policy denies metadata, the data
//! are read instead, and metadata are tried again from time to time. Where the server has lists with metadata, one of them
//! answers for all the keys of a folder (`look`). KV 1 has no versions: the keyed digest of a value
//! identifies it.
//!
//! - `kind`: builds a source from its settings; `config`: the settings; `auth`: the settings for signing in;
//!   `value_types`: the syntax of addresses and mounts
//! - `source`: the source itself; `observing`: observes secrets one by one; `hints`: hints about wrong paths
//! - `wire`: sends one request; `refusal`: converts answers that are no success into errors
//! - `sign_in`: the methods of signing in; `token`: a token and what is known of it; `keeper`: obtains and renews
//!   tokens; `asking`: repeats a request with another token if the first one was dead
//! - `kv`: reads secrets; `entry`: one secret; `older`: previous versions; `deletion`: versions with a deletion time
//! - `folders`: decides which observations are answered from a list
//! - `list`: requests a list; `tree`: lists a part of the engine; `denials`: what a policy denies or a server does not offer
//! - `kv_version`: the two KV engines; `mounted`: checks which engine is mounted
//! - `subscription`: opens a connection for events
//! - `acknowledge`: records which version is live; `store`: writes new credentials; `may_store`: asks if it would be allowed

mod acknowledge;
mod asking;
mod auth;
mod config;
mod deletion;
mod denials;
mod entry;
mod folders;
mod hints;
mod keeper;
mod kind;
mod kv;
mod kv_version;
mod list;
mod may_store;
mod mounted;
mod observing;
mod older;
mod refusal;
mod sign_in;
mod source;
mod store;
mod subscription;
mod token;
mod tree;
mod value_types;
mod wire;

pub use auth::VaultAuth;
pub use config::{VaultConfig, VaultLook};
pub use entry::version;
pub use kind::KIND;
pub use kv_version::KvVersion;
pub use sign_in::VaultCredentials;
pub use source::VaultSource;
pub use subscription::Subscriber;
pub use wire::Opened;
