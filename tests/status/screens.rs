//! Golden screens: one for each state of the world.

use std::process::{Command, Output, Stdio};

use flashback_rotator::flashback::sandbox::Rule;

use super::*;
use crate::support::rotator::{arrives, binary};
use crate::support::{free_port, get};

/// A source that nobody answers for, and two keys in it.
const LOST: &str = r#"
[sources.vault]
type = "vault"
address = "http://127.0.0.1:{port}"
[sources.vault.auth]
method = "token"
token = { file = "{dir}/token" }
[keys.c]
ai_type = "OPENAI"
source = "vault"
path = "llm/c"
[keys.d]
ai_type = "OPENAI"
source = "vault"
path = "llm/d"
"#;

fn is_golden(name: &str, screen: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../data/status");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, screen));
}

async fn run_in(directory: &Path, arguments: &[&str]) -> Output {
    let mut command: Command = binary();
    command
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.expect("it ends").expect("it runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_well() {
    let (_sandbox, rotator) = well().await;
    let output = rotator.command(&["status"]).await;
    assert_eq!(text(&output.stderr), "");
    is_golden("all-well", &masked(&output, rotator.path()));

    // The page's figures and those of /status are the same.
    let (document, code) = document(&rotator, &[]).await;
    assert_eq!(code, Some(0));
    let url = format!("{}/status", rotator.http().await);
    let told: Value = get(url)
        .await
        .expect("it answers")
        .json()
        .await
        .expect("JSON");
    for part in ["daemon", "state", "configuration", "flashback", "sources"] {
        assert_eq!(
            without_heartbeat(&told[part]),
            without_heartbeat(&document[part]),
            "{part}"
        );
    }
    assert_eq!(
        told["keys"][0]["ai_llm_id"],
        document["keys"][0]["ai_llm_id"]
    );
}

/// What is written once a minute may have been written in between.
fn without_heartbeat(part: &Value) -> Value {
    let mut part = part.clone();
    if let Some(replica) = part.pointer_mut("/replicas/0") {
        replica["last_seen_at"] = Value::Null;
    }
    part
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_was_killed() {
    let (_sandbox, mut rotator) = well().await;
    rotator.kill();
    let output = rotator.command(&["status"]).await;
    is_golden("daemon-dead", &masked(&output, rotator.path()));
    let (document, _) = document(&rotator, &[]).await;
    assert_eq!(document["daemon"]["status"], "dead");
    assert_eq!(
        document["keys"][0]["next_check"],
        Value::Null,
        "nobody has promised it"
    );

    // And one that was told to stop.
    rotator.start();
    is_well(&rotator).await;
    assert!(rotator.stop().await.success());
    let output = rotator.command(&["status"]).await;
    is_golden("daemon-stopped", &masked(&output, rotator.path()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_was_broken_since() {
    let (sandbox, rotator) = well().await;
    let good = std::fs::read_to_string(rotator.config()).expect("readable");
    rotator.write_config(&good.replacen("type = \"file\"", "type = \"canary\"", 1));
    rotator.event("config_rejected", |_| true).await;
    eventually("it is in the state", || async {
        let (document, _) = document(&rotator, &[]).await;
        document["configuration"]["rejected_since"]
            .is_string()
            .then_some(())
    })
    .await;
    let output = rotator.command(&["status"]).await;
    let warning = text(&output.stderr);
    assert!(
        warning.contains("config.toml:") && warning.contains("warning: "),
        "{warning}"
    );
    assert!(!warning.contains("canary"), "{warning}");
    is_golden("file-broken", &masked(&output, rotator.path()));

    // The daemon makes the plan by what it has.
    rotator.put("a", "sk-canary-newer");
    arrives(&sandbox, "a", "sk-canary-newer").await;
    let output = rotator.command(&["plan", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(plan["keys"].as_array().map(Vec::len), Some(2), "{plan}");
    assert_eq!(plan["keys"][0]["action"], "none");

    // A syntax error is a mistake like any other, and a file that is gone is, too.
    rotator.write_config(&format!("{good}\n[keys.x\n= 1"));
    assert_eq!(
        rotator.command(&["status", "a"]).await.status.code(),
        Some(0)
    );
    assert_eq!(
        rotator.command(&["status", "x"]).await.status.code(),
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_down() {
    let (sandbox, rotator) = well().await;
    let lost = LOST.replace("{port}", &free_port().to_string());
    rotator.configure(&sandbox.url(), &keys(&lost));
    rotator.event("config_reloaded", |_| true).await;
    eventually("the cause on both keys, and on the source", || async {
        let (document, _) = document(&rotator, &[]).await;
        let error = &document["sources"][1]["error"];
        let rows = document["keys"].as_array()?;
        let told = rows.iter().filter(|row| row["error"] == *error).count();
        (error.is_string() && told == 2).then_some(())
    })
    .await;
    let output = rotator.command(&["status"]).await;
    is_golden("source-down", &masked(&output, rotator.path()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashback_is_down() {
    let (sandbox, rotator) = well().await;
    sandbox.fail(Rule::status(503));
    rotator.put("a", "sk-canary-new-a");
    rotator.put("b", "sk-canary-new-b");
    let url = rotator.http().await;
    eventually("the cause on both keys, and on Flashback", || async {
        let (document, _) = document(&rotator, &[]).await;
        let error = &document["flashback"]["error"];
        let rows = document["keys"].as_array()?;
        let told = rows.iter().filter(|row| row["error"] == *error).count();
        (error.is_string() && told == 2).then_some(())
    })
    .await;
    let output = rotator.command(&["status"]).await;
    is_golden("flashback-down", &masked(&output, rotator.path()));
    // One truth: the page and the metric say the same.
    let get = async |page: &str| {
        let answer = get(format!("{url}/{page}")).await;
        answer.expect("it answers").text().await.expect("text")
    };
    assert!(
        get("metrics")
            .await
            .contains("flashback_rotator_flashback_up 0")
    );
    assert!(get("").await.contains("No answer for"));
}

/// No key is pushed, and no edit is watched for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashback_does_not_stay_up_while_nobody_needs_it() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("[schedule]\ncheck = \"1h\"\n{}", file_key("a"));
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.watch_edits("off");
    rotator.put("a", "sk-canary-a");
    rotator.start_with(&[("FLASHBACK_ROTATOR_SIGN_IN_CHECK_MS", "300")]);
    rotator.ready().await;
    let is = async |status: &str| {
        eventually(status, || async {
            let (document, _) = document(&rotator, &[]).await;
            (document["flashback"]["status"] == status).then_some(())
        })
        .await;
    };
    is("up").await;
    sandbox.fail(Rule::status(503));
    is("down").await;
    sandbox.heal();
    is("up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_directory_has_another_state() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &keys(""));
    let text = std::fs::read_to_string(rotator.config()).expect("readable");
    let state = format!(
        "[state]\nurl = \"sqlite://{}/state.db\"\n",
        rotator.path().display()
    );
    assert!(text.contains(&state), "{text}");
    rotator.write_config(&text.replace(&state, ""));
    rotator.environment.push((
        "STATE_DIRECTORY".to_owned(),
        rotator.path().display().to_string(),
    ));
    rotator.put("a", "sk-canary-a");
    rotator.put("b", "sk-canary-b");
    rotator.start();
    rotator.ready().await;
    is_well(&rotator).await;

    let elsewhere = tempfile::tempdir().expect("a directory");
    let config = rotator.config();
    let config = config.to_str().expect("text");
    let output = run_in(elsewhere.path(), &["status", "--config", config]).await;
    let screen = masked(&output, elsewhere.path());
    let screen = screen.replace(&rotator.path().display().to_string(), "{config}");
    is_golden("another-directory", &screen);
    assert!(
        !elsewhere.path().join("state.db").exists(),
        "nothing is made"
    );

    // A state that only `sync` has ever worked on expects no daemon.
    let synced = run_in(elsewhere.path(), &["sync", "--config", config]).await;
    assert_eq!(synced.status.code(), Some(0));
    let output = run_in(elsewhere.path(), &["status", "--config", config]).await;
    let screen = masked(&output, elsewhere.path());
    let screen = screen.replace(&rotator.path().display().to_string(), "{config}");
    is_golden("never-a-daemon", &screen);
}
