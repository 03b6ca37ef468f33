//! Promise 11: no secret reaches a log at any level, an error, a metric, the state, a core dump, a
//! command line or a page.
//!
//! Every secret there is gets a value of its own that nothing else looks like, a canary. The real
//! binary works with them, the log as loud as it goes; then everything it said and every file it
//! wrote is searched for any piece of any of them, plain or encoded.

pub mod canary;
mod misplaced;
pub mod process;
mod server;
mod stubs;
mod tap;
mod words;
pub mod work;
