//! The API over HTTP: every request is recorded in the journal, and is answered by a fault or carried out.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use chrono::Utc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connection::{Cuttable, Knife};
use super::contract::{Answer, Operation};
use super::control;
use super::faults::{Fault, Rule};
use super::journal::Entry;
use super::records::sha256_hex;
use super::shared::{Asked, Shared};

/// The longest body that is read.
const LONGEST_BODY: usize = 1 << 20;

/// Serves until `stop` is cancelled, and then cuts the open connections.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let listener = Cuttable {
        listener,
        stop: stop.clone(),
    };
    let app = routes(shared).into_make_service_with_connect_info::<Knife>();
    tokio::select! {
        _ = axum::serve(listener, app) => {}
        () = stop.cancelled() => {}
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    // Returns the handler of one operation of the API.
    let answer = |operation: Operation| {
        move |State(shared): State<Arc<Shared>>,
              ConnectInfo(knife): ConnectInfo<Knife>,
              path: Option<Path<String>>,
              request: Request| async move {
            let id = path.map(|Path(id)| id);
            match Arrival::read(operation, id, request).await {
                Ok(arrival) => perform(&shared, &knife, arrival).await,
                Err(refusal) => refusal.into_response(),
            }
        }
    };
    let mut api = Router::new();
    for operation in Operation::ALL {
        let contract = operation.contract();
        api = api.route(contract.path, on(contract.method, answer(*operation)));
    }
    api.merge(control::routes())
        .fallback(async || Answer::error(404, "NOT_FOUND", "No such endpoint").into_response())
        .method_not_allowed_fallback(async || {
            Answer::error(405, "METHOD_NOT_ALLOWED", "No such method here").into_response()
        })
        .with_state(shared)
}

/// A request as it arrived.
struct Arrival {
    operation: Operation,
    asked: Asked,
    method: String,
    path: String,
    user_agent: Option<String>,
}

impl Arrival {
    async fn read(
        operation: Operation,
        id: Option<String>,
        request: Request,
    ) -> Result<Self, Answer> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, LONGEST_BODY)
            .await
            .map_err(|_| Answer::bad("The body cannot be read"))?;
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
            asked: Asked {
                bearer,
                id,
                query: parts.uri.query().unwrap_or_default().to_owned(),
                body: json.then(|| serde_json::from_slice(&bytes).ok()).flatten(),
            },
            user_agent: header(header::USER_AGENT).map(str::to_owned),
            method: parts.method.to_string(),
            path: parts
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
        })
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.asked.body.as_ref()?.get(field)?.as_str()
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
            ai_llm_id: self.asked.id.clone(),
            name: self.text("name").map(str::to_owned),
            secret_sha256: self.text("secret").map(sha256_hex),
        }
    }
}

/// A request under way. Its end is recorded when this is dropped, also if the client no longer waits for the
/// answer.
struct UnderWay<'a>(&'a Shared, u64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.0.journal().entry(self.1) {
            entry.ended_at = Some(Utc::now());
        }
    }
}

/// Records the request, answers it by a fault or carries it out, and records how it ended.
async fn perform(shared: &Shared, knife: &Knife, arrival: Arrival) -> Response {
    let number = shared.journal().open(arrival.entry());
    let _under_way = UnderWay(shared, number);
    let latency = Duration::from_millis(shared.switches().latency_ms);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (rule, in_pace) = {
        let mut switches = shared.switches();
        let rule = switches.pick(arrival.operation, arrival.text("name"));
        (rule, shared.within_pace(switches.max_rps))
    };
    if let Some(entry) = shared.journal().entry(number) {
        entry.fault = rule.as_ref().map(|rule| rule.fault);
    }
    let response = match rule {
        Some(rule) => suffer(shared, knife, &arrival, &rule, number).await,
        None if !in_pace => {
            let refusal = Answer::error(429, "RATE_LIMITED", "Too many requests");
            with_retry_after(refusal.into_response(), Some("1"))
        }
        None => carry_out(shared, &arrival, number).into_response(),
    };
    if let Some(entry) = shared.journal().entry(number) {
        entry.status = Some(response.status().as_u16());
        entry.answered_at = Some(Utc::now());
    }
    response
}

/// Applies a fault to a request. Some faults never return.
async fn suffer(
    shared: &Shared,
    knife: &Knife,
    arrival: &Arrival,
    rule: &Rule,
    number: u64,
) -> Response {
    if rule.carried_out || rule.fault == Fault::LoseAnswer {
        carry_out(shared, arrival, number);
    }
    let message = rule.message.as_deref();
    let message = message.unwrap_or("The sandbox was told to fail");
    match rule.fault {
        Fault::Status => {
            let refusal = Answer::error(rule.status, "SANDBOX_FAULT", message);
            with_retry_after(refusal.into_response(), rule.retry_after.as_deref())
        }
        Fault::Html => {
            const PAGE: &str = "<!doctype html><title>Maintenance</title><p>Back soon.";
            ([(header::CONTENT_TYPE, "text/html")], PAGE).into_response()
        }
        Fault::Page => page(rule),
        Fault::Unsuccessful => Answer::error(200, "SANDBOX_FAULT", message).into_response(),
        Fault::Hang => std::future::pending().await,
        Fault::Close | Fault::LoseAnswer => {
            knife.cut();
            std::future::pending().await
        }
    }
}

/// Returns the answer of a server in front of Flashback, such as a proxy.
fn page(rule: &Rule) -> Response {
    let mut response = Response::new(rule.body.clone().unwrap_or_default().into());
    *response.status_mut() = StatusCode::from_u16(rule.status).unwrap_or_default();
    for (name, text) in [
        (header::CONTENT_TYPE, &rule.content_type),
        (header::LOCATION, &rule.location),
    ] {
        if let Some(value) = text.as_ref().and_then(|text| text.parse().ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    with_retry_after(response, rule.retry_after.as_deref())
}

/// Carries out the operation, and records the id of the object it created.
fn carry_out(shared: &Shared, arrival: &Arrival, number: u64) -> Answer {
    let answer = shared.carry_out(arrival.operation, &arrival.asked);
    let mut ids = ["aiLlmId", "apiKeyId"].iter();
    if let Some(id) = ids.find_map(|field| answer.body.get(field)?.as_str())
        && let Some(entry) = shared.journal().entry(number)
    {
        entry.ai_llm_id = Some(id.to_owned());
    }
    answer
}

fn with_retry_after(mut response: Response, text: Option<&str>) -> Response {
    if let Some(value) = text.and_then(|text| text.parse().ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}
