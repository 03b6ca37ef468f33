//! The administrative API of a provider, in memory: a server that makes and revokes keys.
//!
//! Each is written from the published contract of its provider, which its module names, and is strict: what the
//! contract does not have is refused. What they have in common is here: the keys with their values (`keys`), what can
//! be made to go wrong with a call (`state`), the server, and what its user does with it all (`fake`). A fake also takes
//! the keys that it has, in the cheapest call of the provider that needs one, so that a verification can be pointed at
//! it.

mod call;
mod fake;
mod keys;
pub mod openai;
mod server;
mod state;

pub use call::{ADMIN, Call, Reply, unknown};
pub use fake::Fake;
pub use keys::{FakeKey, Keys};
pub use state::{Api, Fault};
