//! `run`: the daemon.

use std::path::Path;

use super::end::{End, fail, fail_on};
use super::setup;
use crate::config;
use crate::daemon::{self, StartError};
use crate::telemetry::log;

pub async fn run(path: Option<&Path>) -> Result<End, End> {
    let loaded = setup::load(path)?;
    let wanted = &loaded.config.log;
    let log = log::init_unblocked(wanted.format, &wanted.level);
    let (log, mut last) = log.map_err(fail)?;
    match daemon::run(config::locate(path), loaded, log).await {
        Ok(()) => Ok(End::Done),
        Err(error @ StartError::Unresolvable(_)) => {
            fail_on(&mut last.0, error);
            Err(End::Wrong)
        }
        Err(error) => Err(fail_on(&mut last.0, error)),
    }
}
