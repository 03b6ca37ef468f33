//! The decision of a rotation: the next step for the provider's keys behind one key, given all that is known.
//!
//! [`decide`] is a pure function of a [`Situation`], as `reconcile::decide` is, and stands beside it: what is stored in
//! the source is delivered and verified by `reconcile` like any other version, and this decision only looks at what
//! has become live where. It is called again after each step until it returns [`Step::Rest`].
//!
//! ```text
//!            due, or asked for
//!                  │
//!            ┌─────▼─────┐ answer lost: found by its name, removed, made again
//!            │  Minting  │──────────────────────────────────────────────┐
//!            └─────┬─────┘                                              │
//!                  │ the provider has made it                          │
//!            ┌─────▼─────┐ value lost, or somebody rotated meanwhile:   │
//!            │  Minted   │ removed ─────────────────────────────────────┤
//!            └─────┬─────┘                                              │
//!                  │ the source has it                                  ▼
//!            ┌─────▼─────┐ does not work: stuck. Another version      begins
//!            │  Stored   │ is live everywhere: it is an old key        again
//!            └─────┬─────┘
//!                  │ live and verified in every key that reads the secret
//!            ┌─────▼─────┐
//!            │  current  │      the one before it:
//!            └───────────┘      ┌──────────┐ overlap over, not used     ┌──────────┐ cool-off over
//!                               │ draining │ for `idle` ──────────────▶ │ disabled │──────────────▶ deleted
//!                               └──────────┘                            └──────────┘
//! ```
//!
//! What is on record is durable before each step with an effect at the provider or in the source. Whoever reads the
//! record after a crash goes on from there:
//!
//! - A `Minting` that is found on record may or may not have been carried out. The provider's list is the judge: the
//!   key is known by its name, or where a provider keeps no names, by not having been there before and never having been
//!   used. Its value is gone, so it is removed.
//! - A `Minted` whose value is gone is judged by the source: has it the value, it is `Stored`; has it not, and can no
//!   write be under way any more, it is removed.
//!
//! A key is revoked only if it was made or adopted here, its value is live nowhere, another one is live and verified in
//! every key that reads the secret, and the provider lists that one, or at least another one, as active.

mod begin;
#[cfg(test)]
mod case;
mod decision;
mod old;
mod pace;
mod proof;
mod recover;
#[cfg(test)]
mod revocation_table;
mod revoke;
#[cfg(test)]
mod simulation;
mod situation;
mod stage;
mod step;
#[cfg(test)]
mod table;
mod transition;

pub use decision::decide;
pub use proof::{Proof, Reader};
pub use situation::{Newest, Situation};
pub use stage::{Stage, stage};
pub use step::{Change, Leaving, Question, Rest, Step};
