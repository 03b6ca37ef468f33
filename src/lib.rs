//! flashback-rotator keeps the LLM provider keys in Flashback in step with the sources where they are
//! rotated: Vault, OpenBao, AWS Secrets Manager or a directory of files.
//!
//! A rotation travels through these modules, in this order:
//!
//! 1. [`scheduler`] says when a key is checked. It names the key, and never what has changed.
//! 2. [`engine`] observes: it asks the [`source`] for the version and the [`state`] for the key's record.
//! 3. [`reconcile`] decides the next step from the observation, the record and the time. It does nothing else.
//! 4. [`engine`] carries the step out: it reads the secret, or writes it into [`flashback`], with the intent
//!    recorded before the write and the outcome after it.
//!
//! Data and checks that need no service:
//!
//! - [`model`] and [`secret`] are the data types that all others share.
//! - [`document`] takes the credentials out of what a source stores under a path.
//! - [`lookalike`] and [`verify::sanity`] refuse a value that cannot be a key of its provider.
//! - [`settled`] checks that a file has been written completely before it is used.
//! - [`retry`] says what a failure means and how long to wait.
//!
//! Calls to outside services:
//!
//! - [`upstream`] is the only way to make a call, with limits, a time-out and a circuit breaker; [`outbound`] is
//!   the only way to make an HTTP client.
//! - [`credential`] resolves the rotator's own credentials, and [`token`] keeps the token of a sign-in alive.
//! - [`verify::provider`] asks the provider whether a key works.
//!
//! Several processes may share the keys of one state: [`lease`] says what this process may work on, and
//! [`membership`] decides which replica leases which key.
//!
//! The program around it: [`setting`] (how a setting is declared and read), [`config`], [`runtime`] (what is built
//! from a configuration), [`daemon`], [`supervise`] (restarts tasks that panic), [`progress`] (detects checks that
//! hang), [`notify`] (notifies people), [`status`], [`http`], [`telemetry`], and the commands in [`cli`].

pub use flashback_rotator_core::{
    document, lookalike, model, reconcile, redact, rotation, secret, words,
};

mod answerer;
pub mod cli;
pub mod config;
pub mod credential;
pub mod daemon;
pub mod discovery;
pub mod engine;
mod error_chain;
mod failpoint;
mod files;
pub mod flashback;
pub mod http;
pub mod humanize;
pub mod lease;
pub mod membership;
pub mod notify;
mod occurrence;
pub mod outbound;
pub mod progress;
pub mod provider;
pub mod retry;
pub mod runtime;
pub mod scheduler;
pub mod setting;
pub mod settled;
pub mod source;
pub mod state;
pub mod status;
pub mod supervise;
pub mod telemetry;
mod terminal;
pub mod token;
pub mod trigger;
pub mod upstream;
pub mod verify;
