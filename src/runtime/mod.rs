//! A configuration made real: the sources, the target and the keys it asks for.
//!
//! On a reload whatever did not change is taken over as it is, with its connections, its tokens
//! and the work under way.

mod build;
mod by_secret;
mod context;
mod credential;
mod error;
mod handle;
mod instance;
mod lists;
mod prober;
mod readers;
mod receivers;
mod sync;

pub use self::build::build;
pub use self::context::RuntimeContext;
pub use self::error::RuntimeError;
pub use self::handle::RuntimeHandle;
pub use self::instance::Runtime;
pub use self::sync::PANICKED;
