//! AWS Secrets Manager.
//!
//! The version of a secret is the id of the one that carries the staging label `AWSCURRENT`,
//! wherever the label is moved, backwards too. `AWSPENDING` is a rotation under way and is not
//! looked at. A look is `DescribeSecret`, which never carries a value, or, where the configuration
//! says so, one twentieth of a `BatchGetSecretValue`.
//!
//! `endpoint_url` is Secrets Manager's alone: a private (VPC) endpoint serves one service, so
//! signing in through it would fail. STS goes where the SDK's own settings say
//! (`AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`, or `services` in the profile).

mod batch;
mod calls;
mod config;
mod credentials;
mod error;
mod hints;
mod identity;
mod kind;
mod session;
mod shown;
mod source;
mod versions;

pub use config::{AwsConfig, AwsLook};
pub use kind::KIND;
pub use source::AwsSource;
