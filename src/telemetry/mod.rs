//! What is told to the outside: log lines, event names, metrics.

pub mod event;
pub mod log;
pub mod metrics;
