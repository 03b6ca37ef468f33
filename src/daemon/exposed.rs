//! Warnings about secrets that other users of this machine can read.

use std::sync::Arc;

use crate::config::{self, Config};

/// Logs the warnings in the background, since a file on a dead mount may never answer.
pub fn warn(config: Arc<Config>) {
    tokio::task::spawn_blocking(move || {
        for warning in config::exposed(&config) {
            tracing::warn!("{warning}");
        }
    });
}
