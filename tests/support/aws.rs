//! Emulators of AWS. The tests use moto and ministack, whose errors differ, and a source must accept both.

use std::process::Command;

use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{Credentials, Region, retry::RetryConfig};
use aws_sdk_secretsmanager::primitives::Blob;
use flashback_rotator::model::SourceId;
use flashback_rotator::outbound::smithy;
use flashback_rotator::source::aws::{AwsConfig, AwsSource};
use flashback_rotator::upstream::Upstream;
use tokio::sync::OnceCell;

use super::upstreams::upstream;
use super::{Server, client, eventually, free_port, venv};

/// The region of all secrets in the tests.
pub const REGION: &str = "us-east-1";

/// An emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulator {
    /// moto: answers differently from AWS where something is not found, and checks IAM policies on request.
    Moto,
    /// ministack: answers with AWS's error statuses.
    Ministack,
}

/// Both emulators.
pub const BOTH: [Emulator; 2] = [Emulator::Moto, Emulator::Ministack];

/// A running emulator.
pub struct Aws {
    emulator: Emulator,
    url: String,
    _server: Server,
    _home: tempfile::TempDir,
}

impl Aws {
    /// Returns an emulator that all tests share. Its secrets must be named after the test.
    pub async fn shared(emulator: Emulator) -> &'static Self {
        static MOTO: OnceCell<Aws> = OnceCell::const_new();
        static MINISTACK: OnceCell<Aws> = OnceCell::const_new();
        let cell = match emulator {
            Emulator::Moto => &MOTO,
            Emulator::Ministack => &MINISTACK,
        };
        cell.get_or_init(|| Self::start(emulator)).await
    }

    /// Starts an emulator for one test, which checks neither signatures nor policies.
    pub async fn start(emulator: Emulator) -> Self {
        Self::start_with(emulator, false).await
    }

    /// Starts an emulator for one test, which checks signatures and policies once
    /// [`enforce_policies`](Self::enforce_policies) was called (ministack: from the start).
    pub async fn start_strict(emulator: Emulator) -> Self {
        Self::start_with(emulator, true).await
    }

    async fn start_with(emulator: Emulator, strict: bool) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let bin = venv().join("bin");
        let command = match emulator {
            Emulator::Moto => {
                let mut command = Command::new(bin.join("moto_server"));
                command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
                command
            }
            Emulator::Ministack => {
                let mut command = Command::new(bin.join("ministack"));
                command
                    .env("BIND_HOST", "127.0.0.1")
                    .env("GATEWAY_PORT", port.to_string())
                    .env("AUTH", strict.to_string())
                    .env("TMPDIR", home.path());
                command
            }
        };
        let log = home.path().join("log");
        let server = Server::start(&command, &log);
        let url = format!("http://127.0.0.1:{port}");
        let probe = client();
        eventually(&format!("{emulator:?} answers at {url}"), async || {
            probe.get(&url).send().await.ok()
        })
        .await;
        Self {
            emulator,
            url,
            _server: server,
            _home: home,
        }
    }

    /// Returns its endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a source that signs in with these credentials.
    pub fn source(&self, config: AwsConfig, credentials: Credentials) -> AwsSource {
        self.source_over(upstream("aws"), config, credentials)
    }

    /// Returns a source that signs in with these credentials and uses the given upstream.
    pub fn source_over(
        &self,
        upstream: Upstream,
        config: AwsConfig,
        credentials: Credentials,
    ) -> AwsSource {
        let url = self.url.clone();
        AwsSource::with_loader(SourceId::new("aws"), config, upstream, move || {
            loader_at(&url).credentials_provider(credentials.clone())
        })
    }

    /// Returns a client with all permissions. It must not be shared between tests, as connections do not
    /// outlive a test's runtime.
    pub fn client(&self) -> Client {
        self.client_as(administrator())
    }

    /// Returns a client with these credentials.
    pub fn client_as(&self, credentials: Credentials) -> Client {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(smithy::http_client())
            .region(Region::new(REGION))
            .endpoint_url(&self.url)
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .build();
        Client::from_conf(config)
    }

    /// Creates a secret and returns the id of its version.
    pub async fn create(&self, name: &str, value: &str) -> String {
        let made = self.client().create_secret().name(name);
        let made = made.secret_string(value).send().await.expect("created");
        made.version_id.expect("a version")
    }

    /// Creates a secret with a binary value.
    pub async fn create_binary(&self, name: &str, value: &[u8]) {
        let made = self.client().create_secret().name(name);
        let made = made.secret_binary(Blob::new(value)).send().await;
        made.expect("created");
    }

    /// Rotates a secret and returns the id of the new version, which is current.
    pub async fn put(&self, name: &str, value: &str) -> String {
        let put = self.client().put_secret_value().secret_id(name);
        let put = put.secret_string(value).send().await.expect("put");
        put.version_id.expect("a version")
    }

    /// Adds a version that is not current yet, as a rotation function does, and returns its id.
    pub async fn put_pending(&self, name: &str, value: &str) -> String {
        let put = self.client().put_secret_value().secret_id(name);
        let put = put.secret_string(value).version_stages("AWSPENDING");
        let put = put.send().await.expect("put");
        put.version_id.expect("a version")
    }

    /// Moves `AWSCURRENT` from one version to another.
    pub async fn make_current(&self, name: &str, to: &str, from: &str) {
        let moved = self.client().update_secret_version_stage().secret_id(name);
        moved
            .version_stage("AWSCURRENT")
            .move_to_version_id(to)
            .remove_from_version_id(from)
            .send()
            .await
            .expect("moved");
    }

    /// Deletes a secret, either irrevocably or so that it can be restored.
    pub async fn delete(&self, name: &str, for_good: bool) {
        let delete = self.client().delete_secret().secret_id(name);
        let delete = match for_good {
            true => delete.force_delete_without_recovery(true),
            false => delete.recovery_window_in_days(7),
        };
        delete.send().await.expect("deleted");
    }

    /// Restores a deleted secret.
    pub async fn restore(&self, name: &str) {
        let restore = self.client().restore_secret().secret_id(name);
        restore.send().await.expect("restored");
    }

    /// Makes a call in the query protocol of IAM and STS, and returns the XML.
    pub async fn query(&self, service: &str, action: &str, fields: &[(&str, &str)]) -> String {
        let version = if service == "iam" {
            "2010-05-08"
        } else {
            "2011-06-15"
        };
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("Action", action), ("Version", version)]);
        form.extend_pairs(fields);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let answer = client()
            .post(&self.url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", authorization)
            .body(form.finish())
            .send()
            .await
            .expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.expect("text"));
        assert!(status.is_success(), "{action}: {status}: {text}");
        text
    }

    /// Creates a user with one policy, and returns an access key.
    pub async fn user(&self, name: &str, policy: &str) -> Credentials {
        let named = ("UserName", name);
        self.query("iam", "CreateUser", &[named]).await;
        let policy = [named, ("PolicyName", "p"), ("PolicyDocument", policy)];
        self.query("iam", "PutUserPolicy", &policy).await;
        let key = self.query("iam", "CreateAccessKey", &[named]).await;
        Credentials::new(
            tag(&key, "AccessKeyId"),
            tag(&key, "SecretAccessKey"),
            None,
            None,
            "test",
        )
    }

    /// Creates a role that everyone may assume, and returns its ARN.
    pub async fn role(&self, name: &str) -> String {
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
        let fields = [("RoleName", name), ("AssumeRolePolicyDocument", trust)];
        tag(&self.query("iam", "CreateRole", &fields).await, "Arn")
    }

    /// Makes moto check signatures and policies from now on, also for the administrator.
    pub async fn enforce_policies(&self) {
        if self.emulator == Emulator::Ministack {
            return;
        }
        let url = format!("{}/moto-api/reset-auth", self.url);
        let answer = client().post(url).body("0").send().await;
        assert!(answer.expect("an answer").status().is_success());
    }
}

/// Returns a source for an AWS endpoint at `url`.
pub fn source_at(url: &str, config: AwsConfig) -> AwsSource {
    let url = url.to_owned();
    AwsSource::with_loader(SourceId::new("aws"), config, upstream("aws"), move || {
        loader_at(&url).credentials_provider(administrator())
    })
}

/// Returns SDK settings that send all calls, also those to STS, to `url`, as `AWS_ENDPOINT_URL` does.
pub fn loader_at(url: &str) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGION))
        .endpoint_url(url)
}

/// Returns credentials that an emulator accepts as the account owner's.
pub fn administrator() -> Credentials {
    Credentials::new("test", "test", None, None, "test")
}

/// Returns the text of the first element with this name.
pub fn tag(xml: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inner = xml
        .split(&open)
        .nth(1)
        .and_then(|rest| rest.split(&close).next());
    inner
        .unwrap_or_else(|| panic!("no {name} in {xml}"))
        .to_owned()
}
