//! flashback-rotator keeps the LLM provider keys in Flashback in step with the stores where they
//! are rotated.
//!
//! A rotation travels through the modules in this order, one way:
//!
//! 1. [`scheduler`] wakes a key. A wake-up says *look*, never *what changed*.
//! 2. [`engine`] observes: a [`source`] is asked for the version, the [`state`] for the record.
//! 3. [`reconcile`] turns observation, record and time into the next step, and does nothing else.
//! 4. [`engine`] carries the step out: it reads the secret or writes it into [`flashback`], with
//!    the intent recorded before a write and the outcome after it.
//!
//! Underneath: [`model`] and [`secret`] are the nouns, [`document`] takes credentials out of what
//! a store holds, [`upstream`] is the one way to call an outside service and [`outbound`] the one way to make
//! an HTTP client for it, [`lease`] says what this process may work on where several share the keys,
//! [`retry`] says what a failure means, [`credential`] where the rotator's own credentials come from,
//! [`token`] keeps what a sign-in gives, [`settled`] whether a file has been written whole, [`lookalike`]
//! what is plainly no key, [`verify`] whether a key is one, [`progress`] whether the checks get on.
//! [`notify`] tells people. Around it: [`config`], [`runtime`] (a configuration made real), [`membership`] (who holds which key),
//! [`supervise`] (tasks that outlive their panics), [`daemon`], [`http`], [`telemetry`] and the commands in
//! [`cli`].

mod answerer;
pub mod cli;
pub mod config;
pub mod credential;
pub mod daemon;
pub mod document;
pub mod engine;
mod error_chain;
mod failpoint;
mod files;
pub mod flashback;
pub mod http;
pub mod humanize;
pub mod lease;
pub mod lookalike;
pub mod membership;
pub mod model;
pub mod notify;
mod occurrence;
pub mod outbound;
pub mod progress;
pub mod reconcile;
pub mod redact;
pub mod retry;
pub mod runtime;
pub mod scheduler;
pub mod secret;
pub mod settled;
pub mod source;
pub mod state;
pub mod status;
pub mod supervise;
pub mod telemetry;
mod terminal;
pub mod token;
pub mod upstream;
pub mod verify;
pub mod words;
