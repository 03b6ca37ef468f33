//! What the benchmarks share: a store that writes down who asked it for what, what a process takes,
//! and figures in Markdown and in pictures.

pub mod audit;
pub mod plot;
pub mod process;
pub mod report;
pub mod store;
#[allow(unused_imports, reason = "the rest is for the tests")]
#[path = "../../tests/support/mod.rs"]
pub mod support;
