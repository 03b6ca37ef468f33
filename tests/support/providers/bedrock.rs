//! IAM's API of service-specific credentials, as far as it is about Bedrock, which moto does not have; and Bedrock's
//! list of models, which takes the keys. As the references have them
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceSpecificCredential.html> and the pages beside
//! it, <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_bedrock.html>).
//!
//! A call of IAM is a form that is signed for the service `iam`; the signature itself is not checked. A list has one
//! key a page: IAM may return fewer than it is asked for.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Days, SecondsFormat, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Api, Call, FakeKey, Keys, Reply};

/// The user that there is.
pub const USER: &str = "flashback-bedrock";

/// The account that there is.
const ACCOUNT: &str = "123456789012";

const SERVICE: &str = "bedrock.amazonaws.com";

/// The most keys of a user.
const LIMIT: usize = 2;

/// The API of IAM and Bedrock.
#[derive(Debug, Default)]
pub struct Bedrock;

type Form = BTreeMap<String, String>;

impl Api for Bedrock {
    fn answer(&self, keys: &mut Keys, call: &Call) -> Reply {
        match call.line() {
            ("GET", path) if path == ["v1", "models"] => models(keys, call),
            ("POST", path) if path == [""] => self.iam(keys, call),
            _ => Reply::new(404, Value::Null),
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        match status {
            403 => refused(403, "AccessDenied", message),
            429 => refused(400, "Throttling", message),
            500.. => refused(status, "ServiceFailure", message),
            _ => refused(status, "ValidationError", message),
        }
    }

    fn settings(&self, url: &str) -> String {
        format!(
            "type = \"bedrock\"\nbase_url = \"{url}\"\nregion = \"us-east-1\"\nuser = \"{USER}\"\n"
        )
    }

    /// Calls of IAM are told apart by their action.
    fn name(&self, call: &Call) -> String {
        let form = form(call);
        let action = form.get("Action").cloned();
        let path = call.path.join("/");
        format!("{} {}", call.method, action.unwrap_or(format!("/{path}")))
    }
}

impl Bedrock {
    fn iam(&self, keys: &mut Keys, call: &Call) -> Reply {
        let kind = call.header("content-type").unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return self.error(400, "not a form");
        }
        let signed = call.header("authorization").unwrap_or_default();
        if !signed.starts_with("AWS4-HMAC-SHA256 Credential=")
            || !signed.contains("/us-east-1/iam/aws4_request")
            || call.header("x-amz-date").is_none()
        {
            return refused(
                403,
                "MissingAuthenticationToken",
                "Request is missing Authentication Token",
            );
        }
        let form = form(call);
        let text = |name: &str| form.get(name).map_or("", String::as_str);
        let action = text("Action");
        let known: &[&str] = match action {
            "CreateServiceSpecificCredential" => &["UserName", "ServiceName", "CredentialAgeDays"],
            "ListServiceSpecificCredentials" => {
                &["UserName", "ServiceName", "AllUsers", "Marker", "MaxItems"]
            }
            "UpdateServiceSpecificCredential" => {
                &["UserName", "ServiceSpecificCredentialId", "Status"]
            }
            "DeleteServiceSpecificCredential" => &["UserName", "ServiceSpecificCredentialId"],
            _ => return refused(400, "InvalidAction", "Could not find operation"),
        };
        let is_known = |name: &String| {
            ["Action", "Version"].contains(&name.as_str()) || known.contains(&name.as_str())
        };
        if text("Version") != "2010-05-08" || !form.keys().all(is_known) {
            return self.error(400, "unknown parameters");
        }
        if text("UserName") != USER {
            let message = format!("The user with name {} cannot be found.", text("UserName"));
            return refused(404, "NoSuchEntity", &message);
        }
        if known.contains(&"ServiceName") && text("ServiceName") != SERVICE {
            return refused(
                404,
                "NotSupportedService",
                "The specified service is not supported.",
            );
        }
        match action {
            "CreateServiceSpecificCredential" => self.create(keys, &form),
            "ListServiceSpecificCredentials" => list(keys, text("Marker")),
            "UpdateServiceSpecificCredential" => self.update(keys, &form),
            _ => done(action, keys.remove(text("ServiceSpecificCredentialId"))),
        }
    }

    fn update(&self, keys: &mut Keys, form: &Form) -> Reply {
        let text = |name: &str| form.get(name).map_or("", String::as_str);
        let active = match text("Status") {
            "Active" => true,
            "Inactive" => false,
            _ => return self.error(400, "Status is Active or Inactive"),
        };
        let changed = keys.change(text("ServiceSpecificCredentialId"), |key| {
            key.active = active;
        });
        done(text("Action"), changed.is_some())
    }

