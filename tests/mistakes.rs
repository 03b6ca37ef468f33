//! What new users get wrong: each mistake is named with its place and a remedy, ends with exit code 2
//! and shows no value.
//!
//! What is said of each mistake in a configuration file stands in one snapshot, to be read from top to
//! bottom as a user would.

mod connect;
mod docs;
mod files;
mod references;
mod right;
mod table;

use std::process::Output;

use crate::support::place_file;
use crate::support::rotator::binary;

/// What must never be seen again once it stands in a configuration or in the environment.
const CANARY: &str = "canary5f1d";

/// A small configuration that is right.
const GOOD: &str = r#"[flashback]
workspace_id = "workspace-1"
[flashback.auth]
token = { env = "FLASHBACK_TOKEN" }
[schedule]
check = "30s"
[sources.vault]
type = "vault"
address = "https://vault.example.com:8200"
[sources.vault.auth]
method = "token"
token = { env = "VAULT_TOKEN" }
[keys.openai]
ai_type = "OPENAI"
source = "vault"
path = "llm/openai"
"#;

/// [`GOOD`] with one piece replaced.
fn with(piece: &str, replacement: &str) -> String {
    assert!(GOOD.contains(piece), "{piece}");
    GOOD.replacen(piece, replacement, 1)
}

/// What `check` says of a file with these bytes, without the file's directory.
fn check(text: &[u8], environment: &[(&str, &str)]) -> (Output, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    place_file(&path, text);
    let output = binary()
        .args(["check", "--config"])
        .arg(&path)
        .envs(environment.iter().copied())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = said.replace(&format!("{}/", directory.path().display()), "");
    (output, said)
}
