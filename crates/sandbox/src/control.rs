//! The control paths below `/_sandbox`, which inspect the sandbox and change its switches. They require no
//! token.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, routing};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::contract::{Answer, Operation};
use super::options::SOMEBODY_ELSE;
use super::shared::{Asked, Shared};
use super::switches::Switches;

/// The page of `GET /_sandbox`; `{operations}` is replaced by the list of operations.
const HELP: &str = r#"The sandbox of flashback-rotator: a Flashback in memory. Nothing here asks for a token.

GET   /_sandbox/switches          how the switches stand
PATCH /_sandbox/switches          turn some of them; the others stay. The body is JSON:
        {"latency_ms": 500}                            every request waits first
        {"token_life_ms": 2000}                        access tokens given from now on end so soon
        {"max_rps": 5}                                 more requests a second are 429; null: no limit
        {"refused_secrets": ["SHA-256 in hex"]}        validate says these keys do not work
        {"refused_configurations": ["ID"]}             ... nor these configurations, whatever the key
        {"slow_secrets": {"SHA-256 in hex": 3000}}     ... or not until so long after their first write
        {"refuse_writes": true}                        ... and writing them is a 400
        {"inline_on_stored": "ignore"}                 what a secret in a PUT does where the configuration
                                                       has a stored key: ignore, detach, change (that key)
        {"totp": "SEED IN BASE32", "enforce_mfa": true}  a login gives a limited token, until
                                                       POST /mfa/verify-login has had the seed's code
        {"org_role": 1}                                below 254 the account sees its own events only
        {"events_oldest_first": true}                  the order of POST /systemevent
        {"odd_entries": [{"at": 0, "make": {"set": {"endpoint": null}}}]}
        {"faults": [{"fault": "status", "status": 429, "retry_after": "3", "share": 0.3}]}
        {"faults": []}                                 all is well again
      A fault is one of status (with "status", "retry_after", "message"), html (a page, in a 200),
      page (with "status", "content_type", "body", "location": what a gateway in front answers),
      unsuccessful ({"success": false}, in a 200), close (the connection is cut), lose_answer (it is
      carried out, then the connection is cut), hang (never answered). It is aimed with "operations"
      and "name" (of the configuration written), and limited with "share" (0 to 1) and "next" (so
      many and no more). With "carried_out": true the request is carried out before its fault.
      The operations are {operations}.
      An odd entry is "at" a position (from 0) of the list that "operation" answers (list, where left
      out, or another that lists). It is made by one of "set" (fields, to values or null), "patch" (a
      JSON merge patch, in which null takes a field away), "insert" (anything, before that position).
GET   /_sandbox/journal?after=N   every request in order: who asked, when it came, when it was over;
                                  secrets as SHA-256
GET   /_sandbox/configurations    what it holds; secrets as SHA-256
GET   /_sandbox/api_keys          its stored keys; secrets as SHA-256
POST  /_sandbox/configurations/ID/edit   {"user": "user-7", "set": {"secret": "..."}}: somebody else
                                  edits it; "set" is the body of PUT /ai/llm/ID
POST  /_sandbox/api_keys/ID/edit  the same for a stored key; "set" is the body of PUT /apikeys/ID
POST  /_sandbox/configurations/ID/repositories   {"name": "app"}: a repository uses it, so that
                                  it cannot be deleted
DELETE /_sandbox/configurations/ID   gone, whoever uses it
POST  /_sandbox/revoke            {"access": true, "refresh": true}: end the tokens given so far
GET   /_sandbox/livez             200, for `flashback-rotator health --url http://HOST:PORT/_sandbox`
"#;

/// Returns the help with the names of the operations.
fn help() -> String {
    let names = Operation::ALL.iter().filter_map(|operation| {
        let name = serde_json::to_value(operation).ok()?;
        name.as_str().map(str::to_owned)
    });
    HELP.replace("{operations}", &names.collect::<Vec<_>>().join(", "))
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_sandbox", get(async || help()))
        .route("/_sandbox/", get(async || help()))
        .route("/_sandbox/livez", get(async || "up\n"))
        .route(
            "/_sandbox/switches",
            get(show_switches).patch(turn_switches),
        )
        .route("/_sandbox/journal", get(journal))
        .route("/_sandbox/configurations", get(configurations))
        .route("/_sandbox/api_keys", get(stored_keys))
        .route("/_sandbox/api_keys/{id}/edit", post(edit_stored_key))
        .route("/_sandbox/configurations/{id}", routing::delete(remove))
        .route("/_sandbox/configurations/{id}/edit", post(edit))
        .route("/_sandbox/configurations/{id}/repositories", post(attach))
        .route("/_sandbox/revoke", post(revoke))
}

async fn show_switches(State(shared): State<Arc<Shared>>) -> Json<Switches> {
    Json(shared.switches().clone())
}

async fn turn_switches(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let mut switches = shared.switches();
    let wanted = serde_json::from_slice(&body).map_err(|error| error.to_string());
    match wanted.and_then(|wanted| switches.turned(wanted)) {
        Ok(turned) => {
            *switches = turned.clone();
            Json(turned).into_response()
        }
        Err(message) => Answer::error(400, "SANDBOX_SWITCH", &message).into_response(),
    }
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn journal(State(shared): State<Arc<Shared>>, Query(from): Query<After>) -> Response {
    Json(shared.journal().entries(from.after)).into_response()
}

async fn configurations(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.platform().shown()).into_response()
}

async fn stored_keys(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.platform().shown_keys()).into_response()
}

/// A write in the name of another user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    user: String,
    set: Map<String, Value>,
}

impl Edit {
    /// Carries out the write and returns the answer that the API would give that user.
    fn carry_out(self, shared: &Shared, operation: Operation, id: String) -> Response {
        let asked = Asked {
            id: Some(id),
            body: Some(self.set),
            ..Asked::default()
        };
        shared
            .carry_out_as(&self.user, operation, &asked)
            .into_response()
    }
}

async fn edit(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(edit): Json<Edit>,
) -> Response {
    edit.carry_out(&shared, Operation::Update, id)
}

async fn edit_stored_key(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(edit): Json<Edit>,
) -> Response {
    edit.carry_out(&shared, Operation::UpdateStoredKey, id)
}

async fn remove(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> StatusCode {
    found(shared.platform().remove_configuration(&id, SOMEBODY_ELSE))
}

#[derive(Deserialize)]
struct Repository {
    name: String,
}

async fn attach(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(repository): Json<Repository>,
) -> StatusCode {
    let mut platform = shared.platform();
    found(platform.configurations.attach(&id, &repository.name))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    #[serde(default)]
    access: bool,
    #[serde(default)]
    refresh: bool,
}

async fn revoke(State(shared): State<Arc<Shared>>, Json(which): Json<Revoke>) -> StatusCode {
    let mut platform = shared.platform();
    if which.access {
        platform.accounts.revoke_access();
    }
    if which.refresh {
        platform.accounts.revoke_refresh();
    }
    StatusCode::NO_CONTENT
}

fn found(found: bool) -> StatusCode {
    if found {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}
