//! Fakes of the administrative APIs of providers, in memory: a server for each test.
//!
//! Each is written from the published contract of its provider, which its module names, and is strict: what the
//! contract does not have is refused. What they have in common is here: the keys with their values (`keys`), the
//! server and what can be made to go wrong with a call (`server`). A fake also takes the keys that it has, in the
//! cheapest call of the provider that needs one, so that a verification can be pointed at it.

pub mod anthropic;
mod keys;
pub mod openai;
pub mod openrouter;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use keys::{FakeKey, Keys};
pub use server::{Call, Reply};

/// The administrative credential that the fakes take, unless theirs is a token.
pub const ADMIN: &str = "sk-admin-canary-5f2c9e7ab1d04836";

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this status, in the words of the provider, and not carried out.
    Status(u16),
    /// It is refused with 429 and `Retry-After`, in seconds.
    TooMany(u64),
    /// It is carried out, and the connection ends without an answer.
    Lost,
    /// The connection ends, and it is not carried out.
    Cut,
    /// It is carried out, and what is answered is a page of a server in between.
    Page,
    /// It is carried out, and the answer is not whole.
    Half,
    /// It is not carried out, and the caller is told to ask another server.
    Elsewhere,
}

/// The API of a provider.
pub trait Api: Send + Sync + 'static {
    /// Answers a call.
    fn answer(&self, keys: &mut Keys, call: &Call) -> Reply;

    /// Returns an error as the provider says it.
    fn error(&self, status: u16, message: &str) -> Reply;

    /// Returns the settings of a provider that uses the fake at this address, beside the credential.
    fn settings(&self, url: &str) -> String;
}

/// A provider in memory. It listens on a port of its own until it is dropped.
pub struct Fake {
    address: SocketAddr,
    inner: Arc<Inner>,
    serves: JoinHandle<()>,
}

struct Inner {
    api: Box<dyn Api>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Keys,
    faults: Vec<(String, Fault)>,
    calls: Vec<String>,
    latency: Duration,
}

impl Fake {
    /// Starts a provider that has no keys.
    pub async fn start(api: impl Api) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let inner = Arc::new(Inner {
            api: Box::new(api),
            state: Mutex::default(),
        });
        Self {
            address: listener.local_addr().expect("an address"),
            serves: tokio::spawn(server::serve(listener, Arc::clone(&inner))),
            inner,
        }
    }

    /// Returns its address, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the settings of a provider that uses it, beside the credential.
    pub fn settings(&self) -> String {
        self.inner.api.settings(&self.url())
    }

    /// Returns the keys that there are, in the order in which they were made.
    pub fn keys(&self) -> Vec<FakeKey> {
        self.inner.state.lock().keys.all().to_vec()
    }

    /// Returns the key that has this name.
    ///
    /// # Panics
    /// Panics if there is none, or more than one.
    pub fn named(&self, name: &str) -> FakeKey {
        let mut found = self.keys();
        found.retain(|key| key.name == name);
        assert_eq!(found.len(), 1, "keys named {name}");
        found.remove(0)
    }

    /// Returns `true` if a caller with this value is served.
    pub fn is_live(&self, value: &str) -> bool {
        let keys = self.keys();
        keys.iter().any(|key| key.active && key.value == value)
    }

    /// Uses a key now. Returns `false` if a caller with this value is not served.
    pub fn use_key(&self, value: &str) -> bool {
        self.inner.state.lock().keys.used(value, Utc::now())
    }

    /// Sets the last use of a key.
    pub fn used_at(&self, value: &str, at: DateTime<Utc>) {
        assert!(self.inner.state.lock().keys.used(value, at), "a live key");
    }

    /// Makes a key as a person does in the console.
    pub fn make(&self, name: &str, value: &str) -> FakeKey {
        self.inner.state.lock().keys.add(name, value)
    }

    /// Has the next call whose method and path begin with `call`, such as `POST` or `DELETE /v1/`, go wrong. Faults
    /// for the same calls come one after another.
    pub fn fail_next(&self, call: &str, fault: Fault) {
        let mut state = self.inner.state.lock();
        state.faults.push((call.to_owned(), fault));
    }

    /// Has each change be hidden from so many answers to lists after it.
    pub fn lag(&self, answers: usize) {
        self.inner.state.lock().keys.lag(answers);
    }

    /// Has each call take this long.
    pub fn latency(&self, latency: Duration) {
        self.inner.state.lock().latency = latency;
    }

    /// Allows no more keys than this at once.
    pub fn limit(&self, limit: usize) {
        self.inner.state.lock().keys.limit = Some(limit);
    }

    /// Returns the method and the path of each call so far, such as `GET /v1/models`, in order.
    pub fn calls(&self) -> Vec<String> {
        self.inner.state.lock().calls.clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

/// Returns the names of an object that are not among `known`.
fn unknown(object: &Value, known: &[&str]) -> Vec<String> {
    let names = object.as_object().into_iter().flatten();
    let names = names.map(|(name, _)| name.clone());
    names
        .filter(|name| !known.contains(&name.as_str()))
        .collect()
}
