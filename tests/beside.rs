//! Beside a daemon: what is handed to it is finished and answered whatever happens meanwhile, and
//! the rest of what commands owe to terminals, pipes and signals.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Fault, Operation, Options, Rule, Sandbox};
use serde_json::Value;

use crate::support::rotator::{QUICK, Rotator, arrives, binary, file_key, sandbox, writes};
use crate::support::{eventually, get};

/// The daemon's own next look is an hour away.
const HOURLY: &str = "[schedule]\ncheck = \"1h\"\n";

fn sync(rotator: &Rotator) -> std::process::Child {
    let mut command = binary();
    command
        .args(["sync", "--json", "--config"])
        .arg(rotator.config())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

async fn ended(mut child: std::process::Child) -> (Option<i32>, String, String) {
    let status = eventually("the end of the command", || {
        let status = child.try_wait().expect("its status");
        async move { status }
    })
    .await;
    let (mut out, mut err) = (String::new(), String::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let _ = stdout.map(|mut pipe| pipe.read_to_string(&mut out));
    let _ = stderr.map(|mut pipe| pipe.read_to_string(&mut err));
    (status.code(), out, err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_the_daemon_does_not_know_is_a_row_and_a_line() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{HOURLY}{}", file_key("a")));
    rotator.put("a", "sk-a");
    rotator.put("b", "sk-b");
    rotator.start();
    rotator.ready().await;
    // Another configuration on the same state, which the daemon will never load.
    let text = std::fs::read_to_string(rotator.config()).expect("readable");
    let other = rotator.path().join("other.toml");
    std::fs::write(&other, format!("{text}{}", file_key("b"))).expect("written");
    for arguments in [&["sync", "a", "b", "--json"][..], &["sync", "--json"]] {
        let mut command = binary();
        command.args(arguments).arg("--config").arg(&other);
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("it ends").expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
        let rows = document["keys"].as_array().expect("rows");
        let actions: Vec<_> = rows.iter().map(|row| row["action"].as_str()).collect();
        assert_eq!(actions, [Some("none"), Some("error")], "{document}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("b: the daemon does not know it"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_for_a_sync_is_finished_when_the_daemon_stops() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{HOURLY}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    rotator.ready().await;
    rotator.put("a", "sk-two");
    sandbox.change(|switches| switches.latency_ms = 1_500);
    let sync = sync(&rotator);
    rotator
        .event("push_started", |line| line["action"] == "update")
        .await;
    assert!(rotator.stop().await.success());
    rotator
        .event("push_succeeded", |line| line["action"] == "update")
        .await;
    let (code, out, error) = ended(sync).await;
    assert_eq!(code, Some(0), "{error}");
    let document: Value = serde_json::from_str(&out).expect("one document");
    assert_eq!(document["keys"][0]["action"], "update");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_waits_when_the_daemon_stops_is_carried_out_by_the_next() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{HOURLY}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    rotator.ready().await;
    rotator.put("a", "sk-two");
    sandbox.fail(Rule::new(Fault::Hang).on(Operation::Update));
    let sync = sync(&rotator);
    rotator
        .event("push_started", |line| line["action"] == "update")
        .await;
    rotator.kill();
    sandbox.heal();
    rotator.start();
    let (code, out, error) = ended(sync).await;
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str::<Value>(&out).expect("one document");
    arrives(&sandbox, "a", "sk-two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_lets_a_sync_finish_its_push_and_begin_no_other() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-a");
    sandbox.change(|switches| switches.latency_ms = 1_000);
    let sync = sync(&rotator);
    eventually("the push", || async {
        let asked = |operation| sandbox.journal().iter().any(|it| it.operation == operation);
        // The creation is under way, or the list before it was just answered.
        (asked(Operation::Create) || asked(Operation::List)).then_some(())
    })
    .await;
    let sent = std::process::Command::new("kill")
        .args(["-INT", &sync.id().to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
    let (code, out, error) = ended(sync).await;
    let document: Value = serde_json::from_str(&out).expect("one document");
    let row = &document["keys"][0];
    match writes(&sandbox) {
        0 => assert!(
            code == Some(1) && error.contains("a: the process was told to stop"),
            "{code:?} {error}"
        ),
        _ => assert_eq!((code, row["action"].as_str()), (Some(0), Some("create"))),
    }
    // Nothing is left that would have to be found out about.
    sandbox.change(|switches| switches.latency_ms = 0);
    rotator.json(&["sync"]).await;
    assert_eq!(writes(&sandbox), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipes_that_are_closed_are_no_crash() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("absent")));
    for (command, code) in [("plan", 1), ("status", 1)] {
        let mut child = binary()
            .args([command, "--config"])
            .arg(rotator.config())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        drop(child.stderr.take());
        assert_eq!(ended(child).await.0, Some(code), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_key_does_not_wait_for_its_next_check() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{HOURLY}{}", file_key("a"));
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("a", "sk-a");
    rotator.start();
    rotator.ready().await;
    rotator.configure(
        &sandbox.url(),
        &rest.replace("name = \"a\"", "name = \"renamed\""),
    );
    rotator.signal("HUP");
    arrives(&sandbox, "renamed", "sk-a").await;
    // What was missing is looked for again with a reload too, and readiness is not lost.
    let more = format!("{HOURLY}{}{}", file_key("a"), file_key("absent"));
    rotator.configure(&sandbox.url(), &more);
    rotator.ready().await;
    rotator.event("secret_missing", |_| true).await;
    rotator.put("absent", "sk-late");
    rotator.configure(&sandbox.url(), &format!("{more}\n# again\n"));
    arrives(&sandbox, "absent", "sk-late").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_what_metrics_say_of_pushes() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-a");
    rotator.start();
    rotator.event("push_succeeded", |_| true).await;
    assert!(rotator.stop().await.success());
    std::fs::remove_file(rotator.log_path()).expect("removed");
    rotator.start();
    rotator.ready().await;
    let url = format!("{}/metrics", rotator.http().await);
    eventually("the time of the push", || async {
        let text = get(&url).await.ok()?.text().await.ok()?;
        text.contains("key_last_push_timestamp_seconds{key=\"a\"}")
            .then_some(())
    })
    .await;
}

/// Two keys, of which Flashback does not take one for as long as it is not healed.
async fn one_that_fails(fault: Rule) -> (Sandbox, Rotator) {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{HOURLY}{}{}", file_key("a"), file_key("b"));
    let rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("a", "sk-one");
    rotator.put("b", "sk-one");
    assert_eq!(rotator.command(&["sync"]).await.status.code(), Some(0));
    sandbox.fail(Rule {
        name: Some("b".to_owned()),
        ..fault
    });
    rotator.put("a", "sk-two");
    rotator.put("b", "sk-two");
    (sandbox, rotator)
}

/// Runs `sync --timeout 1s`, which names `b` and nothing else, and returns what it says of it.
async fn late(rotator: &Rotator) -> String {
    let began = Instant::now();
    let output = rotator
        .command(&["sync", "--timeout", "1s", "--json"])
        .await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(began.elapsed() >= Duration::from_secs(1));
    let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let row = |at: usize| &document["keys"][at];
    assert_eq!(row(0)["action"], "update", "{document}");
    assert_eq!(row(1)["action"], "error", "{document}");
    let said = row(1)["error"].as_str().expect("an error").to_owned();
    assert_eq!(error, format!("error: b: {said}\n"));
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_is_answered_in_its_time_and_the_daemon_goes_on() {
    let (sandbox, mut rotator) = one_that_fails(Rule::status(500)).await;
    rotator.put("a", "sk-one");
    rotator.put("b", "sk-one");
    rotator.start();
    rotator.ready().await;
    rotator.put("a", "sk-two");
    rotator.put("b", "sk-two");
    let said = late(&rotator).await;
    assert!(
        said.starts_with("not done within 1s: the daemon goes on with it"),
        "{said}"
    );
    sandbox.heal();
    arrives(&sandbox, "b", "sk-two").await;
    // What it went on with is over, and the next is answered.
    let sync = rotator.json(&["sync"]).await;
    assert_eq!(sync["keys"][1]["action"], "none", "{sync}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_without_a_daemon_ends_in_its_time() {
    let (sandbox, rotator) = one_that_fails(Rule::status(500)).await;
    let said = late(&rotator).await;
    assert!(said.contains("500"), "{said}");
    sandbox.heal();
    assert_eq!(rotator.command(&["sync"]).await.status.code(), Some(0));
    arrives(&sandbox, "b", "sk-two").await;
}

/// A daemon that is stopped answers nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_does_not_wait_for_a_daemon_that_hangs() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{HOURLY}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    rotator.ready().await;
    rotator.signal("STOP");
    let output = rotator.command(&["sync", "--timeout", "100ms"]).await;
    rotator.signal("CONT");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("a: no answer within 100ms"), "{error}");
}
