//! `type = "aws-secrets-manager"`: its settings and how a source is built from them.

use std::sync::Arc;

use super::config::{AwsConfig, AwsLook, AwsTable};
use super::hints;
use super::source::AwsSource;
use crate::redact::host_and_port;
use crate::setting::Reader;
use crate::source::contract::{Source, SourceError};
use crate::source::hint::Hint;
use crate::source::kind::{Context, Example, Kind, SourceKind};

/// The number of batches a second below which they are sent before they are full.
const BATCHES: f64 = 10.0;

/// AWS Secrets Manager.
pub const KIND: Kind = Kind {
    name: "aws-secrets-manager",
    title: "AWS Secrets Manager",
    settings: AwsTable::ALL,
    reference: include_str!("reference.toml"),
    example: Example {
        name: "aws",
        about: "AWS Secrets Manager",
        text: include_str!("../../../config/examples/aws-role.toml"),
    },
    acknowledges: Some("AWS"),
    alone: &[],
    read,
};

fn read(table: &mut Reader<'_, '_>) -> Option<Arc<dyn SourceKind>> {
    let read = AwsTable::read(table);
    if let (Some(span), None) = (read.external_id.span, read.assume_role_arn.span) {
        table
            .diagnostics
            .mistake(span, "`external_id` is for a role, and there is none")
            .help("write `assume_role_arn` too, or take `external_id` out");
    }
    Some(Arc::new(read.finish()?))
}

impl SourceKind for AwsConfig {
    fn check_path(&self, path: &str) -> Option<Hint> {
        hints::path(self.region.as_deref(), path)
    }

    /// Counts a batch for every twenty checks, and at least ten a second: observations that share a call wait a tenth
    /// of a second for each other, so a batch may go before it is full.
    fn cost(&self, checks: f64) -> f64 {
        match self.look {
            AwsLook::Describe => checks,
            AwsLook::Batch => {
                let full = checks / f64::from(self.look.at_once());
                checks.min(full.max(BATCHES))
            }
        }
    }

    fn aws_region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    fn place(&self) -> String {
        let region = self.region.as_deref();
        let region = region.unwrap_or("region of the environment");
        match &self.endpoint_url {
            Some(endpoint) => format!("{region}, {}", host_and_port(endpoint)),
            None => region.to_owned(),
        }
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Source>, SourceError> {
        let source = AwsSource::new(context.id, self.clone(), context.upstream);
        Ok(Arc::new(source.acknowledging(context.acknowledge)))
    }
}
