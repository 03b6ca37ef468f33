//! The reports of the process to the outside: log lines, event names, metrics and panics.

pub mod event;
mod exposition;
mod keys;
pub mod log;
pub mod metrics;
pub mod panics;
mod process;
mod writer;
