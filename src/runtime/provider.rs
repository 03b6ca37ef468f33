//! Who asks the providers of the keys.

use std::sync::Arc;

use super::instance::Runtime;
use crate::config::Config;
use crate::telemetry::metrics::Metrics;
use crate::verify::{Prober, Provider};

/// Takes over the old one, which knows what gave no answer, where nothing that it goes by changed.
pub(super) fn provider(
    config: &Config,
    metrics: &Arc<Metrics>,
    old: Option<&Runtime>,
) -> Arc<dyn Provider> {
    let region = aws_region(config);
    if let Some(old) = old
        && aws_region(&old.config) == region
        && old.config.retry == config.retry
    {
        return Arc::clone(&old.engine.provider);
    }
    let prober = Prober::new(Arc::clone(metrics), config.retry, region.map(str::to_owned));
    Arc::new(prober)
}

/// Where AWS keys are asked about whose endpoint names no region: where the first source is that
/// names one.
fn aws_region(config: &Config) -> Option<&str> {
    let mut sources = config.sources.values();
    sources.find_map(|source| source.kind.aws_region())
}
