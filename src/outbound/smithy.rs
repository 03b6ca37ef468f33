//! The HTTP client of the AWS SDK. The SDK's own client does not limit the size of a body.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{CallError, Outbound, Settings};

/// The longest accepted answer, in bytes: 20 secrets of 64 KiB, each escaped, are less
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>).
const LONGEST: usize = 8 << 20;

/// The longest time of a call, from the first byte sent to the last byte received. Also limits the wait for
/// the first byte if the SDK sets no limit for it.
const WHOLE: Duration = Duration::from_secs(15);

/// Returns an HTTP client for the SDK, with its own connections.
pub fn http_client() -> SharedHttpClient {
    http_client_within(WHOLE)
}

/// Returns an HTTP client as [`http_client`] does, whose calls may take this long: a long poll is not answered before
/// something has happened.
pub fn http_client_within(whole: Duration) -> SharedHttpClient {
    SharedHttpClient::new(Clients {
        whole,
        by_connect: Mutex::default(),
    })
}

#[derive(Debug)]
struct Clients {
    /// The longest time of a call.
    whole: Duration,
    /// The clients, by the time limit for connecting that the SDK asks for: it is shorter for instance metadata.
    by_connect: Mutex<HashMap<Option<Duration>, Arc<Outbound>>>,
}

impl HttpClient for Clients {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connect = settings.connect_timeout();
        let mut clients = self.by_connect.lock();
        let outbound = clients.entry(connect).or_insert_with(|| {
            Arc::new(Outbound::new(Settings {
                connect,
                ..Settings::default()
            }))
        });
        SharedHttpConnector::new(Connector {
            outbound: Arc::clone(outbound),
            first_byte: settings.read_timeout().unwrap_or(self.whole),
            whole: self.whole,
        })
    }
}

#[derive(Debug)]
struct Connector {
    outbound: Arc<Outbound>,
    first_byte: Duration,
    whole: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let outbound = Arc::clone(&self.outbound);
        let (first_byte, limit) = (self.first_byte, self.whole);
        HttpConnectorFuture::new(async move {
            let late = |_| failed(CallError::Timeout);
            let whole = exchange(&outbound, request, first_byte);
            tokio::time::timeout(limit, whole).await.map_err(late)?
        })
    }
}

async fn exchange(
    outbound: &Outbound,
    request: HttpRequest,
    first_byte: Duration,
) -> Result<HttpResponse, ConnectorError> {
    let unsendable = || failed(CallError::Unsendable);
    let request = request.try_into_http1x().map_err(|_| unsendable())?;
    let (parts, body) = request.into_parts();
    let body = body
        .bytes()
        .map(Bytes::copy_from_slice)
        .ok_or_else(unsendable)?;
    let sent = outbound.send(http::Request::from_parts(parts, body));
    let answer = tokio::time::timeout(first_byte, sent)
        .await
        .map_err(|_| failed(CallError::Timeout))?
        .map_err(failed)?;
    let mut response = http::Response::new(());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    let body = answer.body(LONGEST).await.map_err(failed)?;
    let response = response.map(|()| SdkBody::from(body.as_slice()));
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

fn failed(error: CallError) -> ConnectorError {
    match error {
        CallError::Unsendable => ConnectorError::user(error.into()),
        CallError::ConnectTimeout | CallError::Timeout => ConnectorError::timeout(error.into()),
        CallError::Unresolved { .. }
        | CallError::Connect(_)
        | CallError::NotHttp
        | CallError::Broken(_) => ConnectorError::io(error.into()),
        CallError::Certificates(_) | CallError::TooLong(_) => {
            ConnectorError::other(error.into(), None)
        }
    }
}
