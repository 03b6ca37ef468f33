//! The keys of an account of Azure OpenAI, with the token endpoint of Entra ID, as they are published
//! (<https://learn.microsoft.com/rest/api/aiservices/accountmanagement/accounts/regenerate-key>,
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>). The names of the fake's
//! keys are the slots: `key1` and `key2`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use parking_lot::Mutex;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{ADMIN, Api, Call, Keys, Reply, unknown};

/// The subscription that there is.
pub const SUBSCRIPTION: &str = "5a4f5c2e-0000-4000-8000-000000000001";

/// The resource group that there is.
pub const GROUP: &str = "my group";

/// The account that there is.
pub const ACCOUNT: &str = "my-account";

/// The tenant that there is.
pub const TENANT: &str = "5a4f5c2e-0000-4000-8000-000000000002";

/// The application that may replace keys.
pub const CLIENT: &str = "5a4f5c2e-0000-4000-8000-000000000003";

/// The token of a workload that is taken for the application.
pub const WORKLOAD: &str = "eyJ.canary-of-a-workload.sig";

/// The API of Azure.
#[derive(Debug, Default)]
pub struct Azure {
    tokens: Mutex<BTreeSet<String>>,
}

impl Api for Azure {
    fn answer(&self, keys: &mut Keys, call: &Call) -> Reply {
        for slot in ["key1", "key2"] {
            if !keys.all().iter().any(|key| key.name == slot) {
                keys.mint(slot, "");
            }
        }
        let (method, path) = call.line();
        match (method, &path[..]) {
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => return self.grant(tenant, call),
            ("GET", ["openai", "v1", "models"]) => {
                return match keys.used(call.bearer().unwrap_or_default(), Utc::now()) {
                    true => Reply::new(200, json!({ "object": "list", "data": [] })),
                    false => self.error(401, "Access denied due to invalid subscription key."),
                };
            }
            _ => {}
        }
        if !call
            .bearer()
            .is_some_and(|it| self.tokens.lock().contains(it))
        {
            return self.error(401, "The access token is invalid.");
        }
        let [
            "subscriptions",
            SUBSCRIPTION,
            "resourceGroups",
            GROUP,
            "providers",
            "Microsoft.CognitiveServices",
            "accounts",
            ACCOUNT,
            action,
        ] = path[..]
        else {
            return self.error(404, "The resource was not found.");
        };
        let version = call.query.get("api-version").map(String::as_str);
        if call.query.len() != 1 || !matches!(version, Some("2024-10-01" | "2025-09-01")) {
            return self.error(400, "The api-version is missing or not supported.");
        }
        // The servers of Azure answer 411 to a POST without it.
        if call.header("content-length").is_none() {
            return self.error(411, "Length required.");
        }
        match (method, action) {
            ("POST", "listKeys") if call.body.is_empty() => both(keys),
            ("POST", "regenerateKey") => self.regenerate(keys, call),
            _ => self.error(404, "The action was not found."),
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let code = match status {
            401 => "InvalidAuthenticationToken",
            403 => "AuthorizationFailed",
            404 => "ResourceNotFound",
            429 => "TooManyRequests",
            500.. => "InternalServerError",
            _ => "BadRequest",
        };
        Reply::new(
            status,
            json!({ "error": { "code": code, "message": message } }),
        )
    }

    fn settings(&self, url: &str) -> String {
        format!(
            "type = \"azure-openai\"\nbase_url = \"{url}\"\nlogin_url = \"{url}\"\nsubscription = \"{SUBSCRIPTION}\"\n\
             resource_group = \"{GROUP}\"\naccount = \"{ACCOUNT}\"\ntenant = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\n"
        )
    }
}

impl Azure {
    fn grant(&self, tenant: &str, call: &Call) -> Reply {
        let refused = |status: u16, error: &str, why: &str| {
            let body = json!({
                "error": error,
                "error_description": format!("{why} Trace ID: 0000 Correlation ID: 0000"),
                "error_codes": [7_000_215],
                "timestamp": "2026-11-30 06:00:00Z",
            });
            Reply::new(status, body)
        };
        if call.header("content-type") != Some("application/x-www-form-urlencoded") {
            return refused(400, "invalid_request", "AADSTS900144: Not a form.");
        }
        let mut form: BTreeMap<_, _> = form_urlencoded::parse(&call.body).into_owned().collect();
        let mut take = |name: &str| form.remove(name).unwrap_or_default();
        let is_request = tenant == TENANT
            && take("client_id") == CLIENT
            && take("grant_type") == "client_credentials"
            && take("scope") == "https://management.azure.com/.default";
        let (secret, assertion) = (take("client_secret"), take("client_assertion"));
        let is_jwt = take("client_assertion_type")
            == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        if !is_request || !form.is_empty() {
            return refused(400, "invalid_request", "AADSTS90002: Bad request.");
        }
        let is_known = match is_jwt {
            true => assertion == WORKLOAD && secret.is_empty(),
            false => secret == ADMIN && assertion.is_empty(),
        };
        if !is_known {
            let why =
                format!("AADSTS7000215: Invalid client secret provided: {secret}{assertion}.");
            return refused(401, "invalid_client", &why);
        }
        let token = format!("eyJ.canary{:032x}", rand::random::<u128>());
        self.tokens.lock().insert(token.clone());
        let body = json!({
            "token_type": "Bearer",
            "expires_in": 3599,
            "ext_expires_in": 3599,
            "access_token": token,
        });
        Reply::new(200, body)
    }

    fn regenerate(&self, keys: &mut Keys, call: &Call) -> Reply {
        let body = call.json().unwrap_or_default();
        let slot = match body["keyName"].as_str() {
            Some("Key1") => "key1",
            Some("Key2") => "key2",
            _ => return self.error(400, "The key name is not one of Key1 and Key2."),
        };
        if !unknown(&body, &["keyName"]).is_empty() {
            return self.error(400, "The request content was invalid.");
        }
        let id = keys.all().iter().find(|key| key.name == slot);
        let id = id.map(|key| key.id.clone()).expect("a slot");
        keys.change(&id, |key| {
            let [one, other]: [u128; 2] = rand::random();
            key.value = format!("canary{one:032x}{other:032x}");
        });
        both(keys)
    }
}

/// Returns `ApiKeys` in the reference.
fn both(keys: &Keys) -> Reply {
    let value = |slot: &str| {
        let key = keys.all().iter().find(|key| key.name == slot);
        key.map_or(Value::Null, |key| json!(key.value))
    };
    Reply::new(200, json!({ "key1": value("key1"), "key2": value("key2") }))
}
