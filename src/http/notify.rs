//! `POST /notify`: another program says that a secret has changed.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde::Deserialize;

use super::status_source::ANSWER_TIME;
use crate::model::{KeyId, SourceId};

/// The largest body, in bytes.
const BODY_SIZE: usize = 8 << 10;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Notice {
    /// A secret.
    Secret {
        /// The source it is in.
        source: SourceId,
        /// Its path, as a key's `path` spells it.
        path: String,
    },
    /// The secret of a key.
    Key {
        /// The key.
        key: KeyId,
    },
}

/// The reason why a notice is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The configuration has no token for notices.
    Off,
    /// The token is missing or wrong.
    Unauthorized,
    /// There is no such source or key. The text is for people.
    Unknown(&'static str),
    /// The token to compare with cannot be read.
    Unavailable,
}

/// Takes notices.
#[async_trait]
pub trait NoticeTaker: Send + Sync {
    /// Has the keys checked that a notice concerns, if `token` is the right one.
    ///
    /// # Errors
    /// Returns [`Refusal`]; nothing is checked then.
    async fn take(&self, token: Option<&str>, notice: Notice) -> Result<(), Refusal>;
}

/// Returns the route.
pub fn route(taker: Arc<dyn NoticeTaker>) -> Router {
    Router::new()
        .route("/notify", post(notify))
        .layer(DefaultBodyLimit::max(BODY_SIZE))
        .with_state(taker)
}

async fn notify(
    State(taker): State<Arc<dyn NoticeTaker>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    const WRONG: &str =
        "the body must be {\"source\": \"…\", \"path\": \"…\"} or {\"key\": \"…\"}\n";
    let notice = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok());
    let Some(notice) = notice else {
        return (StatusCode::BAD_REQUEST, WRONG).into_response();
    };
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let taken = tokio::time::timeout(ANSWER_TIME, taker.take(token, notice)).await;
    match taken.unwrap_or(Err(Refusal::Unavailable)) {
        Ok(()) => (StatusCode::ACCEPTED, "accepted\n").into_response(),
        Err(Refusal::Off) => {
            let text = "there is no such request: the configuration has no [http] notify_token\n";
            (StatusCode::NOT_FOUND, text).into_response()
        }
        Err(Refusal::Unauthorized) => {
            let text = "the token is missing or wrong: send `Authorization: Bearer TOKEN`\n";
            let scheme = [(WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, scheme, text).into_response()
        }
        Err(Refusal::Unknown(what)) => {
            (StatusCode::NOT_FOUND, format!("there is no such {what}\n")).into_response()
        }
        Err(Refusal::Unavailable) => {
            let text = "the token to compare with cannot be read; the log says why\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}
