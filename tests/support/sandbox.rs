//! A sandbox in the test's own process, and a client for it.

use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::credential::{Plain, SharedCredential};
use flashback_rotator::flashback::client::{Auth, Client};
use flashback_rotator::flashback::sandbox::{Account, Options, Sandbox};
use flashback_rotator::model::{AiType, Settings, Target, WorkspaceId};
use flashback_rotator::retry::Limits;
use flashback_rotator::secret::{Credentials, Secret};
use flashback_rotator::telemetry::metrics::{FLASHBACK, Metrics};
use flashback_rotator::upstream::{Outages, Terms, Upstream};
use parking_lot::Mutex;

pub const TOKEN: &str = "sandbox-bearer-token";
pub const EMAIL: &str = "rotator@example.com";
pub const PASSWORD: &str = "a password of the sandbox";

/// Starts a sandbox on a free port, with a static token and an account.
pub async fn start() -> Sandbox {
    start_with(options()).await
}

/// Starts a sandbox on a free port with these options.
pub async fn start_with(options: Options) -> Sandbox {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    Sandbox::start(listener, options).expect("a sandbox")
}

pub fn options() -> Options {
    Options {
        token: Some(secret(TOKEN)),
        account: Some(Account {
            email: secret(EMAIL),
            password: secret(PASSWORD),
        }),
        ..Options::default()
    }
}

pub fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

pub fn plain(text: &str) -> SharedCredential {
    Arc::new(Plain(text.to_owned()))
}

pub fn token() -> Auth {
    Auth::Token(plain(TOKEN))
}

pub fn login() -> Auth {
    Auth::Login {
        email: plain(EMAIL),
        password: plain(PASSWORD),
        totp: None,
    }
}

/// The outages that an upstream reported.
#[derive(Default)]
pub struct Reports(pub Mutex<Vec<String>>);

impl Outages for Reports {
    fn unavailable(&self, _: &str, error: &str, _: Duration) {
        self.0.lock().push(error.to_owned());
    }

    fn recovered(&self, _: &str, _: Duration) {
        self.0.lock().push("recovered".to_owned());
    }
}

/// Returns an upstream that recovers from an outage almost at once.
pub fn upstream(timeout: Duration) -> Arc<Upstream> {
    let terms = Terms {
        permits: 16,
        max_rps: None,
        timeout,
        retry: Limits {
            initial: Duration::from_millis(1),
            max: Duration::from_millis(1),
            give_up_after: Duration::from_secs(60),
        },
    };
    let metrics = Arc::new(Metrics::new());
    Arc::new(Upstream::new(
        FLASHBACK,
        terms,
        metrics,
        Arc::new(Reports::default()),
    ))
}

/// Returns a client with a long time limit.
pub fn client(url: &str, auth: Auth) -> Client {
    Client::new(url, auth, upstream(Duration::from_secs(30))).expect("a client")
}

pub fn settings(name: &str) -> Settings {
    Settings {
        workspace_id: WorkspaceId::new("workspace-123"),
        name: name.to_owned(),
        ai_type: AiType::Openai,
        endpoint: "https://api.openai.com/v1".to_owned(),
        target: Target::Configuration,
    }
}

pub fn credentials(text: &str) -> Credentials {
    Credentials {
        key: None,
        secret: secret(text),
    }
}
