//! Fakes of the administrative APIs of providers, in memory: a server for each test.
//!
//! Each is written from the published contract of its provider, which its module names, and is strict: what the
//! contract does not have is refused. What they have in common is here: the keys with their values (`keys`), what can
//! be made to go wrong with a call (`state`), the server, and what a test does with it all (`fake`). A fake also takes
//! the keys that it has, in the cheapest call of the provider that needs one, so that a verification can be pointed at
//! it.

pub mod anthropic;
pub mod azure;
pub mod bedrock;
mod call;
mod fake;
pub mod google;
mod keys;
pub mod openai;
pub mod openrouter;
mod server;
mod state;

use call::unknown;

pub use call::{ADMIN, Call, Reply};
pub use fake::Fake;
pub use keys::{FakeKey, Keys};
pub use state::{Api, Fault};
