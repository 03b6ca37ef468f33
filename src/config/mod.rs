//! The configuration: TOML in, a [`Config`] that cannot be wrong out.
//!
//! Every mistake is reported in one go, with its place and a remedy and without the value.

mod assemble;
mod diagnostics;
mod exposed;
mod foreign;
pub mod hints;
mod keys;
mod lints;
mod load;
mod mask;
mod plain;
mod reference;
mod references;
mod report;
mod schema;
mod setting;
mod state;
mod syntax;
mod tables;
mod tree;
mod twice;
mod value_types;
mod variable;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{KeyId, Origin, ReceiverId, Settings, SourceId};
use crate::notify::{Format, Terms};
use crate::retry::Limits;

pub use exposed::exposed;
pub use load::{Digest, Loaded, Peeked, digest, load, locate, peek};
pub use reference::REFERENCE;
pub use references::Owner;
pub use report::{Mistake, Report};
pub use schema::schema;
pub use state::{PostgresConfig, PostgresHost, SslMode, SslRoots, StateConfig};

/// Everything the program is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[flashback]`.
    pub flashback: FlashbackConfig,
    /// `[flashback] watch_edits`: how often it is asked who has changed credentials; `None` for not.
    pub watch_edits: Option<Duration>,
    /// `[state]`.
    pub state: StateConfig,
    /// `[schedule]` resync: push again even when unchanged.
    pub resync: Duration,
    /// `[retry]` initial, max, give_up_after.
    pub retry: Limits,
    /// `[retry]` refused: until a refused write is tried again.
    pub refused: Duration,
    /// `[verify]`, which a key's own overrides.
    pub verify: VerifyConfig,
    /// `[http]` listen.
    pub http_listen: SocketAddr,
    /// `[log]`.
    pub log: LogConfig,
    /// `[sources.…]`.
    pub sources: BTreeMap<SourceId, SourceConfig>,
    /// `[notify.…]`.
    pub notify: BTreeMap<ReceiverId, NotifyConfig>,
    /// `[keys.…]`, the disabled ones too.
    pub keys: BTreeMap<KeyId, Arc<KeyConfig>>,
}

/// `[flashback]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashbackConfig {
    /// Without a trailing slash.
    pub base_url: String,
    /// `[flashback.auth]`.
    pub auth: FlashbackAuth,
}

/// The three ways to sign in to Flashback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlashbackAuth {
    /// A bearer token.
    Token(SecretRef),
    /// `POST /user/login`.
    Login {
        /// Not secret.
        email: ValueRef,
        /// The password.
        password: SecretRef,
        /// The base32 seed of a second factor.
        totp: Option<SecretRef>,
    },
    /// `POST /user/refresh`; the next token is written back to this file.
    RefreshToken(PathBuf),
}

impl FlashbackAuth {
    /// The secret references in it.
    pub fn references(&self) -> Vec<&SecretRef> {
        match self {
            Self::Token(token) => vec![token],
            Self::Login {
                email,
                password,
                totp,
            } => {
                let email = email.reference();
                email.into_iter().chain([password]).chain(totp).collect()
            }
            Self::RefreshToken(_) => Vec::new(),
        }
    }
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// `{ env = "NAME" }`.
    Env(String),
    /// `{ file = "PATH" }`.
    File(PathBuf),
    /// `{ credential = "NAME" }`.
    Credential(String),
    /// `{ source = "ID", path = "…", field = "…" }`.
    Source {
        /// The source.
        source: SourceId,
        /// The path in it.
        path: String,
        /// The field; where left out, the only one.
        field: Option<String>,
    },
}

/// A setting that is no secret: a plain string or a reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueRef {
    /// Written in the configuration.
    Plain(String),
    /// Kept elsewhere.
    Ref(SecretRef),
}

impl ValueRef {
    /// The reference, where it is one.
    fn reference(&self) -> Option<&SecretRef> {
        match self {
            Self::Ref(reference) => Some(reference),
            Self::Plain(_) => None,
        }
    }
}

/// `[verify]`, or a key's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyConfig {
    /// `before = "provider"`.
    pub before_provider: bool,
    /// `after = "flashback"`.
    pub after_flashback: bool,
    /// `grace`.
    pub grace: Duration,
    /// `on_failure = "rollback"` rather than `"hold"`.
    pub rollback: bool,
    /// `settle`: how long after its verification a version is acknowledged.
    pub settle: Duration,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `None`: pretty on a terminal, JSON elsewhere.
    pub format: Option<LogFormat>,
    /// A level, or directives as tracing-subscriber's `EnvFilter` reads them.
    pub level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// For people.
    Pretty,
}

/// `[sources.…]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Calls a second, failures and retries included.
    pub max_rps: f64,
    /// Whether it is told which version is live.
    pub acknowledge: bool,
    /// What it is and how to reach it.
    pub kind: SourceKind,
}

