//! What is told to the outside: log lines, event names, metrics, panics.

pub mod event;
mod exposition;
mod keys;
pub mod log;
pub mod metrics;
pub mod panics;
mod process;
mod writer;
