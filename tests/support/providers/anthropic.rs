//! Anthropic's API of the keys of an organization, and its list of models, as its reference has them
//! (<https://platform.claude.com/docs/en/api/admin-api/apikeys/list-api-keys>) and its own client
//! (`organization.api_keys` in <https://github.com/anthropics/anthropic-sdk-python>). It makes no keys.

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{ADMIN, Api, Call, FakeKey, Keys, Reply, unknown};

/// The workspace that there is.
pub const WORKSPACE: &str = "wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ";

/// The versions that there are (<https://platform.claude.com/docs/en/api/versioning>). Here they are the same.
const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];

/// The API of Anthropic.
#[derive(Debug, Default)]
pub struct Anthropic {
    archived: Mutex<Vec<FakeKey>>,
}

impl Api for Anthropic {
    fn answer(&self, keys: &mut Keys, call: &Call) -> Reply {
        let version = call.header("anthropic-version");
        if !version.is_some_and(|version| VERSIONS.contains(&version)) {
            return self.error(400, "anthropic-version: header is required");
        }
        let (method, path) = call.line();
        if let ("GET", ["v1", "models"]) = (method, &path[..]) {
            return self.models(keys, call);
        }
        if caller(call) != Some(ADMIN) {
            return self.error(401, "invalid x-api-key");
        }
        match (method, &path[..]) {
            ("GET", ["v1", "organizations", "api_keys"]) => self.list(keys, call),
            ("GET", ["v1", "organizations", "api_keys", id]) => self.one(keys, id),
            ("POST", ["v1", "organizations", "api_keys", id]) => self.change(keys, id, call),
            _ => self.error(404, "Not found"),
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let kind = match status {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        let error = json!({ "type": kind, "message": message });
        let body = json!({ "type": "error", "error": error, "request_id": "req_011" });
        Reply::new(status, body)
    }

    fn settings(&self, url: &str) -> String {
        format!("type = \"anthropic\"\nbase_url = \"{url}\"\n")
    }
}

impl Anthropic {
    fn models(&self, keys: &mut Keys, call: &Call) -> Reply {
        let value = caller(call).unwrap_or_default();
        if !keys.used(value, chrono::Utc::now()) {
            return self.error(401, "invalid x-api-key");
        }
        let model = json!({
            "type": "model",
            "id": "claude-opus-4",
            "display_name": "Claude Opus 4",
            "created_at": "2025-05-14T00:00:00Z",
        });
        let body = json!({ "data": [model], "has_more": false, "first_id": "claude-opus-4", "last_id": "claude-opus-4" });
        Reply::new(200, body)
    }

    /// `limit` from 1 to 1000, 20 if there is none; `after_id` an id.
    fn list(&self, keys: &mut Keys, call: &Call) -> Reply {
        let known = ["limit", "after_id", "status", "workspace_id"];
        if call.query.keys().any(|name| !known.contains(&&**name)) {
            return self.error(400, "Extra inputs are not permitted");
        }
        let limit = call.query.get("limit").map_or("20", String::as_str);
        let Some(limit) = limit
            .parse()
            .ok()
            .filter(|limit| (1..=1000).contains(limit))
        else {
            return self.error(400, "limit: Input should be less than or equal to 1000");
        };
        let archived = self.archived.lock().clone();
        let archived = archived.iter().map(|key| shown(key, "archived"));
        let listed = keys.listed();
        let listed = listed.iter().map(|key| shown(key, status(key)));
        let mut all: Vec<Value> = archived.chain(listed).collect();
        if let Some(workspace) = call.query.get("workspace_id") {
            all.retain(|key| key["scope"]["workspace_id"] == **workspace);
        }
        if let Some(status) = call.query.get("status") {
            all.retain(|key| key["status"] == **status);
        }
        let from = match call.query.get("after_id") {
            None => 0,
            Some(after) => match all.iter().position(|key| key["id"] == **after) {
                Some(at) => at + 1,
                None => return self.error(400, "after_id: not found"),
            },
        };
        let page: Vec<_> = all.iter().skip(from).take(limit).collect();
        let id = |key: Option<&&Value>| key.map(|key| key["id"].clone());
        let body = json!({
            "first_id": id(page.first()),
            "last_id": id(page.last()),
            "has_more": all.len() > from + page.len(),
            "data": page,
        });
        Reply::new(200, body)
    }

    fn one(&self, keys: &Keys, id: &str) -> Reply {
        if let Some(key) = keys.get(id) {
            return Reply::new(200, shown(key, status(key)));
        }
        let archived = self.archived.lock();
        match archived.iter().find(|key| key.id == id) {
            Some(key) => Reply::new(200, shown(key, "archived")),
            None => self.error(404, "API key not found"),
        }
    }

    fn change(&self, keys: &mut Keys, id: &str, call: &Call) -> Reply {
        let known = ["name", "status"];
        let body = call.json().filter(|body| unknown(body, &known).is_empty());
        let Some(body) = body else {
            return self.error(400, "Extra inputs are not permitted");
        };
        if self.archived.lock().iter().any(|key| key.id == id) {
            return self.error(400, "An archived API key cannot be changed");
        }
        let name = body["name"].as_str();
        let changed = keys.change(id, |key| {
            key.name = name.unwrap_or(&key.name).to_owned();
            match body["status"].as_str() {
                Some("active") => key.active = true,
                Some("inactive" | "archived") => key.active = false,
                _ => {}
            }
        });
        let Some(changed) = changed else {
            return self.error(404, "API key not found");
        };
        match body["status"].as_str() {
            Some("archived") => {
                keys.remove(id);
                self.archived.lock().push(changed);
            }
            None | Some("active" | "inactive") => {}
            Some(_) => {
                return self.error(
                    400,
                    "status: Input should be 'active', 'inactive' or 'archived'",
                );
            }
        }
        self.one(keys, id)
    }
}

/// Returns the credential of a call, which the reference sends in one of two headers.
fn caller(call: &Call) -> Option<&str> {
    match (call.header("x-api-key"), call.bearer()) {
        (Some(key), None) | (None, Some(key)) => Some(key),
        _ => None,
    }
}

fn status(key: &FakeKey) -> &'static str {
    match key.active {
        true => "active",
        false => "inactive",
    }
}

/// Returns what is shown of a key: `APIKey` in the reference.
fn shown(key: &FakeKey, status: &str) -> Value {
    json!({
        "type": "api_key",
        "id": key.id,
        "name": key.name,
        "status": status,
        "partial_key_hint": key.masked(16, "..."),
        "created_at": key.created_at.to_rfc3339(),
        "created_by": { "type": "user", "id": "user_01WCz1FkmYMm4gnmykNKUu3Q" },
        "expires_at": null,
        "principal": null,
        "scope": { "type": "workspace", "workspace_id": WORKSPACE },
    })
}
