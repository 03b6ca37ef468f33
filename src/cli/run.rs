//! `run`: the daemon.

use std::path::Path;

use super::end::{End, fail, fail_on};
use super::setup;
use crate::config;
use crate::daemon::{self, StartError};
use crate::telemetry::log;

pub async fn run(path: Option<&Path>) -> End {
    let loaded = match setup::load(path) {
        Ok(loaded) => loaded,
        Err(end) => return end,
    };
    let wanted = &loaded.config.log;
    let (log, mut last) = match log::init_unblocked(wanted.format, &wanted.level) {
        Ok(log) => log,
        Err(error) => return fail(error),
    };
    match daemon::run(config::locate(path), loaded, log).await {
        Ok(()) => End::Done,
        Err(error @ StartError::Unresolvable(_)) => {
            fail_on(&mut last.0, error);
            End::Wrong
        }
        Err(error) => fail_on(&mut last.0, error),
    }
}
