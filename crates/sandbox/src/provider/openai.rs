//! OpenAI's API of the keys of a project, and its list of models, as its reference has them
//! (<https://platform.openai.com/docs/api-reference/project-api-keys>,
//! <https://github.com/openai/openai-openapi>).

use serde_json::{Value, json};

use super::{ADMIN, Api, Call, FakeKey, Keys, Reply, unknown};

/// The project that there is.
pub const PROJECT: &str = "proj_abc";

/// The service account that there is.
pub const ACCOUNT: &str = "svc_acct_abc";

/// The API of OpenAI.
#[derive(Debug, Default)]
pub struct OpenAi {
    /// `true` to refuse deleting the keys of service accounts, as the reference did until 2026.
    pub keeps_keys_of_accounts: bool,
}

impl Api for OpenAi {
    fn answer(&self, keys: &mut Keys, call: &Call) -> Reply {
        let (method, path) = call.line();
        if let ("GET", ["v1", "models"]) = (method, &path[..]) {
            return self.models(keys, call);
        }
        if call.bearer() != Some(ADMIN) {
            return self.error(401, "Incorrect API key provided.");
        }
        let ["v1", "organization", "projects", project, rest @ ..] = &path[..] else {
            return self.error(404, &format!("Invalid URL ({method} /{})", path.join("/")));
        };
        if *project != PROJECT {
            return self.error(404, &format!("No project found with id {project}"));
        }
        match (method, rest) {
            ("GET", ["api_keys"]) => self.list(keys, call),
            ("GET", ["api_keys", id]) => match keys.get(id) {
                Some(key) => Reply::new(200, shown(key)),
                None => self.error(404, "No API key found"),
            },
            ("DELETE", ["api_keys", id]) => self.delete(keys, id),
            ("POST", ["service_accounts", account, "api_keys"]) => self.mint(keys, account, call),
            _ => self.error(404, &format!("Invalid URL ({method} /{})", path.join("/"))),
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let (kind, code) = match status {
            401 => ("invalid_request_error", json!("invalid_api_key")),
            429 => ("requests", json!("rate_limit_exceeded")),
            500.. => ("server_error", Value::Null),
            _ => ("invalid_request_error", Value::Null),
        };
        let error = json!({ "message": message, "type": kind, "param": null, "code": code });
        Reply::new(status, json!({ "error": error }))
    }

    fn settings(&self, url: &str) -> String {
        format!(
            "type = \"openai\"\nbase_url = \"{url}/v1\"\nproject = \"{PROJECT}\"\nservice_account = \"{ACCOUNT}\"\n"
        )
    }
}

impl OpenAi {
    fn models(&self, keys: &mut Keys, call: &Call) -> Reply {
        let value = call.bearer().unwrap_or_default();
        match keys.used(value, chrono::Utc::now()) {
            true => {
                let model = json!({ "id": "gpt-5", "object": "model", "created": 1_754_000_000, "owned_by": "openai" });
                Reply::new(200, json!({ "object": "list", "data": [model] }))
            }
            false => self.error(401, "Incorrect API key provided."),
        }
    }

    /// `limit` from 1 to 100, 20 if there is none; `after` an id.
    fn list(&self, keys: &mut Keys, call: &Call) -> Reply {
        let known = ["limit", "after", "owner_project_access"];
        if let Some(name) = call.query.keys().find(|name| !known.contains(&&***name)) {
            return self.error(400, &format!("Unknown parameter: '{name}'."));
        }
        let limit = call.query.get("limit").map_or("20", String::as_str);
        let Some(limit) = limit.parse().ok().filter(|limit| (1..=100).contains(limit)) else {
            return self.error(400, "Invalid value for 'limit'.");
        };
        let all = keys.listed();
        let from = match call.query.get("after") {
            None => 0,
            Some(after) => match all.iter().position(|key| key.id == *after) {
                Some(at) => at + 1,
                None => return self.error(400, "Invalid value for 'after'."),
            },
        };
        let page: Vec<_> = all.iter().skip(from).take(limit).collect();
        let id = |key: Option<&&FakeKey>| key.map(|key| key.id.clone());
        let body = json!({
            "object": "list",
            "data": page.iter().map(|key| shown(key)).collect::<Vec<_>>(),
            "first_id": id(page.first()),
            "last_id": id(page.last()),
            "has_more": all.len() > from + page.len(),
        });
        Reply::new(200, body)
    }

    fn mint(&self, keys: &mut Keys, account: &str, call: &Call) -> Reply {
        if account != ACCOUNT {
            return self.error(404, "No service account found");
        }
        let Some(body) = call.json() else {
            return self.error(400, "We could not parse the JSON body of your request.");
        };
        if let Some(name) = unknown(&body, &["name", "scopes", "expires_in_seconds"]).first() {
            return self.error(400, &format!("Unknown parameter: '{name}'."));
        }
        let name = match body.get("name") {
            None => "Secret Key",
            Some(Value::String(name)) if !name.is_empty() => name,
            Some(_) => return self.error(400, "Invalid type for 'name'."),
        };
        if keys.is_full() {
            return self.error(400, "The project has reached its limit of API keys.");
        }
        let key = keys.mint(name, "sk-svcacct-");
        let body = json!({
            "object": "organization.project.service_account.api_key",
            "id": key.id,
            "value": key.value,
            "name": key.name,
            "created_at": key.created_at.timestamp(),
            "expires_at": null,
        });
        Reply::new(200, body)
    }

    fn delete(&self, keys: &mut Keys, id: &str) -> Reply {
        if self.keeps_keys_of_accounts && keys.get(id).is_some() {
            return self.error(400, "The key belongs to a service account.");
        }
        match keys.remove(id) {
            true => Reply::new(
                200,
                json!({ "object": "organization.project.api_key.deleted", "id": id, "deleted": true }),
            ),
            false => self.error(404, "No API key found"),
        }
    }
}

/// Returns what is shown of a key: `ProjectApiKey` in the reference.
fn shown(key: &FakeKey) -> Value {
    let account = json!({
        "object": "organization.project.service_account",
        "id": ACCOUNT,
        "name": "rotator",
        "role": "member",
        "created_at": 1_711_471_533,
    });
    json!({
        "object": "organization.project.api_key",
        "id": key.id,
        "name": key.name,
        "redacted_value": key.masked(11, "****"),
        "created_at": key.created_at.timestamp(),
        "last_used_at": key.last_used.map(|at| at.timestamp()),
        "owner": { "type": "service_account", "service_account": account },
        "owner_project_access": "active",
        "expires_at": null,
    })
}
