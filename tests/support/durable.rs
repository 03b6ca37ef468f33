//! An OpenBao that keeps what it has over a restart: its storage is a Raft log of one member, and it is unsealed by
//! hand.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::openbao::{ROOT, program};
use super::{Server, client, eventually, free_port};

/// A server with KV 2 at `secret/` and the root token `root`.
pub struct Durable {
    /// Its URL, `http://127.0.0.1:PORT`.
    pub address: String,
    /// The directory of its configuration, its log and its storage.
    pub directory: tempfile::TempDir,
    key: String,
    server: Option<Server>,
}

impl Durable {
    /// Starts a server with additional configuration. `configure` gets its directory and returns HCL.
    pub async fn start(configure: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listen = format!("127.0.0.1:{}", free_port());
        let cluster = format!("127.0.0.1:{}", free_port());
        let storage = directory.path().join("storage");
        std::fs::create_dir(&storage).expect("a directory");
        let config = format!(
            "storage \"raft\" {{\n  path = \"{}\"\n  node_id = \"one\"\n  performance_multiplier = 1\n}}\n\
             api_addr = \"http://{listen}\"\ncluster_addr = \"http://{cluster}\"\n\
             listener \"tcp\" {{\n  address = \"{listen}\"\n  cluster_address = \"{cluster}\"\n  \
             tls_disable = true\n}}\n{}",
            storage.display(),
            configure(directory.path())
        );
        std::fs::write(directory.path().join("config.hcl"), config).expect("written");
        let mut server = Self {
            address: format!("http://{listen}"),
            directory,
            key: String::new(),
            server: None,
        };
        server.run().await;
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let made = server.ok("", "PUT", "sys/init", shares).await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        server.key = text(&made["keys_base64"][0]);
        let token = text(&made["root_token"]);
        server.unseal().await;
        let wanted = json!({"id": ROOT, "policies": ["root"]});
        server.ok(&token, "POST", "auth/token/create", wanted).await;
        let engine = json!({"type": "kv", "options": {"version": "2"}});
        server.ok(ROOT, "POST", "sys/mounts/secret", engine).await;
        server
    }

    /// Kills it, as a power failure would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again, and unseals it.
    pub async fn start_again(&mut self) {
        self.run().await;
        self.unseal().await;
    }

    /// Sends it a signal by name (`HUP`).
    pub fn signal(&self, name: &str) {
        self.server.as_ref().expect("it runs").signal(name);
    }

    async fn run(&mut self) {
        let path = self.directory.path();
        let mut command = Command::new(program());
        command
            .args([
                "server",
                &format!("-config={}", path.join("config.hcl").display()),
            ])
            .env("HOME", path);
        self.server = Some(Server::start(&command, &path.join("server.log")));
        let url = format!("{}/v1/sys/health", self.address);
        eventually("OpenBao answers", || async {
            client().get(&url).send().await.ok()
        })
        .await;
    }

    async fn unseal(&self) {
        let key = json!({ "key": self.key });
        self.ok("", "PUT", "sys/unseal", key).await;
    }

    /// Sends a request until it succeeds, and returns the JSON.
    async fn ok(&self, token: &str, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/v1/{path}", self.address);
        let what = format!("OpenBao takes {method} {path}");
        let answer = eventually(&what, || async {
            let method = method.parse().expect("a method");
            let request = client().request(method, &url);
            let request = request.header("X-Vault-Token", token).json(&body);
            let answer = request.send().await.ok()?;
            let taken = answer.status().is_success();
            taken.then_some(answer)
        });
        answer.await.json().await.unwrap_or(Value::Null)
    }
}
