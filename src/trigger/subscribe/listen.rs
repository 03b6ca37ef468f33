//! The trigger: opens the subscription, and passes on what is notified.

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::event::{Notification, Scope};
use crate::error_chain;
use crate::outbound::Socket;
use crate::source::SourceError;
use crate::source::vault::{Opened, Subscriber, VaultConfig};
use crate::trigger::contract::{Ear, Trigger, TriggerError};

/// The subscription: every notification of KV.
const PATH: &str = "/v1/sys/events/subscribe/kv*?json=true";

/// The longest notification, in bytes.
const LONGEST: usize = 1 << 20;

/// The time after which a silent server is asked for a sign of life, and the time that it has for one.
const QUIET: Duration = Duration::from_secs(15);

/// The life of a subscription from which on it is renewed at once when it ends: Vault ends it with its token.
const LIVED: Duration = Duration::from_secs(10);

/// Listens to the notifications of a Vault.
pub(super) struct Listener {
    subscriber: Subscriber,
    scope: Scope,
}

/// The reason why there is no subscription.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Source(SourceError),
    #[error(
        "the token may not subscribe: it needs `read` on `sys/events/subscribe/kv*`, and `list` and `subscribe` with `subscribe_event_types = [\"*\"]` on the secrets"
    )]
    Denied,
    #[error(
        "this server has no event notifications ({0}): they need Vault Enterprise 1.16; elsewhere the audit log tells of changes"
    )]
    None(StatusCode),
    #[error("the server answered {0} to the subscription")]
    Refused(StatusCode),
    #[error("what answered the subscription does not speak WebSocket")]
    NoWebSocket,
    #[error("the server has been silent for {} s", 2 * QUIET.as_secs())]
    Silent,
    #[error("the server has ended the subscription")]
    Ended,
    #[error("the subscription has broken off{0}")]
    Broken(String),
}

impl Listener {
    pub(super) fn new(subscriber: Subscriber, source: &VaultConfig) -> Self {
        Self {
            subscriber,
            scope: Scope::of(source),
        }
    }

    async fn open(&self) -> Result<WebSocketStream<Box<dyn Socket>>, Failure> {
        let key = generate_key();
        let opened = self.subscriber.open(PATH, headers(&key)).await;
        let (headers, socket) = match opened.map_err(Failure::Source)? {
            Opened::Switched(headers, socket) => (headers, socket),
            Opened::Refused(status) => {
                return Err(match status.as_u16() {
                    403 => Failure::Denied,
                    400 | 404 | 405 => Failure::None(status),
                    _ => Failure::Refused(status),
                });
            }
        };
        let accepted = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(Failure::NoWebSocket);
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST));
        Ok(WebSocketStream::from_raw_socket(socket, Role::Client, Some(config)).await)
    }

    /// Passes on what comes until the subscription ends, and returns why.
    async fn follow(&self, ear: &Ear, mut stream: WebSocketStream<Box<dyn Socket>>) -> Failure {
        let mut asked = false;
        loop {
            let deadline = Instant::now() + QUIET;
            let message = match timeout_at(deadline, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return broken(&error),
                Ok(None) => return Failure::Ended,
                Err(_) if asked => return Failure::Silent,
                Err(_) => {
                    asked = true;
                    match stream.send(Message::Ping(Vec::new().into())).await {
                        Ok(()) => continue,
                        Err(error) => return broken(&error),
                    }
                }
            };
            asked = false;
            let notification = match &message {
                Message::Text(text) => self.scope.read(text),
                Message::Binary(_) => Notification::Malformed,
                Message::Close(_) => return Failure::Ended,
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            match notification {
                Notification::Changed(heard) => ear.heard(heard),
                Notification::Other => ear.passed_over("ignored"),
                Notification::Malformed => ear.passed_over("malformed"),
            }
        }
    }
}

#[async_trait]
impl Trigger for Listener {
    async fn listen(&mut self, ear: &Ear) -> Result<Infallible, TriggerError> {
        let mut stream = self.open().await?;
        ear.up();
        loop {
            let since = Instant::now();
            let why = self.follow(ear, stream).await;
            if since.elapsed() < LIVED {
                return Err(why.into());
            }
            stream = self.open().await?;
            ear.missed("the subscription was renewed");
        }
    }
}

impl From<Failure> for TriggerError {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}

/// Returns the headers that ask for a WebSocket (RFC 6455, section 4.1).
fn headers(key: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if let Ok(key) = HeaderValue::from_str(key) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    headers
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    let why = error_chain::of_connection(error);
    Failure::Broken(why.map_or_else(String::new, |why| format!(": {why}")))
}
