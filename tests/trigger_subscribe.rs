//! The trigger of Vault Enterprise: its event notifications. There is no such server to test against, so the server
//! here is made after HashiCorp's documentation, and takes nothing that is not in it.

use flashback_rotator::credential::SecretRef;
use flashback_rotator::model::SourceId;
use flashback_rotator::source::vault::{KvVersion, VaultAuth, VaultConfig, VaultLook};
use flashback_rotator::trigger::subscribe::Subscribe;
use flashback_rotator::trigger::{Context, TriggerKind as _};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::support::sandbox::plain;
use crate::support::triggers::Listening;

const TOKEN: &str = "hvs.canary";

/// A server of event notifications.
struct Server {
    listener: TcpListener,
    url: String,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        Self {
            listener,
            url: format!("http://{address}"),
        }
    }

    /// Accepts a subscription, or refuses it as Vault does.
    async fn accept(&self) -> Option<WebSocketStream<TcpStream>> {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        accept_hdr_async(stream, subscribe_request).await.ok()
    }

    fn listening(&self, token: &'static str) -> Listening {
        let config = VaultConfig {
            address: self.url.clone(),
            namespace: Some("team".to_owned()),
            mount: "secret".to_owned(),
            kv_version: KvVersion::V2,
            look: VaultLook::Auto,
            ca_file: None,
            auth: VaultAuth::Token {
                token: SecretRef::Env("TOKEN".to_owned()),
            },
        };
        let id = SourceId::new("vault");
        let trigger = Subscribe.build(Context {
            id: &id,
            source: &config,
            secret: &|_| plain(token),
        });
        Listening::to(id, trigger.expect("built"))
    }
}

#[allow(clippy::result_large_err)] // the signature is the library's
fn subscribe_request(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    let refused = |status: StatusCode| {
        let mut response = ErrorResponse::new(None);
        *response.status_mut() = status;
        response
    };
    let header = |name: &str| text(request.headers(), name);
    let path = request.uri().path_and_query().map(ToString::to_string);
    if path.as_deref() != Some("/v1/sys/events/subscribe/kv*?json=true")
        || header("x-vault-namespace").as_deref() != Some("team")
    {
        return Err(refused(StatusCode::NOT_FOUND));
    }
    match header("x-vault-token").as_deref() {
        Some(TOKEN) => Ok(response),
        _ => Err(refused(StatusCode::FORBIDDEN)),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

fn notification(path: &str, operation: &str) -> Message {
    let event: Value = json!({
        "id": "901e6a97-e7b5-2b6d-3a5d-2e6e9a5a8a9a",
        "source": "vault://cluster",
        "specversion": "1.0",
        "type": format!("kv-v2/{operation}"),
        "data": {
            "event": {
                "id": "901e6a97-e7b5-2b6d-3a5d-2e6e9a5a8a9a",
                "metadata": {
                    "current_version": "3",
                    "data_path": format!("secret/data/{path}"),
                    "modified": "true",
                    "oldest_version": "0",
                    "operation": operation,
                    "path": format!("secret/data/{path}"),
                    "vault_index": "eyJjbHVzdGVyX2lkIjoiMSJ9",
                },
            },
            "event_type": format!("kv-v2/{operation}"),
            "namespace": "team/",
            "plugin_info": {"mount_class": "secret", "mount_path": "secret/", "plugin": "kv"},
        },
        "datacontentype": "application/cloudevents",
        "time": "2026-01-02T03:04:05.678901+01:00",
    });
    Message::text(event.to_string())
}

#[tokio::test]
async fn a_notification_tells_of_a_change_and_its_index() {
    let server = Server::start().await;
    let mut listening = server.listening(TOKEN);
    let mut socket = server.accept().await.expect("a subscription");
    listening.is_up().await;
    for message in [
        Message::text("canary"),
        notification("llm/openai", "metadata-patch"),
        notification("llm/openai", "data-write"),
    ] {
        socket.send(message).await.expect("sent");
    }
    let news = listening.news().await;
    let heard = news.heard.into_values().next().expect("a change");
    assert_eq!(heard.paths, ["llm/openai"]);
    assert_eq!(heard.index.as_deref(), Some("eyJjbHVzdGVyX2lkIjoiMSJ9"));
    assert!(heard.at.is_some());
    let metrics = listening.metrics.render();
    for outcome in ["malformed", "ignored"] {
        let line = format!("outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    socket
        .send(Message::Ping(b"alive".to_vec().into()))
        .await
        .expect("sent");
    let answer = socket.next().await.expect("an answer").expect("an answer");
    assert_eq!(answer, Message::Pong(b"alive".to_vec().into()));
    drop(socket);
    let error = listening.ends().await;
    assert!(error.contains("subscription"), "{error}");
    assert!(!error.contains("canary"), "{error}");
}

#[tokio::test]
async fn says_why_there_is_no_subscription() {
    let server = Server::start().await;
    let mut listening = server.listening("hvs.other");
    assert!(server.accept().await.is_none());
    let error = listening.ends().await;
    assert!(error.contains("`sys/events/subscribe/kv*`"), "{error}");
}
