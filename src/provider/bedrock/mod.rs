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

use super::aws::{Iam, IamUser, IamUserTable};
use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::model::AiType;
use crate::setting::settings;
use expires::DAYS;

pub use expires::Days;
pub use keys::BedrockKeys;

/// IAM's API keys for Bedrock.
pub const KIND: Kind = Kind {
    name: "bedrock",
    title: "Amazon Bedrock",
    settings: &[
        &IamUserTable::user,
        &EXPIRES,
        &IamUserTable::region,
        &IamUserTable::profile,
        &IamUserTable::assume_role_arn,
        &IamUserTable::external_id,
        &IamUserTable::base_url,
    ],
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Other],
    pairs: false,
    read: |table| {
        let expires = table.get(&EXPIRES);
        let user = IamUser::of(table)?;
        Some(Arc::new(BedrockConfig { user, expires }))
    },
};

settings! {
    /// How long a key lives, whoever forgets it: whole days, longer than a rotation takes to come. Default: it does not expire.
    EXPIRES: Days = "expires", DAYS, Optional;
}

/// A provider of the type `bedrock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BedrockConfig {
    user: IamUser,
    expires: Option<Days>,
}

impl ProviderKind for BedrockConfig {
    fn place(&self) -> String {
        self.user.place()
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let iam = Iam::new(&self.user, context.upstream);
        Ok(Arc::new(BedrockKeys::new(iam, self.expires)))
    }
}
