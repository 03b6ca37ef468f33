//! `type = "bedrock"`: the long-term API keys of an IAM user for Amazon Bedrock, for keys of the type OTHER.
//!
//! Such a key is one value that is sent as a bearer token. Flashback's type AWS is for a pair, with which it signs, so
//! these keys are for the type OTHER with an endpoint of Bedrock that takes OpenAI's API, such as
//! `https://bedrock-mantle.eu-west-1.api.aws/v1`
//! (<https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html>).
//!
//! To IAM they are service-specific credentials. A user has at most two for Bedrock, and IAM gives them their names: one
//! whose value was lost is found by what is in the list and was not there before. So nobody else should make keys of
//! the user. IAM does not say when one was last used.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_bedrock.html>
//!
//! The sign-in is the standard chain of AWS; `config/policies/bedrock-rotate.json` is all that it must be allowed.

mod expires;
mod keys;
mod value;

use std::sync::Arc;

use super::aws::{Iam, REGION, USER, Way, check_role};
use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::model::AiType;
use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::text::TEXT;
use crate::setting::{Reader, settings};
use crate::source::aws::{AwsConfig, ROLE_ARN};
use expires::EXPIRES;

pub use expires::Days;
pub use keys::BedrockKeys;

/// IAM's API keys for Bedrock.
pub const KIND: Kind = Kind {
    name: "bedrock",
    title: "Amazon Bedrock",
    settings: BedrockTable::ALL,
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Other],
    pairs: false,
    read,
};

settings! {
    /// A provider of the type `bedrock`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct BedrockConfig, read by BedrockTable {
        /// The IAM user whose Bedrock API keys are made and revoked: its name. Nobody else should make keys of it.
        user: String = USER, Required;
        /// How long a key lives, whoever forgets it: whole days, longer than a rotation takes to come. Default: it does not expire.
        expires: Days = EXPIRES, Optional;
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
    let read = BedrockTable::read(table);
    check_role(&read.assume_role_arn, &read.external_id, table);
    Some(Arc::new(read.finish()?))
}

impl BedrockConfig {
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

impl ProviderKind for BedrockConfig {
    fn place(&self) -> String {
        self.way().place()
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let iam = Iam::new(self.way(), context.upstream);
        Ok(Arc::new(BedrockKeys::new(iam, self.expires)))
    }
}
