//! The configuration: TOML in, a [`Config`] that cannot be wrong out.
//!
//! Every mistake is reported in one go, with its place and a remedy and without the value.
//!
//! Each table is declared in the file of its name; [`setting`](crate::setting) says what that means. The tables
//! of the sources stand with their kinds, in [`source`](crate::source). `assemble` makes one [`Config`] of all,
//! and finds what only shows when all of them are known.

mod assemble;
mod credentials;
mod defaults;
mod discover;
mod discovered;
mod events;
mod exposed;
mod flashback;
mod general;
mod key;
mod keys;
mod kinds;
mod lints;
mod load;
mod model;
mod notify;
mod providers;
mod reference;
mod root;
mod rotate;
mod rotations;
mod schema;
mod sources;
mod state;
mod state_table;
mod state_url;
mod verify;

pub use crate::credential::{SecretRef, ValueRef};
pub use crate::model::{Check, CronLine, KeyConfig, VerifyConfig};
pub use crate::setting::{Mistake, Report};
pub use credentials::{CredentialPlan, Owner};
pub use discovered::Discoveries;
pub use exposed::exposed;
pub use flashback::FlashbackAuth;
pub use general::{HttpConfig, LogConfig, LogFormat};
pub use kinds::{KINDS, Kinds};
pub use lints::period_of;
pub use load::{Digest, Loaded, Peeked, digest, load, locate, peek};
pub use model::{Config, FlashbackConfig, ProviderConfig, RuleConfig, SourceConfig};
pub use notify::NotifyConfig;
pub use reference::reference;
pub use schema::schema;
pub use state::{PostgresConfig, PostgresHost, SslMode, SslRoots, StateConfig};
