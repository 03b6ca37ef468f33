//! The server of a fake.

use std::io;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, header};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::form_urlencoded;

use super::call::{Call, Reply};
use super::state::{Fault, Inner};

/// Answers calls until it is dropped.
pub(super) async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        let _ = client.set_nodelay(true);
        let inner = Arc::clone(&inner);
        connections.spawn(async move {
            let service = service_fn(|request: Request<hyper::body::Incoming>| {
                let inner = Arc::clone(&inner);
                async move { answer(request.map(Body::new), &inner).await }
            });
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(client), service).await;
        });
    }
}

/// Answers a call. An error ends its connection.
async fn answer(request: Request<Body>, inner: &Inner) -> io::Result<Response<Body>> {
    let call = read(request).await?;
    let line = inner.api.name(&call);
    let (fault, latency) = inner.state.lock().called(line);
    tokio::time::sleep(latency).await;
    let dropped = || Err(io::Error::other("a fault"));
    // No provider is as talkative as this. What it says must not be repeated.
    let talkative = || {
        let values = inner.state.lock().keys.all().to_vec();
        let values = values.iter().map(|key| &*key.value).collect::<Vec<_>>();
        let sent = call.bearer().or(call.header("x-api-key"));
        format!(
            "Error for {}: {}",
            sent.unwrap_or("nobody"),
            values.join(", ")
        )
    };
    let refused = |status| inner.api.error(status, &talkative());
    match fault {
        Some(Fault::Cut) => return dropped(),
        Some(Fault::Status(status)) => return Ok(respond(&refused(status))),
        Some(Fault::TooMany(seconds)) => {
            let mut response = respond(&refused(429));
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
            return Ok(response);
        }
        Some(Fault::Elsewhere) => {
            let response = Response::builder().status(307);
            let response = response.header(header::LOCATION, "http://127.0.0.1:9/");
            return Ok(response.body(Body::empty()).expect("a response"));
        }
        Some(Fault::Lost | Fault::Page | Fault::Half) | None => {}
    }
    let reply = inner.api.answer(&mut inner.state.lock().keys, &call);
    Ok(match fault {
        Some(Fault::Lost) => return dropped(),
        Some(Fault::Page) => {
            let page = "<!doctype html><title>Sign in</title>";
            let response = Response::builder().header(header::CONTENT_TYPE, "text/html");
            response.body(page.into()).expect("a response")
        }
        Some(Fault::Half) => {
            let whole = text_of(&reply).1;
            let half = whole[..whole.len() / 2].to_owned();
            let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
            response.body(half.into()).expect("a response")
        }
        _ => respond(&reply),
    })
}

async fn read(request: Request<Body>) -> io::Result<Call> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().split('/').skip(1);
    let decoded = |part: &str| {
        percent_encoding::percent_decode_str(part)
            .decode_utf8_lossy()
            .into_owned()
    };
    let query = parts.uri.query().unwrap_or_default();
    let body = to_bytes(body, 1 << 20).await.map_err(io::Error::other)?;
    Ok(Call {
        method: parts.method,
        path: path.map(decoded).collect(),
        query: form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers: parts.headers,
        body: body.to_vec(),
    })
}

fn respond(reply: &Reply) -> Response<Body> {
    let response = Response::builder().status(reply.status);
    let (kind, text) = text_of(reply);
    let response = match reply.body {
        Value::Null => response.body(Body::empty()),
        _ => response
            .header(header::CONTENT_TYPE, kind)
            .body(text.into()),
    };
    response.expect("a response")
}

/// Returns the type and the text of a body.
fn text_of(reply: &Reply) -> (&'static str, String) {
    match &reply.body {
        Value::String(xml) => ("text/xml", xml.clone()),
        json => ("application/json", json.to_string()),
    }
}
