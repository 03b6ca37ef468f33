//! The page for people: how every key stands, what answers and what does not, what was done.
//!
//! One document that asks for nothing else: its style and its small script stand in it, and the
//! policy sent with it lets nothing else in. It is whole without the script, which only brings it
//! up to date in place; without it the browser loads it anew. All text that others wrote goes
//! through [`maud`], which escapes it.

mod events;
mod keys;
mod layout;
mod query;
mod services;
mod timeline;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use maud::Markup;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{ANSWER_TIME, StatusSource};
use crate::engine::report::KeyReport;
use crate::model::timeline::SLOTS;
use crate::model::{HistoryRow, Mark, Outage, ServiceHealth};
use crate::words::is_invisible;

use query::Query;

/// The page's style, all of it.
const STYLE: &str = include_str!("style.css");

/// The page's script, all of it.
const SCRIPT: &str = include_str!("refresh.js");

/// How long what was found out is shown again. However many look at the page, the state is read
/// this often and no more.
const FRESH: Duration = Duration::from_secs(1);

/// How many rows of the audit trail the page shows.
pub const EVENTS: u32 = 50;

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When this was found out.
    pub at: DateTime<Utc>,
    /// When the process started.
    pub started_at: DateTime<Utc>,
    /// Whether the engine makes progress.
    pub live: bool,
    /// What is still missing after a start, for people; nothing once it was ready.
    pub missing: Vec<String>,
    /// Why the state cannot be used, where it cannot.
    pub state: Option<String>,
    /// Whether the newest configuration is refused, and an older one in force.
    pub refused: bool,
    /// Flashback, then the sources.
    pub services: Vec<Service>,
    /// The processes that share the keys; none where this one has all of them.
    pub replicas: Vec<Replica>,
    /// Every configured key.
    pub keys: Vec<Key>,
    /// The last [`EVENTS`] rows of the audit trail, newest first.
    pub events: Vec<HistoryRow>,
}

/// Flashback or a source.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name: a source's id, or "Flashback".
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// Where it is: a host, a region, a directory.
    pub place: String,
    /// How many enabled keys need it.
    pub keys: usize,
    /// Whether it answers.
    pub health: ServiceHealth,
    /// The last outage that is over, since it was configured as it is.
    pub last_outage: Option<Outage>,
}

/// One of the processes that share the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// What it says of itself.
    pub name: String,
    /// How many keys it holds.
    pub keys: usize,
    /// Its lease is not over.
    pub alive: bool,
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its row of `status`.
    pub row: KeyReport,
    /// Where in its source it is.
    pub path: String,
    /// The version the store was last seen to hold.
    pub seen: Option<String>,
    /// Why that version is held, if it is.
    pub held: Option<String>,
    /// Its last day, half an hour each.
    pub timeline: [Option<Mark>; SLOTS],
}

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

/// Nothing comes from elsewhere, and of what stands in the page only these two run and count.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    HeaderValue::from_str(&policy).expect("plain ASCII")
});

/// Tells a page that was loaded from an older version of this program that it must load itself anew.
static BUILD: LazyLock<String> = LazyLock::new(|| digest(&format!("{STYLE}{SCRIPT}")));

fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}
