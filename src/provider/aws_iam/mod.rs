//! `type = "aws-iam"`: the access keys of an IAM user, for keys of the type AWS.
//!
//! A user has at most two, and they have no names: one whose value was lost is found by what is in the list and was not
//! there before. So nobody else should make keys of the user.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html>
//!
//! The sign-in is the standard chain of AWS; `config/policies/aws-iam-rotate.json` is all that it must be allowed.

mod keys;

use std::sync::Arc;

use super::aws::{Iam, REGION, USER, Way, check_role};
use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::model::AiType;
use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::text::TEXT;
use crate::setting::{Reader, settings};
use crate::source::aws::{AwsConfig, ROLE_ARN};

pub use keys::AccessKeys;

/// IAM's access keys.
pub const KIND: Kind = Kind {
    name: "aws-iam",
    title: "AWS IAM",
    settings: AwsIamTable::ALL,
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Aws],
    pairs: true,
    read,
};

settings! {
    /// A provider of the type `aws-iam`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AwsIamConfig, read by AwsIamTable {
        /// The IAM user whose access keys are made and revoked: its name. Nobody else should make keys of it.
        user: String = USER, Required;
        /// A region of the partition that has the user. Default: what the standard AWS chain finds.
        region: String = REGION, Optional;
        /// A profile of the shared configuration files.
        profile: String = TEXT, Optional;
        /// A role to assume with the credentials the standard AWS chain finds.
        assume_role_arn: String = ROLE_ARN, Optional;
        /// The external id that role asks for.
        external_id: String = TEXT, Optional;
        /// Another endpoint of IAM than the region's.
        base_url: String = ENDPOINT, Optional;
    }
}

fn read(table: &mut Reader<'_, '_>) -> Option<Arc<dyn ProviderKind>> {
    let read = AwsIamTable::read(table);
    check_role(&read.assume_role_arn, &read.external_id, table);
    Some(Arc::new(read.finish()?))
}

impl AwsIamConfig {
    fn way(&self) -> Way {
        Way {
            sign_in: AwsConfig {
                region: self.region.clone(),
                profile: self.profile.clone(),
                assume_role_arn: self.assume_role_arn.clone(),
                external_id: self.external_id.clone(),
                ..AwsConfig::default()
            },
            base_url: self.base_url.clone(),
            user: self.user.clone(),
        }
    }
}

impl ProviderKind for AwsIamConfig {
    fn place(&self) -> String {
        self.way().place()
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let iam = Iam::new(self.way(), context.upstream);
        Ok(Arc::new(AccessKeys::new(iam)))
    }
}
