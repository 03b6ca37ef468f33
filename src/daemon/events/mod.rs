//! Events: what the triggers hear becomes checks of keys.

mod listeners;
mod router;

pub use listeners::Listeners;
pub use router::Router;
