//! The decision: the next step for one key, given all that is known of it.
//!
//! [`decide`] is a pure function of a [`Knowledge`]. It is called again after each step, with what the step has found,
//! until it returns [`Step::Rest`]. It has no clock, does no I/O, logs nothing and uses no random numbers, so that every
//! situation can be tested.
//!
//! `desired` says which value should be live: the newest version, or a previous one. `gap` finds how the live value
//! differs from it, gives the reason for a write, and returns the step that closes the gap. When there is no gap,
//! `verification` asks whether the live value works, and `drift` whether others have changed it.
//!
//! ```text
//!                      ┌────────────┐
//!   check ───────────▶ │ observed?  │── nothing to push ─────────────────▶ Rest(Missing)
//!                      └─────┬──────┘
//!                            │ a version
//!                      ┌─────▼──────┐   held, or refused not long ago ──▶ Rest(Held, Refused)
//!                      │ changed?   │── no, and nothing unfinished ─────▶ Rest(InSync)
//!                      └─────┬──────┘
//!                            │ yes, unfinished, repair or resync due, or forced
//!                      ┌─────▼──────┐   gone, or no usable value ───────▶ Rest(Missing, Malformed)
//!                      │    Read    │── the live value again ───▶ Note ─▶ Rest(InSync)
//!                      └─────┬──────┘
//!                            │ another value
//!                      ┌─────▼──────┐ yes                     404: the id is forgotten
//!                      │ id known?  │────────▶ Push(update) ──────────────┐
//!                      └─────┬──────┘                │ 400, 403           │
//!                            │ no  ◀─────────────────┼────────────────────┘
//!                      ┌─────▼──────┐ one of that name                 │
//!                      │    List    │────────▶ Push(adopt) ──▶ Refuse ─▶ Rest(Refused)
//!                      └─────┬──────┘            ▲    ▲
//!                            │ none, or the list │    │ 400, 403, and the list has it not
//!                            ▼ is refused        │    │
//!                       Push(create) ────────────┴────┘
//!                                    refused: list once more
//! ```
//!
//! After a push that succeeded, the decision is `Rest(InSync)`. A push whose outcome is not known leaves an intent in
//! the record, and an intent is reason enough to push again: to the configuration on record or, if there is none, to
//! the one that the list shows. So a crash or a lost answer ends in one configuration and not in two.
//!
//! A key to which another replica may have written after its lease was over is marked for repair: the value that should
//! be live is written once more, as at a resync, and the record of that push removes the mark.

mod acknowledge;
mod compare;
mod decision;
mod desired;
mod drift;
mod gap;
mod home;
mod knowledge;
mod previous;
mod pushed;
mod remember;
mod step;
mod transition;
mod verification;

#[cfg(test)]
mod drift_table;
#[cfg(test)]
mod repair_table;
#[cfg(test)]
pub(crate) mod scenario;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod stored_key_table;
#[cfg(test)]
mod table;
#[cfg(test)]
mod verification_record;
#[cfg(test)]
mod verification_table;

pub(crate) use self::acknowledge::proven;
pub use self::acknowledge::{Owed, may_be_owed, owed, stands_apart};
pub use self::compare::{compare, news};
pub use self::decision::decide;
pub use self::home::find;
pub use self::knowledge::{
    Clearance, Compared, Drift, Knowledge, ListAge, Older, Read, ReadValue, Rejection, Remote,
    Rules,
};
pub use self::pushed::Pushed;
pub use self::step::{Conclusion, HoldReason, Push, Question, Reason, Rest, Stand, Step, What};

#[cfg(test)]
use crate::model::{KeyCommand, Live, Observation, Stage, Stored, Version};
#[cfg(test)]
use crate::secret::Fingerprint;