/// The kinds of source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// HashiCorp Vault or OpenBao.
    Vault(VaultConfig),
    /// AWS Secrets Manager.
    Aws(AwsConfig),
    /// A directory of files.
    File {
        /// The directory.
        dir: PathBuf,
    },
}

/// `type = "vault"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultConfig {
    /// Scheme, host and port, without a path.
    pub address: String,
    /// The namespace.
    pub namespace: Option<String>,
    /// Where the KV engine is mounted, without slashes at its ends.
    pub mount: String,
    /// 1 or 2.
    pub kv_version: KvVersion,
    /// A PEM file of certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// How to sign in.
    pub auth: VaultAuth,
}

/// The two KV engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    /// Without versions.
    V1,
    /// With versions.
    V2,
}

/// `[sources.….auth]` of a Vault. `mount` is where the method is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultAuth {
    /// `method = "token"`.
    Token {
        /// The token.
        token: SecretRef,
    },
    /// `method = "approle"`.
    AppRole {
        /// Default `approle`.
        mount: String,
        /// Not secret.
        role_id: ValueRef,
        /// The secret id; a role can do without one.
        secret_id: Option<SecretRef>,
    },
    /// `method = "kubernetes"`.
    Kubernetes {
        /// Default `kubernetes`.
        mount: String,
        /// The role.
        role: String,
        /// The service account's token; default: the file Kubernetes mounts in every pod.
        jwt: SecretRef,
    },
    /// `method = "jwt"`.
    Jwt {
        /// Default `jwt`.
        mount: String,
        /// The role; the method's default role where left out.
        role: Option<String>,
        /// The token.
        jwt: SecretRef,
    },
    /// `method = "userpass"`.
    Userpass {
        /// Default `userpass`.
        mount: String,
        /// Not secret.
        username: ValueRef,
        /// The password.
        password: SecretRef,
    },
    /// `method = "cert"`.
    Cert {
        /// Default `cert`.
        mount: String,
        /// The certificate role; any that matches where left out.
        role: Option<String>,
        /// A PEM file with the certificate and its chain.
        cert_file: PathBuf,
        /// A PEM file with the private key.
        key_file: PathBuf,
    },
}

impl VaultAuth {
    /// The secret references in it.
    pub fn references(&self) -> Vec<&SecretRef> {
        match self {
            Self::Token { token } => vec![token],
            Self::AppRole {
                role_id, secret_id, ..
            } => role_id.reference().into_iter().chain(secret_id).collect(),
            Self::Kubernetes { jwt, .. } | Self::Jwt { jwt, .. } => vec![jwt],
            Self::Userpass {
                username, password, ..
            } => username.reference().into_iter().chain([password]).collect(),
            Self::Cert { .. } => Vec::new(),
        }
    }
}

/// `type = "aws-secrets-manager"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsConfig {
    /// The region; the SDK's chain finds one where left out.
    pub region: Option<String>,
    /// A profile of the shared configuration files.
    pub profile: Option<String>,
    /// A role to assume.
    pub assume_role_arn: Option<String>,
    /// The external id that role wants.
    pub external_id: Option<String>,
    /// Another endpoint.
    pub endpoint_url: Option<String>,
    /// How its secrets are looked at.
    pub look: AwsLook,
}

/// How the secrets of an AWS source are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AwsLook {
    /// One by one, with no value in the answer.
    #[default]
    Describe,
    /// Twenty at a time, with values in the answer.
    Batch,
}

impl AwsLook {
    /// Looks that one call makes at most.
    pub fn at_once(self) -> u32 {
        match self {
            Self::Describe => 1,
            Self::Batch => 20,
        }
    }
}

/// `[notify.…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyConfig {
    /// Where the receiver is. A secret: whoever knows it can write there.
    pub url: SecretRef,
    /// What the receiver reads.
    pub format: Format,
    /// What it is told.
    pub terms: Terms,
    /// What its messages are signed with.
    pub secret: Option<SecretRef>,
}

/// `[keys.…]`.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyConfig {
    /// What it is in Flashback.
    pub settings: Settings,
    /// Where its value is taken from.
    pub origin: Origin,
    /// When it is looked at.
    pub check: Check,
    /// Its own `verify`, or the general one.
    pub verify: VerifyConfig,
    /// How old the live version may be before people are warned.
    pub max_age: Option<Duration>,
    /// Whether it is looked at at all.
    pub enabled: bool,
    /// Whether what is to hold it may be created: a configuration always, a stored key with `create`.
    pub may_create: bool,
}

/// When to look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// Every so often.
    Every(Duration),
    /// At the times a cron line names.
    Cron(CronLine),
}

/// A cron line, known to be one and to fire some day.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CronLine {
    /// Six fields, seconds first.
    pub expression: String,
    /// Whose clock it goes by.
    pub timezone: chrono_tz::Tz,
}
