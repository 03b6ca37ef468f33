//! The API as data: its operations, the callers that each admits, and the fields of its query and body.
//!
//! A new operation is a line of `operations!` and a handler; a new field is a line of a table.

mod answer;
mod fields;

use axum::routing::MethodFilter;
use serde::{Deserialize, Serialize};

use self::fields::Kind::{Flag, Name, OneOf, Text, Time, Url, Whole};
use self::fields::{Field, optional, required};

pub(super) use self::answer::{Answer, Handled};
pub(super) use self::fields::Fields;

/// The callers that an operation admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admits {
    /// Anyone: the operation is a sign-in.
    Anyone,
    /// Any bearer token, also one whose second factor has not been verified yet.
    Limited,
    /// A bearer token with all rights of its account.
    Full,
}

/// One operation of the contract.
#[derive(Clone, Copy)]
pub(super) struct Contract {
    pub method: MethodFilter,
    /// The path, in the router's notation.
    pub path: &'static str,
    pub admits: Admits,
    pub query: &'static [Field],
    /// The fields of the body; `None` if no body is read.
    pub body: Option<&'static [Field]>,
}

macro_rules! operations {
    ($($name:ident: $method:ident $path:literal, $admits:ident, $query:expr, $body:expr;)*) => {
        /// The API's operations.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Operation {
            $(
                #[doc = concat!("`", stringify!($method), " ", $path, "`.")]
                $name,
            )*
        }

        impl Operation {
            /// Every operation, in the order of the table.
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            pub(super) const fn contract(self) -> Contract {
                match self {
                    $(Self::$name => Contract {
                        method: MethodFilter::$method,
                        path: $path,
                        admits: Admits::$admits,
                        query: $query,
                        body: $body,
                    },)*
                }
            }
        }
    };
}

operations! {
    List: GET "/ai/llm", Full, IN_WORKSPACE, None;
    Available: GET "/ai/llm/available", Full, &[], None;
    Stats: GET "/ai/llm/stats", Full, OF_CONFIGURATION, None;
    Create: POST "/ai/llm", Full, &[], Some(CREATE_AI_LLM);
    Update: PUT "/ai/llm/{id}", Full, &[], Some(UPDATE_AI_LLM);
    Delete: DELETE "/ai/llm/{id}", Full, &[], None;
    Validate: POST "/ai/llm/{id}/validate", Full, &[], None;
    ListStoredKeys: GET "/apikeys", Full, STORED_KEYS, None;
    CreateStoredKey: POST "/apikeys", Full, &[], Some(CREATE_STORED_KEY);
    UpdateStoredKey: PUT "/apikeys/{uuid}", Full, &[], Some(UPDATE_STORED_KEY);
    DeleteStoredKey: DELETE "/apikeys/{uuid}", Full, &[], None;
    Login: POST "/user/login", Anyone, &[], Some(LOGIN);
    Refresh: POST "/user/refresh", Anyone, &[], Some(REFRESH);
    Logout: POST "/user/logout", Full, &[], Some(LOGOUT);
    Profile: GET "/user/profile", Full, &[], None;
    VerifyLogin: POST "/mfa/verify-login", Limited, &[], Some(VERIFY_LOGIN);
    SystemEvents: POST "/systemevent", Full, &[], Some(SYSTEM_EVENTS);
}

const AI_TYPES: &[&str] = &["OPENAI", "GOOGLE", "ANTHROPIC", "AWS", "OTHER"];

const IN_WORKSPACE: &[Field] = &[optional("workspaceId", Text)];

const OF_CONFIGURATION: &[Field] = &[optional("aiLlmId", Text)];

const CREATE_AI_LLM: &[Field] = &[
    required("name", Name),
    required("aiType", OneOf(AI_TYPES)),
    optional("endpoint", Url).or_null(),
    optional("key", Text).or_null(),
    optional("secret", Text).or_null(),
    optional("apiKeyUuid", Text),
    required("workspaceId", Text),
];

const UPDATE_AI_LLM: &[Field] = &[
    optional("name", Name),
    optional("aiType", OneOf(AI_TYPES)),
    optional("endpoint", Url).or_null(),
    optional("key", Text).or_null(),
    optional("secret", Text).or_null(),
    optional("apiKeyUuid", Text),
];

const STORED_KEYS: &[Field] = &[
    optional("workspaceId", Text),
    // A set of bits: 1 storage, 2 AI, 4 cloud.
    optional("capability", Whole(0, 7)),
    optional("provider", Text),
];

const CREATE_STORED_KEY: &[Field] = &[
    required("workspaceId", Text),
    required("key", Text),
    required("secret", Text),
    required("provider", Name),
    optional("endpoint", Text),
    optional("region", Text),
    optional("tenantId", Text),
    optional("subscriptionId", Text),
    optional("description", Text),
];

const UPDATE_STORED_KEY: &[Field] = &[
    optional("key", Text),
    optional("secret", Text),
    optional("provider", Name),
    optional("endpoint", Text),
    optional("region", Text),
    optional("tenantId", Text),
    optional("subscriptionId", Text),
    optional("description", Text),
];

const LOGIN: &[Field] = &[required("email", Text), required("password", Text)];

// The API reference uses one name for the field, the official client the other.
const REFRESH: &[Field] = &[
    optional("refreshToken", Text),
    optional("refresh_token", Text),
];

const LOGOUT: &[Field] = &[required("refresh_token", Text)];

const VERIFY_LOGIN: &[Field] = &[
    required("mfaType", OneOf(&["GOOGLE_AUTH", "MAGIC_LINK", "PASSKEY"])),
    required("code", Text),
];

const SYSTEM_EVENTS: &[Field] = &[
    optional("from_timestamp", Time),
    optional("to_timestamp", Time),
    optional("contextId", Text),
    optional("context", Whole(0, 13)),
    optional("event", Whole(0, 2)),
    optional("userId", Text),
    optional("workspaceId", Text),
    optional("showUnread", Flag),
    required("skip", Whole(0, i32::MAX as u64)),
    required("take", Whole(1, 100)),
];
