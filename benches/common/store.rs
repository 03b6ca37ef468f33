//! An OpenBao with an audit log, filled with keys, as the source.

use futures_util::StreamExt as _;
use serde_json::json;

use super::audit::Audit;
use super::support::openbao::{OpenBao, ROOT};

/// The number of concurrent writes while it is filled.
const WRITERS: usize = 32;

/// The permissions of the daemon: reading metadata, and reading values that have changed. The other
/// contenders read the value each time.
const POLICY: &str = r#"
path "secret/metadata/llm/*" { capabilities = ["read"] }
path "secret/data/llm/*" { capabilities = ["read"] }
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
        let log = |directory: &std::path::Path| directory.join("audit.log");
        let bao = OpenBao::start_with(|directory| {
            format!(
                "audit \"file\" \"log\" {{ options = {{ file_path = \"{}\" }} }}",
                log(directory).display()
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

    /// Creates a role and a policy with the same name, by which the audit log identifies a client.
    pub async fn role(&self, name: &str) -> Role {
        self.bao.write_policy(name, POLICY).await;
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
