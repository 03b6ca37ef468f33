//! A receiver of notifications: a server in another language, with its own check of signatures.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Server, client, eventually, free_port, get, venv};

/// The secret with which notices are signed.
pub const SECRET: &str = "whsec_Y2FuYXJ5LXNpZ25pbmctc2VjcmV0LW9mLTM2LWJ5dGVz";

/// A path that occurs in the address and nowhere else.
pub const PATH: &str = "/services/T00/canary-address";

/// A receiver on a port of its own.
pub struct Receiver {
    directory: TempDir,
    port: u16,
    server: Option<Server>,
}

impl Receiver {
    /// Chooses a port, without listening yet.
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            port: free_port(),
            server: None,
        }
    }

    /// Starts a receiver that answers 204.
    pub async fn start() -> Self {
        let mut receiver = Self::new();
        receiver.listen().await;
        receiver
    }

    /// Starts listening.
    pub async fn listen(&mut self) {
        let mut command = Command::new(venv().join("bin/python3"));
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/receiver.py"))
            .arg(self.port.to_string())
            .arg(self.log())
            .arg(SECRET);
        let output = self.directory.path().join("output");
        self.server = Some(Server::start(&command, &output));
        let control = self.control();
        eventually("a receiver", || async {
            get(&control).await.ok().map(drop)
        })
        .await;
    }

    /// Returns the address, which is a secret.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    fn control(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Sets the next answers; the last one is repeated.
    pub async fn answer(&self, answers: Value) {
        let client = client();
        let set = client.put(self.control()).json(&answers).send().await;
        assert!(set.expect("an answer").status().is_success());
    }

    /// Returns the configuration table of a receiver of these events.
    pub fn table(id: &str, format: &str, on: &[&str], after: &str) -> String {
        let on = json!(on);
        format!(
            "[notify.{id}]\nurl = {{ file = \"{{dir}}/url\" }}\nformat = \"{format}\"\non = {on}\n\
             after = \"{after}\"\nsecret = {{ file = \"{{dir}}/signing\" }}\n"
        )
    }

    /// Writes the files to which the [table](Self::table) refers.
    pub fn place(&self, directory: &Path) {
        super::place_file(directory.join("url"), self.url());
        super::place_file(directory.join("signing"), SECRET);
    }

    /// Returns the requests it received, in order.
    pub fn requests(&self) -> Vec<Request> {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let line = |line: &str| serde_json::from_str(line).expect("a line of the receiver");
        whole.lines().map(|text| Request(line(text))).collect()
    }

    /// Returns the event and the key of each request.
    pub fn events(&self) -> Vec<String> {
        let requests = self.requests();
        let word = |request: &Request| {
            let data = &request.event()["data"];
            format!("{} {}", data["event"], data["key"]).replace('"', "")
        };
        requests.iter().map(word).collect()
    }

    /// Waits for a request that satisfies `is_it`.
    pub async fn gets(&self, what: &str, is_it: impl Fn(&Request) -> bool) -> Request {
        eventually(&format!("{what} at the receiver"), || async {
            self.requests().into_iter().find(&is_it)
        })
        .await
    }

    /// Waits for an event of a key (`null` for an event that is not of a key).
    pub async fn gets_event(&self, event: &str, key: &str) -> Request {
        let what = format!("{event} {key}");
        self.gets(&what, |request| {
            let data = &request.event()["data"];
            data["event"] == event && data["key"].as_str().unwrap_or("null") == key
        })
        .await
    }
}

/// A request, as recorded by the receiver.
#[derive(Clone, Debug)]
pub struct Request(Value);

impl Request {
    /// Returns its body as JSON.
    pub fn event(&self) -> Value {
        serde_json::from_str(self.0["body"].as_str().unwrap_or_default()).unwrap_or_default()
    }

    /// Returns a header.
    pub fn header(&self, name: &str) -> &str {
        self.0["headers"][name].as_str().unwrap_or_default()
    }

    /// Returns whether its signature is valid; `None` if it has none.
    pub fn signed(&self) -> Option<bool> {
        self.0["signed"].as_bool()
    }

    /// Returns when it arrived, in seconds since 1970.
    pub fn at(&self) -> f64 {
        self.0["at"].as_f64().expect("a time")
    }

    /// Returns the whole record as text.
    pub fn text(&self) -> String {
        self.0.to_string()
    }
}
