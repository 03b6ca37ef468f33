//! The sandbox's records: configurations, stored keys, events and an account. They know nothing of HTTP or
//! faults, and hold digests in place of credentials.

mod account;
mod configuration;
mod digests;
mod event;
mod platform;
mod stored_key;
mod table;

pub use self::configuration::Shown;
pub use self::digests::sha256_hex;
pub use self::stored_key::ShownKey;

pub(super) use self::configuration::Configuration;
pub(super) use self::digests::Digests;
pub(super) use self::event::{CONTEXTS, Dated, EVENTS, Event};
pub(super) use self::platform::Platform;
pub(super) use self::stored_key::{DETAILS, StoredKey};

/// The placeholder that the API shows instead of a credential.
const MASK: &str = "********";

/// The id of the only organization.
const ORGANISATION: &str = "sandbox-organisation";
