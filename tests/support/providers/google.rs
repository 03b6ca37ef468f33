//! Google's API Keys API, version 2, with its token endpoint and the metadata server, as they are published
//! (`google/api/apikeys/v2` in <https://github.com/googleapis/googleapis>,
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>,
//! <https://cloud.google.com/compute/docs/metadata/overview>).
//!
//! A key that is made is there once its operation is done, which takes a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::Utc;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use parking_lot::Mutex;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Api, Call, FakeKey, Keys, Reply, unknown};

/// The project that there is.
pub const PROJECT: &str = "my-project";

/// The number of the project.
const NUMBER: &str = "123456867718";

/// The service account that makes and revokes keys.
const EMAIL: &str = "rotator@my-project.iam.gserviceaccount.com";

/// The path of the metadata server's tokens.
pub const METADATA: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// The key of the service account.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key")
});

/// How long an operation takes.
const TAKES: Duration = Duration::from_millis(300);

/// Google's API.
#[derive(Debug, Default)]
pub struct Google {
    /// The code with which operations that make keys fail.
    fails: Option<u16>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tokens: BTreeSet<String>,
    operations: BTreeMap<String, Operation>,
    made: usize,
}

/// A change that is under way.
#[derive(Debug)]
struct Operation {
    /// The key that is changed, unless the change fails.
    key: Option<String>,
    /// The key is made by it, and not there before it is done.
    makes: bool,
    /// When it is done.
    done_at: Instant,
}

impl Operation {
    fn is_under_way(&self) -> bool {
        Instant::now() < self.done_at
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    scope: String,
    #[serde(rename = "aud")]
    _aud: String,
    iat: i64,
    exp: i64,
}

impl Api for Google {
    fn answer(&self, keys: &mut Keys, call: &Call) -> Reply {
        let (method, path) = call.line();
        match (method, &path[..]) {
            ("POST", ["token"]) => return self.exchange(call),
            ("GET", ["computeMetadata", ..]) => return self.metadata(call),
            ("GET", ["v1beta", "models"]) => return self.models(keys, call),
            _ => {}
        }
        let mut state = self.state.lock();
        if !call.bearer().is_some_and(|it| state.tokens.contains(it)) {
            return self.error(401, "Request had invalid authentication credentials.");
        }
        if let Some(reply) = self.polled(keys, &state, method, &path) {
            return reply;
        }
        let [
            "v2",
            "projects",
            project,
            "locations",
            "global",
            "keys",
            rest @ ..,
        ] = &path[..]
        else {
            return self.error(404, "Method not found.");
        };
        if *project != PROJECT && *project != NUMBER {
            return self.error(403, "Permission denied on resource project.");
        }
        let under_way = |id: &str| {
            let mut all = state.operations.values();
            all.any(|it| it.makes && it.key.as_deref() == Some(id) && it.is_under_way())
        };
        match (method, rest) {
            ("POST", []) => self.make(keys, call, &mut state),
            ("GET", []) => {
                let listed = keys.listed().into_iter();
                self.list(
                    &listed.filter(|key| !under_way(&key.id)).collect::<Vec<_>>(),
                    call,
                )
            }
            ("GET", [id]) => match keys.get(id).filter(|_| !under_way(id)) {
                Some(key) => Reply::new(200, shown(key)),
                None => self.error(404, "Key not found."),
            },
            ("GET", [id, "keyString"]) => match keys.get(id).filter(|_| !under_way(id)) {
                Some(key) => Reply::new(200, json!({ "keyString": key.value })),
                None => self.error(404, "Key not found."),
            },
            ("DELETE", [id]) => self.set(keys, id, false, &mut state),
            ("POST", [action]) => match action.strip_suffix(":undelete") {
                Some(id) if call.json() == Some(json!({})) => self.set(keys, id, true, &mut state),
                _ => self.error(400, "Invalid JSON payload received."),
            },
            _ => self.error(404, "Method not found."),
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let word = match status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ALREADY_EXISTS",
            429 => "RESOURCE_EXHAUSTED",
            _ => "UNAVAILABLE",
        };
        let error = json!({ "code": status, "message": message, "status": word });
        Reply::new(status, json!({ "error": error }))
    }

    fn settings(&self, url: &str) -> String {
        format!("type = \"google\"\nbase_url = \"{url}/v2\"\nproject = \"{PROJECT}\"\n")
    }

