//! AWS Secrets Manager.
//!
//! The version of a secret is the id of the one with the staging label `AWSCURRENT`, even if the label is moved back to
//! a previous version. `AWSPENDING` marks a rotation under way and is ignored. A secret is observed with
//! `DescribeSecret`, which never returns a value, or with `BatchGetSecretValue` together with up to nineteen others, if
//! the configuration says so.
//!
//! `endpoint_url` applies to Secrets Manager alone: a private (VPC) endpoint serves one service, so signing in through
//! it would fail. The endpoint of STS is the one in the SDK's own settings (`AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`,
//! or `services` in the profile).

mod account;
mod batch;
mod calls;
mod clock;
mod config;
mod credentials;
mod error;
mod fault;
mod hints;
mod identity;
mod kind;
mod list;
mod session;
mod shown;
mod source;
mod store;
mod versions;

pub use account::{Account, QueueOperation, explain_queue};
pub use config::{AwsConfig, AwsLook, ROLE_ARN};
pub use credentials::SignIn;
pub use fault::{Answered, Fault};
pub use kind::KIND;
pub use source::AwsSource;
