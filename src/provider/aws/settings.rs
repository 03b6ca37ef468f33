//! What the tables of the kinds have in common.

use serde_json::json;

use crate::redact::host_and_port;
use crate::setting::{Field, Reader, Shape, ValueType};
use crate::source::aws::AwsConfig;

/// The longest name of a user (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_User.html>).
const LONGEST_USER: usize = 64;

/// The name of a user of IAM.
pub const USER: ValueType<String> = ValueType {
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
pub const REGION: ValueType<String> = ValueType {
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

/// The way to IAM, and the user there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The sign-in.
    pub sign_in: AwsConfig,
    /// Another endpoint than IAM's own.
    pub base_url: Option<String>,
    /// The user whose keys are made and revoked.
    pub user: String,
}

impl Way {
    /// Returns whose keys they are, for people: "the IAM user flashback-llm".
    pub fn place(&self) -> String {
        let user = format!("the IAM user {}", self.user);
        match &self.base_url {
            Some(url) => format!("{user}, {}", host_and_port(url)),
            None => user,
        }
    }
}

/// Reports an external id without a role that it would be for.
pub fn check_role(role: &Field<String>, external_id: &Field<String>, table: &mut Reader<'_, '_>) {
    if let (Some(span), None) = (external_id.span, role.span) {
        table
            .diagnostics
            .mistake(span, "`external_id` is for a role, and there is none")
            .help("write `assume_role_arn` too, or take `external_id` out");
    }
}
