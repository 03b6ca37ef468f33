//! `type = "aws-iam"`: the access keys of an IAM user, for keys of the type AWS.
//!
//! A user has at most two, and they have no names: one whose value was lost is found by what is in the list and was not
//! there before. So nobody else should make keys of the user.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html>
//!
//! The sign-in is the standard chain of AWS; `config/policies/aws-iam-rotate.json` is all that it must be allowed.

mod keys;

use std::sync::Arc;

use super::aws::{Iam, IamUser, IamUserTable};
use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::model::AiType;

pub use keys::AccessKeys;

/// IAM's access keys.
pub const KIND: Kind = Kind {
    name: "aws-iam",
    title: "AWS IAM",
    settings: IamUserTable::ALL,
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Aws],
    pairs: true,
    read: |table| Some(Arc::new(AwsIamConfig(IamUser::of(table)?))),
};

/// A provider of the type `aws-iam`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsIamConfig(IamUser);

impl ProviderKind for AwsIamConfig {
    fn place(&self) -> String {
        self.0.place()
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let iam = Iam::new(&self.0, context.upstream);
        Ok(Arc::new(AccessKeys::new(iam)))
    }
}
