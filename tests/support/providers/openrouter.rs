//! OpenRouter's API of keys, as its reference has it
//! (<https://openrouter.ai/docs/api/api-reference/api-keys/list>) and its own client (`openrouter` on PyPI).

use serde_json::{Value, json};

use super::{ADMIN, Api, Call, FakeKey, Keys, Reply, unknown};

/// The default workspace.
pub const WORKSPACE: &str = "0df9e665-d932-5740-b2c7-b52af166bc11";

/// The number of keys on a page.
const PAGE: usize = 100;

/// The API of OpenRouter.
#[derive(Debug, Default)]
pub struct OpenRouter {
    /// `true` to leave `last_used_at` out, as servers did until 2026.
    pub hides_use: bool,
}

impl Api for OpenRouter {
    fn answer(&self, keys: &mut Keys, call: &Call) -> Reply {
        let (method, path) = call.line();
        let ["api", "v1", rest @ ..] = &path[..] else {
            return self.error(404, "Not Found");
        };
        match (method, rest) {
            // Everybody is told, whatever the key.
            ("GET", ["models"]) => return Reply::new(200, json!({ "data": [{ "id": "m/m" }] })),
            ("GET", ["key"]) => return self.current(keys, call),
            _ => {}
        }
        if call.bearer() != Some(ADMIN) {
            return self.error(401, "Invalid management key");
        }
        match (method, rest) {
            ("GET", ["keys"]) => self.list(keys, call),
            ("POST", ["keys"]) => self.mint(keys, call),
            ("GET", ["keys", hash]) => self.one(keys.get(hash)),
            ("PATCH", ["keys", hash]) => self.change(keys, hash, call),
            ("DELETE", ["keys", hash]) => match keys.remove(hash) {
                true => Reply::new(200, json!({ "deleted": true })),
                false => self.error(404, "API key not found"),
            },
            _ => self.error(404, "Not Found"),
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let error = json!({ "code": status, "message": message });
        Reply::new(status, json!({ "error": error, "user_id": null }))
    }

    fn settings(&self, url: &str) -> String {
        format!("type = \"openrouter\"\nbase_url = \"{url}/api/v1\"\n")
    }
}

impl OpenRouter {
    fn current(&self, keys: &mut Keys, call: &Call) -> Reply {
        let value = call.bearer().unwrap_or_default();
        match keys.used(value, chrono::Utc::now()) {
            true => Reply::new(200, json!({ "data": { "label": "…", "usage": 0 } })),
            false => self.error(401, "User not found."),
        }
    }

    /// Pages of a hundred, the newest first.
    fn list(&self, keys: &mut Keys, call: &Call) -> Reply {
        let known = [
            "include_disabled",
            "include_expired",
            "offset",
            "workspace_id",
        ];
        if call.query.keys().any(|name| !known.contains(&&**name)) {
            return self.error(400, "Invalid request parameters");
        }
        let with_disabled = match call.query.get("include_disabled").map(String::as_str) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return self.error(400, "Invalid request parameters"),
        };
        let offset = call.query.get("offset").map_or("0", String::as_str);
        let Ok(offset) = offset.parse::<usize>() else {
            return self.error(400, "Invalid request parameters");
        };
        let asked = call.query.get("workspace_id").map(String::as_str);
        if asked.is_some_and(|workspace| workspace != WORKSPACE) {
            return Reply::new(200, json!({ "data": [] }));
        }
        let mut all = keys.listed();
        all.retain(|key| key.active || with_disabled);
        let page = all.iter().rev().skip(offset).take(PAGE);
        let page: Vec<_> = page.map(|key| self.shown(key)).collect();
        Reply::new(200, json!({ "data": page }))
    }

    fn mint(&self, keys: &mut Keys, call: &Call) -> Reply {
        let known = [
            "name",
            "creator_user_id",
            "expires_at",
            "external",
            "include_byok_in_limit",
            "limit",
            "limit_reset",
            "workspace_id",
        ];
        let body = call.json().filter(|body| unknown(body, &known).is_empty());
        let Some(body) = body else {
            return self.error(400, "Invalid request body");
        };
        let Some(name) = body["name"].as_str().filter(|name| !name.is_empty()) else {
            return self.error(400, "Name is required");
        };
        let workspace = &body["workspace_id"];
        if !workspace.is_null() && workspace != WORKSPACE {
            return self.error(403, "No access to the workspace");
        }
        if keys.is_full() {
            return self.error(400, "The maximum number of keys has been reached");
        }
        let key = keys.mint(name, "sk-or-v1-");
        let body = json!({ "key": key.value, "data": self.shown(&key) });
        Reply::new(201, body)
    }

    fn change(&self, keys: &mut Keys, hash: &str, call: &Call) -> Reply {
        let known = [
            "name",
            "disabled",
            "limit",
            "limit_reset",
            "include_byok_in_limit",
        ];
        let body = call.json().filter(|body| unknown(body, &known).is_empty());
        let Some(body) = body else {
            return self.error(400, "Invalid request body");
        };
        let (name, disabled) = (body["name"].as_str(), body["disabled"].as_bool());
        let changed = keys.change(hash, |key| {
            key.name = name.unwrap_or(&key.name).to_owned();
            key.active = disabled.map_or(key.active, |disabled| !disabled);
        });
        self.one(changed.as_ref())
    }

    fn one(&self, key: Option<&FakeKey>) -> Reply {
        match key {
            Some(key) => Reply::new(200, json!({ "data": self.shown(key) })),
            None => self.error(404, "API key not found"),
        }
    }

    /// Returns what is shown of a key.
    fn shown(&self, key: &FakeKey) -> Value {
        let mut shown = json!({
            "hash": key.id,
            "name": key.name,
            "label": key.masked(12, "..."),
            "disabled": !key.active,
            "limit": null,
            "limit_remaining": null,
            "limit_reset": null,
            "include_byok_in_limit": false,
            "usage": 0,
            "usage_daily": 0,
            "usage_weekly": 0,
            "usage_monthly": 0,
            "byok_usage": 0,
            "byok_usage_daily": 0,
            "byok_usage_weekly": 0,
            "byok_usage_monthly": 0,
            "created_at": key.created_at.to_rfc3339(),
            "updated_at": null,
            "creator_user_id": null,
            "external_user": null,
            "workspace_id": WORKSPACE,
            "last_used_at": key.last_used.map(|at| at.to_rfc3339()),
            "expires_at": null,
        });
        if self.hides_use {
            let fields = shown.as_object_mut().expect("an object");
            fields.remove("last_used_at");
        }
        shown
    }
}
