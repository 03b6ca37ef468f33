//! An OpenBao with an audit log, filled with keys, as the source.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;

use super::audit::Audit;
use super::support::openbao::{OpenBao, ROOT};

/// The number of concurrent writes while it is filled.
const WRITERS: usize = 32;

/// How long the server waits for the reader of its socket, as docs/events.md advises.
pub const WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// The socket's name in the server's directory.
const SOCKET: &str = "audit.sock";

/// The permissions of the daemon: reading metadata, and reading values that have changed. The other
/// contenders read the value each time.
const POLICY: &str = r#"
path "secret/metadata/llm/*" { capabilities = ["read"] }
path "secret/data/llm/*" { capabilities = ["read"] }
"#;

/// What looking by lists needs beside that.
const LISTING: &str = r#"
path "secret/detailed-metadata/llm/" { capabilities = ["list"] }
"#;

pub struct Store {
    pub address: String,
    pub audit: Audit,
    bao: OpenBao,
    http: reqwest::Client,
}

/// The credentials of an AppRole method that is mounted under the name of its policy.
pub struct Role {
    pub mount: String,
    pub role_id: String,
    pub secret_id: String,
}

impl Store {
    pub async fn start() -> Self {
        Self::start_with(|_| String::new()).await
    }

    /// Starts one with a second audit device, whose records a socket gets: [`socket`](Self::socket).
    pub async fn with_socket() -> Self {
        let mut listener = None;
        let socket = |directory: &Path| {
            let path = directory.join(SOCKET);
            // The server tests its new device, so somebody must listen.
            listener = Some(UnixListener::bind(&path).expect("bound"));
            format!(
                "audit \"socket\" \"rotator\" {{ options = {{ socket_type = \"unix\", address = \"{}\", \
                 write_timeout = \"{}ms\" }} }}",
                path.display(),
                WRITE_TIMEOUT.as_millis()
            )
        };
        let store = Self::start_with(socket).await;
        drop(listener);
        store
    }

    async fn start_with(more: impl FnOnce(&Path) -> String) -> Self {
        let log = |directory: &Path| directory.join("audit.log");
        let bao = OpenBao::start_with(|directory| {
            format!(
                "audit \"file\" \"log\" {{ options = {{ file_path = \"{}\" }} }}\n{}\n",
                log(directory).display(),
                more(directory)
            )
        })
        .await;
        let http = reqwest::Client::builder().tls_certs_only(Vec::new());
        Self {
            address: bao.address.clone(),
            audit: Audit::at(log(bao.directory.path())),
            bao,
            http: http.build().expect("a client"),
        }
    }

    /// Returns the path of its audit log.
    pub fn log(&self) -> PathBuf {
        self.bao.directory.path().join("audit.log")
    }

    /// Returns the path at which its second audit device expects somebody to listen.
    pub fn socket(&self) -> PathBuf {
        self.bao.directory.path().join(SOCKET)
    }

    /// Creates a role and a policy with the same name, by which the audit log identifies a client.
    pub async fn role(&self, name: &str) -> Role {
        self.role_with(name, POLICY).await
    }

    /// Creates a role as [`role`](Self::role) does, which may list the secrets' versions, too.
    pub async fn listing_role(&self, name: &str) -> Role {
        self.role_with(name, &format!("{POLICY}{LISTING}")).await
    }

    async fn role_with(&self, name: &str, policy: &str) -> Role {
        self.bao.write_policy(name, policy).await;
        let role = json!({"token_policies": [name], "token_ttl": "2h"});
        let (role_id, secret_id) = self.bao.app_role(name, role).await;
        Role {
            mount: name.to_owned(),
            role_id,
            secret_id,
        }
    }

    /// Returns a token with the policy of a role.
    pub async fn token(&self, role: &str) -> String {
        let wanted = json!({"policies": [role], "ttl": "2h"});
        self.bao.create_token(wanted).await
    }

    /// Rotates a key.
    pub async fn write(&self, key: usize, secret: &str) {
        let url = format!("{}/v1/secret/data/llm/{}", self.address, name(key));
        let request = self.http.post(url).header("X-Vault-Token", ROOT);
        let body = json!({"data": {"api_key": secret}});
        let answer = request.json(&body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Rotates the first `keys` keys to `sk-{key}-{tag}`, many at once.
    pub async fn fill(&self, keys: usize, tag: &str) {
        let writes = futures_util::stream::iter(0..keys).map(|key| async move {
            self.write(key, &secret(key, tag)).await;
        });
        writes.buffer_unordered(WRITERS).collect::<()>().await;
    }
}

/// Returns a key's id, which is also its name in Flashback and its path below `llm/`.
pub fn name(key: usize) -> String {
    format!("key-{key:05}")
}

/// Returns a value that no other key has.
pub fn secret(key: usize, tag: &str) -> String {
    format!("sk-{key}-{tag}")
}
