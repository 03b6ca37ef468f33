//! Fakes of the administrative APIs of providers, in memory: a server for each test.
//!
//! What they have in common, and OpenAI's, are those of the sandbox, which the demo uses, too.

pub mod anthropic;
pub mod azure;
pub mod bedrock;
pub mod google;
pub mod openrouter;

pub use flashback_rotator::flashback::sandbox::provider::*;
