//! The client that verifies keys with their providers.

use std::sync::Arc;

use super::instance::Runtime;
use crate::config::Config;
use crate::telemetry::metrics::Metrics;
use crate::verify::{LiveProber, Prober};

/// Returns the old client, which knows the hosts that did not answer, if none of its settings changed, and a new one
/// otherwise.
pub(super) fn prober(
    config: &Config,
    metrics: &Arc<Metrics>,
    old: Option<&Runtime>,
) -> Arc<dyn Prober> {
    let region = aws_region(config);
    if let Some(old) = old
        && aws_region(&old.config) == region
        && old.config.retry == config.retry
    {
        return Arc::clone(&old.engine.prober);
    }
    let prober = LiveProber::new(Arc::clone(metrics), config.retry, region.map(str::to_owned));
    Arc::new(prober)
}

/// Returns the region in which AWS keys are verified whose endpoint names none: that of the first source that has
/// one.
fn aws_region(config: &Config) -> Option<&str> {
    let mut sources = config.sources.values();
    sources.find_map(|source| source.kind.aws_region())
}
