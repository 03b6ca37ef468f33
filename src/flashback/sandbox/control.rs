//! The sandbox's own paths, below `/_sandbox`: look at it and turn its switches. They ask for no
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

use super::fields::Answer;
use super::server::{House, respond};
use super::switches::Switches;

/// What `GET /_sandbox` answers.
const HELP: &str = r#"The sandbox of flashback-rotator: a Flashback in memory. Nothing here asks for a token.

GET   /_sandbox/switches          how the switches stand
PATCH /_sandbox/switches          turn some of them; the others stay. The body is JSON:
        {"latency_ms": 500}                            every request waits first
        {"token_life_ms": 2000}                        access tokens given from now on end so soon
        {"max_rps": 5}                                 more requests a second are 429; null: no limit
        {"refused_secrets": ["SHA-256 in hex"]}        validate says these keys do not work
        {"slow_secrets": {"SHA-256 in hex": 3000}}     ... or not until so long after their first write
        {"refuse_writes": true}                        ... and writing them is a 400
        {"faults": [{"fault": "status", "status": 429, "retry_after": "3", "share": 0.3}]}
        {"faults": []}                                 all is well again
      A fault is one of status (with "status", "retry_after", "message"), html (a page, in a 200),
      unsuccessful ({"success": false}, in a 200), close (the connection is cut), lose_answer (it is
      carried out, then the connection is cut), hang (never answered). It is aimed with "operations"
      (list, available, create, update, delete, validate, login, refresh) and "name" (of the
      configuration written), and limited with "share" (0 to 1) and "next" (so many and no more).
GET   /_sandbox/journal?after=N   every request in order: who asked, when it came, when it was over;
                                  secrets as SHA-256
GET   /_sandbox/configurations    what it holds; secrets as SHA-256
POST  /_sandbox/configurations/ID/repositories   {"name": "app"}: a repository uses it, so that
                                  it cannot be deleted
DELETE /_sandbox/configurations/ID   gone, whoever uses it
POST  /_sandbox/revoke            {"access": true, "refresh": true}: end the tokens given so far
GET   /_sandbox/livez             200, for `flashback-rotator health --url http://HOST:PORT/_sandbox`
"#;

pub(super) fn routes() -> Router<Arc<House>> {
    Router::new()
        .route("/_sandbox", get(async || HELP))
        .route("/_sandbox/", get(async || HELP))
        .route("/_sandbox/livez", get(async || "up\n"))
        .route(
            "/_sandbox/switches",
            get(show_switches).patch(turn_switches),
        )
        .route("/_sandbox/journal", get(journal))
        .route("/_sandbox/configurations", get(configurations))
        .route("/_sandbox/configurations/{id}", routing::delete(remove))
        .route("/_sandbox/configurations/{id}/repositories", post(attach))
        .route("/_sandbox/revoke", post(revoke))
}

async fn show_switches(State(house): State<Arc<House>>) -> Json<Switches> {
    Json(house.switches().clone())
}

async fn turn_switches(State(house): State<Arc<House>>, body: Bytes) -> Response {
    let mut switches = house.switches();
    match turned(&switches, &body) {
        Ok(turned) => {
            *switches = turned.clone();
            Json(turned).into_response()
        }
        Err(message) => respond(Answer::error(400, "SANDBOX_SWITCH", &message)),
    }
}

/// The switches with those in `body` turned.
fn turned(switches: &Switches, body: &[u8]) -> Result<Switches, String> {
    let wanted: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut all = serde_json::to_value(switches).map_err(|error| error.to_string())?;
    if let Value::Object(all) = &mut all {
        all.extend(wanted);
    }
    let turned: Switches = serde_json::from_value(all).map_err(|error| error.to_string())?;
    match turned.mistake() {
        Some(mistake) => Err(mistake.to_owned()),
        None => Ok(turned),
    }
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn journal(State(house): State<Arc<House>>, Query(from): Query<After>) -> Response {
    Json(house.journal().entries(from.after)).into_response()
}

async fn configurations(State(house): State<Arc<House>>) -> Response {
    Json(house.platform().shown()).into_response()
}

async fn remove(State(house): State<Arc<House>>, Path(id): Path<String>) -> StatusCode {
    found(house.platform().remove(&id))
}

#[derive(Deserialize)]
struct Repository {
    name: String,
}

async fn attach(
    State(house): State<Arc<House>>,
    Path(id): Path<String>,
    Json(repository): Json<Repository>,
) -> StatusCode {
    found(house.platform().attach(&id, &repository.name))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    #[serde(default)]
    access: bool,
    #[serde(default)]
    refresh: bool,
}

async fn revoke(State(house): State<Arc<House>>, Json(which): Json<Revoke>) -> StatusCode {
    let mut platform = house.platform();
    if which.access {
        platform.revoke_access();
    }
    if which.refresh {
        platform.revoke_refresh();
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