    /// The JSON of the key of a service account, as Google gives it out.
    fn admin_key(&self, url: &str) -> String {
        let key = json!({
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "key-canary-id",
            "private_key": KEY.serialize_pem(),
            "client_email": EMAIL,
            "client_id": "108453678912345678901",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": format!("{url}/token"),
            "universe_domain": "googleapis.com",
        });
        key.to_string()
    }
}

impl Google {
    /// Lets time pass for what is under way, and answers a question about it.
    fn polled(&self, keys: &Keys, state: &State, method: &str, path: &[&str]) -> Option<Reply> {
        if let ("GET", ["v2", "operations", id]) = (method, path) {
            let Some(operation) = state.operations.get(*id) else {
                return Some(self.error(404, "Operation not found."));
            };
            return Some(Reply::new(200, self.operation(keys, id, operation)));
        }
        None
    }

    fn models(&self, keys: &mut Keys, call: &Call) -> Reply {
        let value = call.header("x-goog-api-key").unwrap_or_default();
        match keys.used(value, Utc::now()) {
            true => Reply::new(200, json!({ "models": [] })),
            false => self.error(400, "API key not valid. Please pass a valid API key."),
        }
    }

    /// Returns an API whose operations that make keys fail with this code.
    pub fn failing(code: u16) -> Self {
        Self {
            fails: Some(code),
            ..Self::default()
        }
    }

    fn grant(&self) -> Reply {
        let token = format!("ya29.canary{:032x}", rand::random::<u128>());
        self.state.lock().tokens.insert(token.clone());
        let body = json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" });
        Reply::new(200, body)
    }

    /// RFC 7523: an assertion for this endpoint and the scope of the API, of an hour at most.
    fn exchange(&self, call: &Call) -> Reply {
        let refused = |why: &str| {
            let body = json!({ "error": "invalid_grant", "error_description": why });
            Reply::new(400, body)
        };
        if call.header("content-type") != Some("application/x-www-form-urlencoded") {
            return refused("Not a form.");
        }
        let form: BTreeMap<_, _> = form_urlencoded::parse(&call.body).into_owned().collect();
        let names: Vec<_> = form.keys().map(String::as_str).collect();
        if names != ["assertion", "grant_type"]
            || form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer"
        {
            return refused("Bad request.");
        }
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&["https://oauth2.googleapis.com/token"]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.set_issuer(&[EMAIL]);
        let pem = KEY.public_key_pem();
        let public = DecodingKey::from_rsa_pem(pem.as_bytes()).expect("a public key");
        let assertion = &form["assertion"];
        let header = decode_header(assertion).ok();
        if header.and_then(|header| header.kid).as_deref() != Some("key-canary-id") {
            return refused("Invalid JWT: no such key.");
        }
        let Ok(token) = decode::<Claims>(assertion, &public, &validation) else {
            return refused("Invalid JWT Signature.");
        };
        let claims = token.claims;
        let is_short = claims.exp > claims.iat && claims.exp - claims.iat <= 3600;
        let is_now = (claims.iat - Utc::now().timestamp()).abs() <= 60;
        if claims.iss != EMAIL || !is_short || !is_now {
            return refused("Invalid JWT: Token must be a short-lived token (60 minutes).");
        }
        match claims.scope == "https://www.googleapis.com/auth/cloud-platform" {
            true => self.grant(),
            false => refused("Invalid OAuth scope or ID token audience provided."),
        }
    }

    fn metadata(&self, call: &Call) -> Reply {
        let is_right = format!("/{}", call.path.join("/")) == METADATA;
        match is_right && call.header("metadata-flavor") == Some("Google") {
            true => self.grant(),
            false => Reply::new(403, Value::Null),
        }
    }

    /// Returns `google.longrunning.Operation`. What it holds in the end is the whole key.
    fn operation(&self, keys: &Keys, id: &str, operation: &Operation) -> Value {
        let name = format!("operations/{id}");
        match (operation.is_under_way(), self.fails) {
            (true, _) => json!({ "name": name }),
            (false, None) => {
                let id = operation.key.as_deref().unwrap_or_default();
                let key = keys.get(id).expect("a key");
                let mut response = shown(key);
                response["@type"] = json!("type.googleapis.com/google.api.apikeys.v2.Key");
                response["keyString"] = json!(key.value);
                json!({ "name": name, "done": true, "response": response })
            }
            (false, Some(code)) => {
                let error = json!({ "code": code, "message": "It did not work." });
                json!({ "name": name, "done": true, "error": error })
            }
        }
    }

