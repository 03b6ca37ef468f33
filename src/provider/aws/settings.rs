//! What the tables of the kinds have in common.

use serde_json::json;

use crate::redact::host_and_port;
use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::text::TEXT;
use crate::setting::{Reader, Shape, ValueType, settings};
use crate::source::aws::{AwsConfig, ROLE_ARN};

/// The longest name of a user (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_User.html>).
const LONGEST_USER: usize = 64;

/// The name of a user of IAM.
const USER: ValueType<String> = ValueType {
    shape: Shape::Text(
        || json!({ "type": "string", "pattern": "^[A-Za-z0-9_+=,.@-]+$", "minLength": 1, "maxLength": LONGEST_USER }),
    ),
    read: |input| {
        let text = input.text("flashback-llm")?;
        let may_be = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if text.len() > LONGEST_USER || !text.chars().all(may_be) {
            input
                .wrong("is not the name of a user of IAM")
                .help("write its name, as in `flashback-llm`: no path and no ARN");
            return None;
        }
        Some(text.to_owned())
    },
};

/// A region, such as `eu-west-1`.
const REGION: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "pattern": "^[a-z0-9-]+$" })),
    read: |input| {
        let text = input.text("eu-west-1")?;
        let may_be = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !text.chars().all(may_be) {
            input
                .wrong("is not the name of a region")
                .help("write `eu-west-1`");
            return None;
        }
        Some(text.to_owned())
    },
};

settings! {
    /// A user of IAM, and the way to it.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct IamUser, read by IamUserTable {
        /// The IAM user whose keys are made and revoked: its name. Nobody else should make keys of it.
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

impl IamUser {
    /// Reads it from the table of a provider, or reports mistakes.
    pub fn of(table: &mut Reader<'_, '_>) -> Option<Self> {
        let read = IamUserTable::read(table);
        if let (Some(span), None) = (read.external_id.span, read.assume_role_arn.span) {
            table
                .diagnostics
                .mistake(span, "`external_id` is for a role, and there is none")
                .help("write `assume_role_arn` too, or take `external_id` out");
        }
        read.finish()
    }

    /// Returns how it is signed in.
    pub fn sign_in(&self) -> AwsConfig {
        AwsConfig {
            region: self.region.clone(),
            profile: self.profile.clone(),
            assume_role_arn: self.assume_role_arn.clone(),
            external_id: self.external_id.clone(),
            ..AwsConfig::default()
        }
    }

    /// Returns whose keys they are, for people: "the IAM user flashback-llm".
    pub fn place(&self) -> String {
        let user = format!("the IAM user {}", self.user);
        match &self.base_url {
            Some(url) => format!("{user}, {}", host_and_port(url)),
            None => user,
        }
    }
}
