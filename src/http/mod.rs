//! Health, metrics, status and a page for people over HTTP.
//!
//! The listener may be reachable from a network, so clients are limited: in the number of connections, in the
//! time they may take to send a request, in its size, and in how long a connection lives. When connections
//! run short, those that have sent no request for longest are closed first. Of the requests only `POST /notify`
//! has a body, and none does more than to have keys checked.

mod host;
mod notify;
pub mod page;
mod permits;
mod status_source;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failpoint;
use crate::telemetry::panics::{Task, within};

use self::permits::{ConnectionLimit, Permit};
use self::status_source::ANSWER_TIME;

pub use self::notify::{Notice, NoticeTaker, Refusal};
pub use self::status_source::StatusSource;

/// The time a client may take to send the head of a request, or the head of the next one on the same
/// connection.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// The largest head of a request, in bytes.
const HEAD_SIZE: usize = 16 << 10;

/// The time after which a connection is closed. It limits clients that do not read their answer; other
/// clients connect again.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// Serves requests on `listener` until `stop` is cancelled, and returns once the answers under way are
/// finished.
pub async fn serve(
    listener: TcpListener,
    status_source: Arc<dyn StatusSource>,
    notices: Arc<dyn NoticeTaker>,
    stop: CancellationToken,
) {
    let routes = Routes::new(&status_source, notices);
    let permits = ConnectionLimit::new();
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let (stream, permit) = accepted;
        let (routes, stop) = (routes.clone(), stop.clone());
        connections.spawn(within(
            Task::Http,
            None,
            converse(stream, permit, routes, stop),
        ));
        failpoint::reach("connection_taken");
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Accepts the next connection and takes a permit for it.
async fn accept(listener: &TcpListener, permits: &Arc<ConnectionLimit>) -> (TcpStream, Permit) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permits.take().await),
            // The client is gone, or the process has no file descriptors left: close one connection and try
            // again after a pause.
            Err(_) => {
                permits.close_one();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, permit: Permit, routes: Routes, stop: CancellationToken) {
    let routes = TowerToHyperService::new(routes.of(&stream));
    let answer = service_fn(|request| {
        permit.heard();
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    // The client decides how the connection ends, so errors are ignored.
    tokio::select! {
        _ = &mut connection => return,
        () = permit.needed() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(CONNECTION_LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = tokio::time::timeout(ANSWER_TIME, connection) => {}
        () = permit.needed() => {}
    }
}

/// The routes for connections over loopback and for those from the network.
#[derive(Clone)]
struct Routes {
    local: Router,
    network: Router,
}

impl Routes {
    fn new(status_source: &Arc<dyn StatusSource>, notices: Arc<dyn NoticeTaker>) -> Self {
        let health = Router::new()
            .route("/livez", get(livez))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz));
        let told = Router::new()
            .route("/metrics", get(metrics))
            .route("/status", get(status))
            .with_state(Arc::clone(status_source))
            .merge(page::route(Arc::clone(status_source)))
            .merge(notify::route(notices));
        let whole = |told: Router| {
            health
                .clone()
                .with_state(Arc::clone(status_source))
                .merge(told)
                .fallback((StatusCode::NOT_FOUND, "there is no such page\n"))
                .method_not_allowed_fallback((
                    StatusCode::METHOD_NOT_ALLOWED,
                    "only GET and HEAD, and POST for /notify\n",
                ))
                .layer(map_response(guard))
        };
        Self {
            local: whole(told.clone().route_layer(from_fn(host::only_local_names))),
            network: whole(told),
        }
    }

    fn of(self, stream: &TcpStream) -> Router {
        match stream.local_addr() {
            Ok(address) if !address.ip().to_canonical().is_loopback() => self.network,
            _ => self.local,
        }
    }
}

/// Marks a response as not to be cached, and forbids browsers to guess another content type.
async fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn livez(State(status_source): State<Arc<dyn StatusSource>>) -> Response {
    match status_source.live() {
        Ok(()) => "alive\n".into_response(),
        Err(reason) => unavailable(format!("{reason}\n")),
    }
}

/// Answers `/healthz`: as `/livez`, and it also fails while the state cannot be used. `/livez` is for
/// supervisors that restart the process, which does not help where, for example, the disk is full; this is
/// for monitoring.
async fn healthz(State(status_source): State<Arc<dyn StatusSource>>) -> Response {
    match status_source.state() {
        Err(reason) if status_source.live().is_ok() => unavailable(format!("{reason}\n")),
        _ => livez(State(status_source)).await,
    }
}

async fn readyz(State(status_source): State<Arc<dyn StatusSource>>) -> Response {
    match status_source.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reasons) => unavailable(reasons.iter().map(|reason| format!("{reason}\n")).collect()),
    }
}

async fn metrics(State(status_source): State<Arc<dyn StatusSource>>) -> Response {
    const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, TEXT_FORMAT)], status_source.metrics()).into_response()
}

async fn status(State(status_source): State<Arc<dyn StatusSource>>) -> Response {
    match tokio::time::timeout(ANSWER_TIME, status_source.status()).await {
        Ok(Ok(document)) => Json(document).into_response(),
        Ok(Err(reason)) => unavailable(format!("{reason}\n")),
        Err(_) => unavailable("the state does not answer\n".to_owned()),
    }
}

fn unavailable(text: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}
