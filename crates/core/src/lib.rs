//! What flashback-rotator decides, and the data that it decides on.
//!
//! Nothing here does I/O, reads a clock or logs: no crate that could is among the dependencies, and `tests/tidy` keeps
//! it so. Whatever is known comes in, and what is to be done goes out.
//!
//! - [`reconcile`] decides the next step for a key.
//! - [`rotation`] decides the next step of a key's rotation: mint, store, drain, revoke.
//! - [`lease`] says which keys a replica may write, and until when.
//! - [`model`] and [`secret`] are the data types that all others share.
//! - [`document`] takes the credentials out of what a source stores under a path.
//! - [`words`] says which words of a server may be shown, [`redact`] which words of a user must not be repeated, and
//!   [`lookalike`] what is no key of a provider.
//! - [`totp`] makes and checks the codes of a second factor.

pub mod document;
pub mod lease;
pub mod lookalike;
pub mod model;
pub mod reconcile;
pub mod redact;
pub mod rotation;
pub mod secret;
pub mod totp;
pub mod words;
