//! IAM, which has the keys of AWS: what the kinds `aws-iam` and `bedrock` have in common.
//!
//! There is no administrative key: the sign-in is the standard chain of AWS, as that of the source
//! `aws-secrets-manager`, and so are its settings. `base_url` applies to IAM alone; the endpoint of STS is the one in
//! the SDK's own settings (`AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`, or `services` in the profile).
//!
//! IAM is eventually consistent: a change may be refused, or be missing from a list, for some seconds
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>).
//!
//! - `settings`: what the tables have in common; `client`: the calls; `error`: what their errors mean; `value`: reading
//!   what is answered

mod client;
mod error;
mod settings;
mod value;

pub use client::Iam;
pub use error::{Answer, Call, of_source};
pub use settings::{IamUser, IamUserTable};
pub use value::{key_id, key_of, missing, time};

/// The most keys of a kind that a user of IAM can have, disabled ones included: access keys, and Bedrock API keys. It
/// cannot be raised (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
pub const LIMIT: usize = 2;

/// The most pages of a list that are read: each has a hundred keys.
pub const MOST_PAGES: usize = 20;
