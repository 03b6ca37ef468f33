//! The engine reconciles one key: it observes the source, decides, acts and records.
//!
//! The engine decides nothing itself: what to do comes from [`reconcile`](crate::reconcile), when to do it from
//! the [scheduler](crate::scheduler). It sees to it that an intent is durable before a write is sent and the
//! outcome after it, that each fact is logged once, and that a failure ends in a time for the next check and never
//! in a loop. [`check`] is the entry, [`reconciler`] the loop that asks `decide` and carries out each step. [`ask`]
//! has the questions of a check, [`mod@write`] what changes something, [`ending`] its end.

mod acknowledge;
mod acknowledge_retry;
mod ask;
mod changes;
mod check;
mod context;
mod done;
mod due;
mod edited;
mod ending;
mod events;
mod lists;
mod managed_key;
mod minted;
mod next;
mod outcome;
mod problem;
mod reconciler;
pub mod report;
mod rotation;
mod rotation_report;
mod state;
#[cfg(test)]
mod tests;
mod told;
mod write;
mod written;

pub use changes::Changes;
pub use context::{Engine, Reconciled};
pub use due::due_at;
pub use edited::Edited;
pub use lists::{Lists, positions};
pub use managed_key::{KeyGuard, ManagedKey, Seen};
pub use next::Next;
pub use problem::BrokenOff;
pub use rotation_report::{OldKeyReport, RotationReport};
pub use told::{Tellings, Told, Waits};
