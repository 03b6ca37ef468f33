//! The configuration: what is right loads, what is wrong is reported in one go, with its place and
//! a remedy and without the value.

mod broken;
mod cases;
mod documents;
mod files;
mod state;

use std::path::{Path, PathBuf};

use flashback_rotator::config::KINDS;
use flashback_rotator::config::{self, Loaded, Report};

use crate::support::place_file;

/// What must never be seen again once it stands in a configuration.
const CANARY: &str = "canary-5f1d";

/// A small configuration that is right. Cases change a line of it.
const GOOD: &str = r#"[flashback]
base_url = "https://flashback.example.com"
workspace_id = "workspace-1"
[flashback.auth]
token = { env = "TOKEN" }
[state]
url = "sqlite:///var/lib/flashback-rotator/state.db"
[schedule]
check = "30s"
timezone = "UTC"
[retry]
initial = "500ms"
[http]
listen = "127.0.0.1:9464"
[log]
level = "info"
[sources.vault]
type = "vault"
address = "https://vault.example.com:8200"
max_rps = 50
[sources.vault.auth]
method = "approle"
role_id = "rotator"
secret_id = { file = "/run/secrets/id" }
[sources.files]
type = "file"
dir = "/run/secrets/llm"
[sources.aws]
type = "aws-secrets-manager"
[keys.openai]
ai_type = "OPENAI"
source = "vault"
path = "llm/openai"
enabled = true
[keys.bedrock]
ai_type = "AWS"
endpoint = "https://bedrock.example.com"
source = "aws"
path = "prod/bedrock"
fields = { key = "id", secret = "secret" }
[keys.local]
name = "Local"
ai_type = "OTHER"
endpoint = "https://llm.example.com/v1"
source = "files"
path = "local"
"#;

/// Loads one file with this text.
fn load(text: &str) -> Result<Loaded, Report> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    place_file(&path, text);
    config::load(Some(&path), KINDS)
}

fn load_directory(files: &[(&str, &str)]) -> Result<Loaded, Report> {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        place_file(directory.path().join(name), text);
    }
    config::load(Some(directory.path()), KINDS)
}

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The whole report, as plain text, without the directory of its files.
fn rendered(report: &Report) -> String {
    let mut text = report.to_string();
    for mistake in report {
        let directory = mistake.file().parent().unwrap_or(Path::new(""));
        text = text.replace(&format!("{}/", directory.display()), "");
    }
    text
}
