//! A fake, as its user sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::keys::FakeKey;
use super::server;
use super::state::{Api, Fault, Inner};

/// A provider in memory. It listens on a port of its own until it is dropped.
pub struct Fake {
    address: SocketAddr,
    inner: Arc<Inner>,
    serves: JoinHandle<()>,
}

impl Fake {
    /// Starts a provider that has no keys.
    ///
    /// # Panics
    /// Panics if there is no free port.
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

    /// Returns the administrative credential that it takes.
    pub fn admin_key(&self) -> String {
        self.inner.api.admin_key(&self.url())
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
    ///
    /// # Panics
    /// Panics if a caller with this value is not served.
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

    /// Has every call whose method and path begin so go wrong, until [`heal`](Self::heal) is called.
    pub fn fail_always(&self, call: &str, fault: Fault) {
        self.inner.state.lock().lasting = Some((call.to_owned(), fault));
    }

    /// Has nothing go wrong any more.
    pub fn heal(&self) {
        let mut state = self.inner.state.lock();
        state.lasting = None;
        state.faults.clear();
        state.latency = Duration::ZERO;
        state.keys.limit = None;
        state.keys.hidden.clear();
    }

    /// Has a key that there is be left out of the lists.
    pub fn hide(&self, id: &str) {
        self.inner.state.lock().keys.hidden.insert(id.to_owned());
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
