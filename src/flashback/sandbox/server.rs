//! The API over HTTP: every request is written down, meets its fault or is carried out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use chrono::Utc;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Cuttable, Knife};
use super::fields::{Answer, sha256_hex};
use super::journal::{Entry, Journal};
use super::platform::Platform;
use super::switches::{Fault, Operation, Rule, Switches};
use super::{Options, control};

/// The longest body that is read.
const LONGEST_BODY: usize = 1 << 20;

/// Everything the handlers share.
pub(super) struct House {
    platform: Mutex<Platform>,
    switches: Mutex<Switches>,
    journal: Mutex<Journal>,
    pace: Mutex<Instant>,
}

impl House {
    pub fn new(mut options: Options) -> Self {
        let switches = std::mem::take(&mut options.switches);
        Self {
            platform: Mutex::new(Platform::new(options)),
            switches: Mutex::new(switches),
            journal: Mutex::default(),
            pace: Mutex::new(Instant::now()),
        }
    }

    pub fn platform(&self) -> MutexGuard<'_, Platform> {
        lock(&self.platform)
    }

    pub fn switches(&self) -> MutexGuard<'_, Switches> {
        lock(&self.switches)
    }

    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    /// Whether the rate limit leaves room for a request now. A tenth of a second's worth is saved
    /// up at most.
    fn within_pace(&self, max_rps: Option<f64>) -> bool {
        let Some(rps) = max_rps else {
            return true;
        };
        let now = Instant::now();
        let mut next = lock(&self.pace);
        if *next > now + Duration::from_millis(100) {
            return false;
        }
        *next = (*next).max(now) + Duration::from_secs_f64(1.0 / rps);
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until `stop`, and then cuts what is open.
pub(super) async fn serve(listener: TcpListener, house: Arc<House>, stop: CancellationToken) {
    let listener = Cuttable {
        listener,
        stop: stop.clone(),
    };
    let app = routes(house).into_make_service_with_connect_info::<Knife>();
    tokio::select! {
        _ = axum::serve(listener, app) => {}
        () = stop.cancelled() => {}
    }
}

fn routes(house: Arc<House>) -> Router {
    // One operation of the API, for the method router that asks for it.
    let answer = |operation: Operation| {
        move |State(house): State<Arc<House>>,
              ConnectInfo(knife): ConnectInfo<Knife>,
              path: Option<Path<String>>,
              request: Request| async move {
            let id = path.map(|Path(id)| id);
            match Asked::read(operation, id, request).await {
                Ok(asked) => perform(&house, &knife, asked).await,
                Err(refusal) => respond(refusal),
            }
        }
    };
    Router::new()
        .route(
            "/ai/llm",
            get(answer(Operation::List)).post(answer(Operation::Create)),
        )
        .route("/ai/llm/available", get(answer(Operation::Available)))
        .route(
            "/ai/llm/{id}",
            put(answer(Operation::Update)).delete(answer(Operation::Delete)),
        )
        .route("/ai/llm/{id}/validate", post(answer(Operation::Validate)))
        .route("/user/login", post(answer(Operation::Login)))
        .route("/user/refresh", post(answer(Operation::Refresh)))
        .merge(control::routes())
        .fallback(async || respond(Answer::error(404, "NOT_FOUND", "No such endpoint")))
        .method_not_allowed_fallback(async || {
            respond(Answer::error(
                405,
                "METHOD_NOT_ALLOWED",
                "No such method here",
            ))
        })
        .with_state(house)
}

/// A request, taken apart.
struct Asked {
    operation: Operation,
    id: Option<String>,
    workspace: Option<String>,
    bearer: Option<String>,
    /// The body where it is a JSON object.
    body: Option<Map<String, Value>>,
    method: String,
    path: String,
    user_agent: Option<String>,
}

impl Asked {
    async fn read(
        operation: Operation,
        id: Option<String>,
        request: Request,
    ) -> Result<Self, Answer> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, LONGEST_BODY)
            .await
            .map_err(|_| Answer::error(400, "VALIDATION_ERROR", "The body cannot be read"))?;
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let workspace = pairs.find(|(name, _)| name == "workspaceId");
        let header = |name| {
            let value = parts.headers.get(name);
            value.and_then(|value| value.to_str().ok())
        };
        let bearer = header(header::AUTHORIZATION)
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim().to_owned());
        let json = header(header::CONTENT_TYPE).is_some_and(|kind| kind.contains("json"));
        Ok(Self {
            operation,
            id,
            workspace: workspace.map(|(_, id)| id.into_owned()),
            bearer,
            body: json.then(|| serde_json::from_slice(&bytes).ok()).flatten(),
            user_agent: header(header::USER_AGENT).map(str::to_owned),
            method: parts.method.to_string(),
            path: parts
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
        })
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.body.as_ref()?.get(field)?.as_str()
    }

    fn entry(&self) -> Entry {
        Entry {
            number: 0,
            at: Utc::now(),
            answered_at: None,
            ended_at: None,
            user_agent: self.user_agent.clone(),
            operation: self.operation,
            method: self.method.clone(),
            path: self.path.clone(),
            status: None,
            fault: None,
            ai_llm_id: self.id.clone(),
            name: self.text("name").map(str::to_owned),
            secret_sha256: self.text("secret").map(sha256_hex),
        }
    }
}

