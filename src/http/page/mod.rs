//! The page for people: the condition of every key and service, and the latest changes.
//!
//! The page is one document without external resources: its style and its small script are embedded, and its
//! content security policy admits nothing else. The script only updates the page in place; without it the
//! browser reloads the page. All text from outside is escaped by [`maud`].

mod assets;
mod events;
mod keys;
mod layout;
mod mark;
mod overview;
mod query;
mod rotation;
mod rules;
mod services;
mod timeline;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use maud::Markup;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use self::assets::POLICY;
use self::query::Query;
use super::status_source::{ANSWER_TIME, StatusSource};
use crate::words::is_invisible;

pub use self::overview::{EVENTS, Key, Overview, Replica, Service};

/// The time for which an overview is reused. However many clients load the page, the state is read at most
/// this often.
const FRESH: Duration = Duration::from_secs(1);

/// Answers `/`.
pub(super) fn route(status_source: Arc<dyn StatusSource>) -> Router {
    let state = Arc::new(PageState {
        status_source,
        last: Mutex::default(),
    });
    Router::new().route("/", get(page)).with_state(state)
}

struct PageState {
    status_source: Arc<dyn StatusSource>,
    last: Mutex<Option<(Instant, Arc<Overview>)>>,
}

impl PageState {
    /// Returns the overview, one request at a time: those that wait share the result of the first.
    async fn overview(&self) -> Result<Arc<Overview>, String> {
        let mut last = self.last.lock().await;
        if let Some((at, overview)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(overview));
        }
        let overview = Arc::new(self.status_source.overview().await?);
        *last = Some((Instant::now(), Arc::clone(&overview)));
        Ok(overview)
    }
}

async fn page(State(state): State<Arc<PageState>>, RawQuery(query): RawQuery) -> Response {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let found = timeout(ANSWER_TIME, state.overview()).await;
    let (status, document) = match found {
        Ok(Ok(overview)) => (StatusCode::OK, layout::page(&overview, &query)),
        Ok(Err(reason)) => unavailable(&query, &reason),
        Err(_) => unavailable(&query, "the state does not answer"),
    };
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
    ];
    let document = numbered(&document.into_string());
    (status, headers, document).into_response()
}

/// Replaces invisible characters and those that change the direction of text by their escapes. Line breaks
/// and tabs stay.
fn numbered(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for c in document.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if is_invisible(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

fn unavailable(query: &Query, reason: &str) -> (StatusCode, Markup) {
    let document = layout::unavailable(query, reason);
    (StatusCode::SERVICE_UNAVAILABLE, document)
}
