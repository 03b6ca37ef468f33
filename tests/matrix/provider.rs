//! A provider that tells by a key's own text whether it takes it, and one that says nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// How long a slow key takes to work, at the provider and in Flashback.
pub const SLOW: Duration = Duration::from_millis(1_200);

/// Both.
pub struct Providers {
    answering: MockServer,
    silent: String,
    task: JoinHandle<()>,
}

impl Providers {
    pub async fn start() -> Self {
        let answering = MockServer::start().await;
        let gate = Gate::default();
        Mock::given(method("GET"))
            .respond_with(gate)
            .mount(&answering)
            .await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let silent = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            loop {
                drop(listener.accept().await);
            }
        });
        Self {
            answering,
            silent,
            task,
        }
    }

    pub fn answering(&self) -> String {
        format!("{}/v1", self.answering.uri())
    }

    pub fn silent(&self) -> String {
        format!("{}/v1", self.silent)
    }
}

impl Drop for Providers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Knows when it first saw each key.
#[derive(Default)]
struct Gate(Mutex<HashMap<String, Instant>>);

impl Respond for Gate {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let bearer = request.headers.get("authorization");
        let key = bearer.and_then(|value| value.to_str().ok());
        let key = key.unwrap_or_default().to_owned();
        let mut seen = self.0.lock();
        let first = *seen.entry(key.clone()).or_insert_with(Instant::now);
        let takes = key.contains("-good-") || (key.contains("-slow-") && first.elapsed() >= SLOW);
        match takes {
            true => ResponseTemplate::new(200).set_body_json(json!({ "data": [] })),
            false => ResponseTemplate::new(401),
        }
    }
}
