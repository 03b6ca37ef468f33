//! "Try it" of docs/verification.md, the very text, with other ports.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::openbao::{self, OpenBao};
use crate::support::rotator::{binary, sandbox};
use flashback_rotator::flashback::sandbox::{Options, sha256_hex};

fn block(page: &str, language: &str) -> String {
    let (_, rest) = page
        .split_once(&format!("```{language}\n"))
        .expect("a block");
    let (text, _) = rest.split_once("```").expect("its end");
    text.to_owned()
}

/// The block writes below `secret/`, so the server is the test's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verification_pages_example_ends_with_a_held_version() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verification.md");
    let page = std::fs::read_to_string(page).expect("a page");
    let bao = OpenBao::start().await;
    let sandbox = sandbox(Options::default()).await;
    let moved = |text: String| {
        text.replace("http://127.0.0.1:8787", &sandbox.url())
            .replace("http://127.0.0.1:8200", &bao.address)
    };
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let config = moved(block(&page, "toml"));
    std::fs::write(here.join("config.toml"), config).expect("written");
    let programs = [
        ("vault", openbao::program()),
        (
            "flashback-rotator",
            env!("CARGO_BIN_EXE_flashback-rotator").into(),
        ),
    ];
    for (name, program) in programs {
        std::os::unix::fs::symlink(program, here.join(name)).expect("a link");
    }

    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = [here.to_owned()]
        .into_iter()
        .chain(std::env::split_paths(&path));
    let ran = tokio::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", &moved(block(&page, "bash"))])
        .current_dir(here)
        .env("PATH", std::env::join_paths(paths).expect("a path"))
        .env("HOME", here)
        .env_remove("STATE_DIRECTORY")
        .kill_on_drop(true)
        .output()
        .await
        .expect("bash runs");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    let shown = String::from_utf8_lossy(&ran.stdout);
    assert!(shown.contains("held"), "{shown}{said}");

    let all = sandbox.configurations();
    assert_eq!(all[0].secret_sha256, sha256_hex("sk-example-1"), "{said}");
    let mut status = binary();
    status
        .args(["status", "--json", "--config", "config.toml"])
        .current_dir(here)
        .env_remove("STATE_DIRECTORY")
        .env("VAULT_TOKEN", "root")
        .env("FLASHBACK_TOKEN", "any");
    let printed = status.output().expect("it runs").stdout;
    let status: Value = serde_json::from_slice(&printed).expect("JSON");
    let row = &status["keys"][0];
    assert_eq!(
        (&row["state"], &row["version"], &row["held_version"]),
        (&json!("held"), &json!("1"), &json!("2")),
        "{said}"
    );
}
