//! The triggers, which hear that a secret has changed.
//!
//! A trigger listens to what a source sends out and says *check this path now*, or *I may have missed something*. It
//! carries no value and changes no decision: a change that is lost, told twice, told late or made up costs at most
//! one check.
//!
//! A new kind of trigger is a folder here, its `pub mod` and its place in [`KINDS`].

pub mod audit;
pub mod audit_file;
pub mod audit_socket;
pub mod contract;
pub mod feed;
mod heard;
mod inotify;
pub mod kind;
pub mod sqs;
pub mod subscribe;
mod unheard;
pub mod watch;

pub use contract::{Ear, Trigger, TriggerError};
pub use feed::Feed;
pub use heard::Heard;
pub use kind::{Context, Kind, TriggerKind};

/// Every kind of trigger that `[sources.….events]` can name.
pub const KINDS: &[Kind] = &[
    audit_file::KIND,
    audit_socket::KIND,
    sqs::KIND,
    subscribe::KIND,
    watch::KIND,
];
