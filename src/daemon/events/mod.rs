//! Events: what the triggers hear becomes checks of keys.

mod listeners;
mod notices;
mod router;

pub use listeners::Listeners;
pub use notices::Notices;
pub use router::Router;
