//! Helpers for the benchmarks: a source with an audit log, the resources that a process uses, and figures in
//! Markdown and as pictures.

pub mod audit;
pub mod plot;
pub mod process;
pub mod report;
pub mod store;
#[allow(unused_imports, reason = "the rest is for the tests")]
#[path = "../../tests/support/mod.rs"]
pub mod support;