/// A request under way. It is over when this is dropped, also where nobody waits for the answer any
/// more.
struct UnderWay<'a>(&'a House, u64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.0.journal().entry(self.1) {
            entry.ended_at = Some(Utc::now());
        }
    }
}

/// Writes the request down, lets it meet its fault or carries it out, and writes down how it ended.
async fn perform(house: &House, knife: &Knife, asked: Asked) -> Response {
    let number = house.journal().open(asked.entry());
    let _under_way = UnderWay(house, number);
    let latency = Duration::from_millis(house.switches().latency_ms);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (rule, in_pace) = {
        let mut switches = house.switches();
        let rule = switches.pick(asked.operation, asked.text("name"));
        (rule, house.within_pace(switches.max_rps))
    };
    if let Some(entry) = house.journal().entry(number) {
        entry.fault = rule.as_ref().map(|rule| rule.fault);
    }
    let response = match rule {
        Some(rule) => suffer(house, knife, &asked, &rule, number).await,
        None if !in_pace => {
            let refusal = Answer::error(429, "RATE_LIMITED", "Too many requests");
            with_retry_after(respond(refusal), Some("1"))
        }
        None => respond(carry_out(house, &asked, number)),
    };
    if let Some(entry) = house.journal().entry(number) {
        entry.status = Some(response.status().as_u16());
        entry.answered_at = Some(Utc::now());
    }
    response
}

/// What a fault makes of a request. Some never return.
async fn suffer(house: &House, knife: &Knife, asked: &Asked, rule: &Rule, number: u64) -> Response {
    let message = rule.message.as_deref();
    match rule.fault {
        Fault::Status => {
            let message = message.unwrap_or("The sandbox was told to fail");
            let refusal = Answer::error(rule.status, "SANDBOX_FAULT", message);
            with_retry_after(respond(refusal), rule.retry_after.as_deref())
        }
        Fault::Html => {
            const PAGE: &str = "<!doctype html><title>Maintenance</title><p>Back soon.";
            ([(header::CONTENT_TYPE, "text/html")], PAGE).into_response()
        }
        Fault::Unsuccessful => {
            let message = message.unwrap_or("The sandbox was told to fail");
            respond(Answer::error(200, "SANDBOX_FAULT", message))
        }
        Fault::Hang => std::future::pending().await,
        Fault::Close => {
            knife.cut();
            std::future::pending().await
        }
        Fault::LoseAnswer => {
            carry_out(house, asked, number);
            knife.cut();
            std::future::pending().await
        }
    }
}

/// The operation itself.
fn carry_out(house: &House, asked: &Asked, number: u64) -> Answer {
    let switches = house.switches().clone();
    let mut platform = house.platform();
    let needs_bearer = !matches!(asked.operation, Operation::Login | Operation::Refresh);
    if needs_bearer && !platform.admits(asked.bearer.as_deref()) {
        return Answer::error(401, "UNAUTHORIZED", "Invalid or expired token");
    }
    let id = asked.id.as_deref().unwrap_or_default();
    let body = asked.body.as_ref();
    let not_an_object = || Answer::error(400, "VALIDATION_ERROR", "The body must be a JSON object");
    let answer = match asked.operation {
        Operation::List => platform.list(asked.workspace.as_deref()),
        Operation::Available => platform.available(),
        Operation::Create => body.map_or_else(not_an_object, |b| platform.create(b, &switches)),
        Operation::Update => body.map_or_else(not_an_object, |b| platform.update(id, b, &switches)),
        Operation::Delete => platform.delete(id),
        Operation::Validate => platform.validate(id, &switches),
        Operation::Login => platform.login(body, &switches),
        Operation::Refresh => platform.refresh(body, &switches),
    };
    if let Some(id) = answer.body.get("aiLlmId").and_then(Value::as_str)
        && let Some(entry) = house.journal().entry(number)
    {
        entry.ai_llm_id = Some(id.to_owned());
    }
    answer
}

pub(super) fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(answer.body)).into_response()
}

fn with_retry_after(mut response: Response, text: Option<&str>) -> Response {
    if let Some(value) = text.and_then(|text| text.parse().ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}