    fn create(&self, keys: &mut Keys, form: &Form) -> Reply {
        let days: Option<u64> = match form.get("CredentialAgeDays") {
            None => None,
            Some(days) => match days.parse() {
                Ok(days) if (1..=36_600).contains(&days) => Some(days),
                _ => return self.error(400, "CredentialAgeDays is from 1 to 36600"),
            },
        };
        let there = keys.all();
        if there.len() >= LIMIT {
            let message = "Cannot exceed quota for ServiceSpecificCredentialsPerUser: 2";
            return refused(409, "LimitExceeded", message);
        }
        let aliases = ["", "+1"].map(|number| format!("{USER}{number}-at-{ACCOUNT}"));
        let free = aliases
            .into_iter()
            .find(|alias| there.iter().all(|key| key.name != *alias));
        let alias = free.expect("fewer than two keys");
        let [one, other]: [u128; 2] = rand::random();
        let secret = format!("{alias}:canary{one:032x}{other:032x}");
        let value = format!("ABSK{}", STANDARD.encode(secret));
        let added = keys.add(&alias, &value).id;
        let id = format!("ACCA{:0>17}", added.trim_start_matches("key_"));
        let key = keys.change(&added, |key| key.id = id).expect("a key");
        let expires = days.and_then(|days| key.created_at.checked_add_days(Days::new(days)));
        let expires = expires.map_or_else(String::new, |at| element("ExpirationDate", &time(at)));
        let secret = element("ServiceCredentialSecret", &value);
        let shown = element(
            "ServiceSpecificCredential",
            &(shown(&key) + &expires + &secret),
        );
        result("CreateServiceSpecificCredential", &shown)
    }
}

/// Answers a call of Bedrock's list of models
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html>).
fn models(keys: &mut Keys, call: &Call) -> Reply {
    let value = call.bearer().unwrap_or_default();
    match keys.used(value, Utc::now()) {
        true => {
            let model = json!({ "id": "openai.gpt-oss-120b", "object": "model", "created": 1_754_000_000, "owned_by": "openai" });
            Reply::new(200, json!({ "object": "list", "data": [model] }))
        }
        false => {
            let error = json!({ "code": "invalid_api_key", "message": "Invalid bearer token", "type": "authentication_error" });
            Reply::new(401, json!({ "error": error }))
        }
    }
}

fn list(keys: &mut Keys, marker: &str) -> Reply {
    let all = keys.listed();
    let from = all.iter().position(|key| key.id == marker).unwrap_or(0);
    let page = all
        .get(from)
        .map_or_else(String::new, |key| element("member", &shown(key)));
    let next = all.get(from + 1);
    let more = element("IsTruncated", if next.is_some() { "true" } else { "false" });
    let marker = next.map_or_else(String::new, |key| element("Marker", &key.id));
    let page = element("ServiceSpecificCredentials", &page);
    result("ListServiceSpecificCredentials", &(page + &more + &marker))
}

fn done(action: &str, found: bool) -> Reply {
    match found {
        true => xml(
            200,
            &format!(
                "<{action}Response><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></{action}Response>"
            ),
        ),
        false => refused(
            404,
            "NoSuchEntity",
            "The service specific credential cannot be found.",
        ),
    }
}

/// Returns what is shown of a key: `ServiceSpecificCredentialMetadata` in the reference.
fn shown(key: &FakeKey) -> String {
    [
        ("UserName", USER),
        ("Status", if key.active { "Active" } else { "Inactive" }),
        ("ServiceCredentialAlias", &key.name),
        ("CreateDate", &time(key.created_at)),
        ("ServiceSpecificCredentialId", &key.id),
        ("ServiceName", SERVICE),
    ]
    .map(|(name, text)| element(name, text))
    .concat()
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn element(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

fn result(action: &str, inner: &str) -> Reply {
    let result = element(&format!("{action}Result"), inner);
    let metadata = element("ResponseMetadata", &element("RequestId", "request-1"));
    xml(
        200,
        &element(&format!("{action}Response"), &(result + &metadata)),
    )
}

/// Returns an error as IAM says it (<https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>).
fn refused(status: u16, code: &str, message: &str) -> Reply {
    let error = [("Type", "Sender"), ("Code", code), ("Message", message)];
    let error = error.map(|(name, text)| element(name, text)).concat();
    let body = element("Error", &error) + &element("RequestId", "request-1");
    xml(status, &element("ErrorResponse", &body))
}

fn xml(status: u16, body: &str) -> Reply {
    Reply::new(status, Value::String(body.to_owned()))
}

fn form(call: &Call) -> Form {
    form_urlencoded::parse(&call.body).into_owned().collect()
}
