//! References that can never resolve stop `run`, unless keys have been delivered before.

use flashback_rotator::flashback::sandbox::Options;

use crate::support::LONG;
use crate::support::rotator::{QUICK, Rotator, arrives, binary, file_key, sandbox};

/// Runs the daemon until it ends by itself: its exit code, and what it said.
async fn refused(rotator: &Rotator) -> (Option<i32>, String) {
    let mut run = tokio::process::Command::from(binary());
    run.args(["run", "--config"]).arg(rotator.config());
    run.env_remove("CREDENTIALS_DIRECTORY");
    let ended = tokio::time::timeout(LONG, run.kill_on_drop(true).output());
    let output = ended.await.expect("it is refused").expect("it runs");
    let error = String::from_utf8(output.stderr).expect("text");
    let directory = rotator.path().display().to_string();
    (output.status.code(), error.replace(&directory, "DIR"))
}

fn vault(secret_id: &str) -> String {
    format!(
        "[sources.vault]\ntype = \"vault\"\naddress = \"https://127.0.0.1:9\"\n[sources.vault.auth]\nmethod = \"approle\"\nrole_id = {{ env = \"NO_ROLE\" }}\nsecret_id = {secret_id}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_a_reference_that_cannot_resolve_is_refused() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}", file_key("a"));
    let rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("a", "sk-a");
    for (token, words) in [
        (
            "{ env = \"NO_TOKEN\" }",
            "the environment variable NO_TOKEN is not set",
        ),
        ("{ file = \"{dir}/nothing\" }", "cannot read DIR/nothing: "),
        ("{ file = \"{dir}/secrets\" }", "cannot read DIR/secrets: "),
        (
            "{ credential = \"flashback\" }",
            "$CREDENTIALS_DIRECTORY is not set",
        ),
    ] {
        rotator.configure_signing_in(&sandbox.url(), &format!("token = {token}"), &rest);
        let (code, error) = refused(&rotator).await;
        assert_eq!(code, Some(2), "{error}");
        assert!(
            error.starts_with("error: [flashback.auth]: ") && error.contains(words),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    // Everything that is missing is said in one go.
    let rest = format!("{rest}{}", vault("{ file = \"{dir}/no-secret-id\" }"));
    rotator.configure_signing_in(&sandbox.url(), "token = { env = \"NO_TOKEN\" }", &rest);
    let (code, error) = refused(&rotator).await;
    assert_eq!(code, Some(2), "{error}");
    for words in [
        "NO_TOKEN",
        "[sources.vault.auth]: ",
        "NO_ROLE",
        "DIR/no-secret-id",
    ] {
        assert!(error.contains(words), "no {words} in {error}");
    }
    assert!(sandbox.journal().is_empty(), "nothing was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_of_the_state_that_is_not_there_is_refused_at_once() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = Rotator::new(&sandbox.url(), &file_key("a"));
    let text = std::fs::read_to_string(rotator.config()).expect("the configuration");
    let url = format!("url = \"sqlite://{}/state.db\"", rotator.path().display());
    let other =
        "url = \"postgres://rotator@127.0.0.1:9/rotator\"\npassword = { env = \"NO_PASSWORD\" }";
    assert!(text.contains(&url));
    rotator.write_config(&text.replace(&url, other));
    let (code, error) = refused(&rotator).await;
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("[state]: ") && error.contains("NO_PASSWORD"),
        "{error}"
    );
}

/// What has worked is an outage when it is gone: the daemon starts, says so, and goes on once it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_that_has_worked_before_is_waited_for() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    let token = rotator.path().join("token");
    let kept = rotator.path().join("kept");
    rotator.put("a", "sk-a-1");
    // As where another process writes the token: the next start finds it.
    std::fs::rename(&token, &kept).expect("moved");
    let (code, error) = refused(&rotator).await;
    assert_eq!(code, Some(2), "{error}");
    std::fs::rename(&kept, &token).expect("moved");
    rotator.start();
    arrives(&sandbox, "a", "sk-a-1").await;
    assert!(rotator.stop().await.success());

    std::fs::rename(&token, &kept).expect("moved");
    rotator.put("a", "sk-a-2");
    rotator.start();
    rotator.http().await;
    rotator.event("sign_in_failed", |_| true).await;
    std::fs::rename(&kept, &token).expect("moved");
    arrives(&sandbox, "a", "sk-a-2").await;
    assert!(rotator.stop().await.success());
}

/// A source may be away, and come back: what it holds is not missing for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_to_a_source_is_waited_for_from_the_first_start_on() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}", file_key("a"));
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    let token = "token = { source = \"files\", path = \"token\" }";
    rotator.configure_signing_in(&sandbox.url(), token, &rest);
    rotator.put("a", "sk-a");
    rotator.start();
    rotator.http().await;
    rotator.put("token", "canary-flashback-token");
    arrives(&sandbox, "a", "sk-a").await;
    assert!(rotator.stop().await.success());
}