    fn begin(&self, keys: &Keys, key: Option<&str>, makes: bool, state: &mut State) -> Reply {
        state.made += 1;
        let id = format!("akmf.p7-{NUMBER}-{}", state.made);
        let operation = Operation {
            key: key.map(str::to_owned),
            makes,
            done_at: Instant::now() + TAKES,
        };
        let body = self.operation(keys, &id, &operation);
        state.operations.insert(id, operation);
        Reply::new(200, body)
    }

    fn make(&self, keys: &mut Keys, call: &Call, state: &mut State) -> Reply {
        let Some(body) = call.json() else {
            return self.error(400, "Invalid JSON payload received.");
        };
        let fields = [
            "displayName",
            "restrictions",
            "annotations",
            "serviceAccountEmail",
        ];
        let targets = body.pointer("/restrictions/apiTargets");
        let targets = targets
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut services = targets.iter().map(|target| target["service"].as_str());
        if !unknown(&body, &fields).is_empty()
            || !unknown(&body["restrictions"], &["apiTargets"]).is_empty()
            || !services.all(|service| service.is_some())
        {
            return self.error(400, "Invalid JSON payload received. Unknown name.");
        }
        let id = call.query.get("keyId").map_or("", String::as_str);
        let display = body["displayName"].as_str().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins = id.starts_with(|c: char| c.is_ascii_lowercase()) && !id.ends_with('-');
        if !begins || !id.chars().all(is_plain) || id.len() > 63 || display.len() > 63 {
            return self.error(400, "Invalid key id or display name.");
        }
        if keys.get(id).is_some() {
            return self.error(409, "Requested entity already exists.");
        }
        if self.fails.is_some() {
            return self.begin(keys, None, true, state);
        }
        let is_bound = body.get("serviceAccountEmail").is_some();
        let key = keys.mint(display, if is_bound { "AQ.Ab" } else { "AIza" });
        keys.change(&key.id, |key| id.clone_into(&mut key.id));
        self.begin(keys, Some(id), true, state)
    }

    fn list(&self, all: &[FakeKey], call: &Call) -> Reply {
        let known = ["pageSize", "pageToken", "showDeleted", "$alt", "alt"];
        if let Some(name) = call.query.keys().find(|name| !known.contains(&&***name)) {
            return self.error(400, &format!("Unknown name \"{name}\"."));
        }
        let get = |name: &str| call.query.get(name).map(String::as_str);
        let shows_deleted = matches!(get("showDeleted"), Some("true"));
        let all: Vec<_> = all
            .iter()
            .filter(|key| key.active || shows_deleted)
            .collect();
        let size = get("pageSize")
            .unwrap_or("50")
            .parse()
            .unwrap_or(50_usize)
            .min(100);
        let from =
            get("pageToken").map_or(Some(0), |token| token.strip_prefix("page-")?.parse().ok());
        let Some(from) = from else {
            return self.error(400, "Invalid page token.");
        };
        let page: Vec<_> = all
            .iter()
            .skip(from)
            .take(size)
            .map(|key| shown(key))
            .collect();
        let mut body = json!({ "keys": page });
        if from + size < all.len() {
            body["nextPageToken"] = json!(format!("page-{}", from + size));
        }
        Reply::new(200, body)
    }

    fn set(&self, keys: &mut Keys, id: &str, active: bool, state: &mut State) -> Reply {
        match keys.get(id) {
            None => self.error(404, "Key not found."),
            Some(key) if key.active == active => self.error(400, "It is in this state already."),
            Some(_) => {
                keys.change(id, |key| key.active = active);
                self.begin(keys, Some(id), false, state)
            }
        }
    }
}

/// Returns `Key` in the reference, without its value.
fn shown(key: &FakeKey) -> Value {
    let is_chosen = !key.id.starts_with("key_");
    let mut body = json!({
        "name": format!("projects/{NUMBER}/locations/global/keys/{}", key.id),
        "uid": if is_chosen { "f19dd2b2-ccbc-4b1d-8ac7-9ef1a0b1a6a3" } else { &*key.id },
        "displayName": key.name,
        "createTime": key.created_at.to_rfc3339(),
        "updateTime": key.created_at.to_rfc3339(),
        "etag": "W/\"abc\"",
    });
    if !key.active {
        body["deleteTime"] = json!(key.created_at.to_rfc3339());
    }
    body
}
