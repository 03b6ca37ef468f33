//! The page for people: how every key stands, what answers and what does not, what was done.
//!
//! One document that asks for nothing else: its style and its small script stand in it, and the
//! policy sent with it lets nothing else in. It is whole without the script, which only brings it
//! up to date in place; without it the browser loads it anew. All text that others wrote goes
//! through [`maud`], which escapes it.

mod assets;
mod events;
mod keys;
mod layout;
mod mark;
mod overview;
mod query;
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

/// How long what was found out is shown again. However many look at the page, the state is read
/// this often and no more.
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
    /// One at a time: those who wait get what the first one finds out.
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

/// Shows characters that turn or hide a text by their numbers; lines may end.
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
