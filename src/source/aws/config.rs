//! `type = "aws-secrets-manager"`: the settings.

use serde_json::json;

use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::text::{TEXT, words};
use crate::setting::{Choice, Shape, ValueType, settings};

settings! {
    /// A source of the type `aws-secrets-manager`.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct AwsConfig, read by AwsTable {
        /// The region. Default: what the standard AWS chain finds.
        region: String = TEXT, Optional;
        /// A profile of the shared configuration files.
        profile: String = TEXT, Optional;
        /// A role to assume with the credentials the standard AWS chain finds.
        assume_role_arn: String = ROLE_ARN, Optional;
        /// The external id that role asks for.
        external_id: String = TEXT, Optional;
        /// Another endpoint, such as a VPC endpoint.
        endpoint_url: String = ENDPOINT, Optional;
        /// How secrets are looked at: `describe` asks for each by itself and is given no value, `batch` asks for twenty at a time.
        look: AwsLook = LOOK, Default;
    }
}

/// The way in which the secrets of a source are observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AwsLook {
    /// One by one, with no value in the answer.
    #[default]
    Describe,
    /// Twenty at a time, with values in the answer.
    Batch,
}

impl AwsLook {
    /// Returns the most secrets that one call observes.
    pub fn at_once(self) -> u32 {
        match self {
            Self::Describe => 1,
            Self::Batch => 20,
        }
    }
}

const LOOKS: Choice<AwsLook> = &[("describe", AwsLook::Describe), ("batch", AwsLook::Batch)];

const LOOK: ValueType<AwsLook> = ValueType {
    shape: Shape::Text(|| words(LOOKS)),
    read: |input| input.choice(LOOKS),
};

/// The ARN of a role.
pub const ROLE_ARN: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "pattern": "^arn:[^:]+:iam::[0-9]+:role/" })),
    read: |input| {
        let text = input.text("arn:aws:iam::123456789012:role/rotator")?;
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let is_role =
            matches!(parts[..], ["arn", _, "iam", "", _, role] if role.starts_with("role/"));
        if !is_role {
            input
                .wrong("is not the ARN of a role")
                .help("write `arn:aws:iam::123456789012:role/rotator`");
            return None;
        }
        Some(text.to_owned())
    },
};
