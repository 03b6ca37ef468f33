//! The commands: what they print, for people and for scripts, and their exit codes.

use flashback_rotator::flashback::sandbox::{Operation, Options, Rule};
use serde_json::Value;

use crate::support::rotator::{QUICK, Rotator, arrives, binary, file_key, sandbox, writes};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn actions(document: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = document["keys"].as_array().expect("rows");
    rows.iter()
        .map(|row| (word(&row["key"]), word(&row["action"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_sync_status_and_history_without_a_daemon() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!(
        "{QUICK}{}{}{}enabled = false\n",
        file_key("a"),
        file_key("b"),
        file_key("off")
    );
    let rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("a", "sk-a");
    rotator.put("b", "");

    let status = rotator.json(&["status"]).await;
    assert_eq!(status["keys"][0]["state"], "pending");
    assert_eq!(status["keys"][2]["state"], "disabled");
    let plan = rotator.command(&["plan", "--json"]).await;
    assert_eq!(plan.status.code(), Some(1), "b cannot be pushed");
    assert!(
        text(&plan.stderr).contains("b: the secret is empty"),
        "{}",
        text(&plan.stderr)
    );
    let plan: Value = serde_json::from_slice(&plan.stdout).expect("one document");
    let expected = [("a", "create"), ("b", "error"), ("off", "none")];
    assert_eq!(
        actions(&plan),
        expected.map(|(key, action)| (key.into(), action.into()))
    );
    assert!(
        !rotator.path().join("state.db").exists(),
        "plan changes nothing"
    );
    assert_eq!(writes(&sandbox), 0);

    rotator.put("b", "sk-b");
    let sync = rotator.json(&["sync"]).await;
    let expected = [("a", "create"), ("b", "create"), ("off", "none")];
    assert_eq!(
        actions(&sync),
        expected.map(|(key, action)| (key.into(), action.into()))
    );
    assert_eq!(actions(&rotator.json(&["sync"]).await)[0].1, "none");
    assert_eq!(
        actions(&rotator.json(&["sync", "a", "--force"]).await),
        [("a".into(), "update".into())]
    );

    let status = rotator.json(&["status"]).await;
    let row = &status["keys"][0];
    for field in [
        "key",
        "source",
        "name",
        "ai_llm_id",
        "version",
        "state",
        "pushed_at",
    ] {
        assert!(row[field].is_string(), "{field}: {row}");
    }
    assert_eq!(row["state"], "in_sync");
    assert!(row["error"].is_null());
    let table = rotator.command(&["status"]).await;
    let table = text(&table.stdout);
    assert!(
        table.starts_with("daemon") && table.contains("in_sync"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "no colours in a pipe: {table:?}");

    let history = rotator.json(&["history", "a"]).await;
    let events = history["events"].as_array().expect("events");
    let words: Vec<_> = events
        .iter()
        .map(|event| event["action"].as_str())
        .collect();
    assert_eq!(words, [Some("create"), Some("update")]);
    assert_eq!(events[1]["reason"], "forced");
    assert!(events[0]["previous_version"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_history_only_the_end_is_shown_where_that_is_asked_for() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    for value in ["sk-one", "sk-two", "sk-three"] {
        rotator.put("a", value);
        rotator.json(&["sync"]).await;
    }
    let history = async |arguments: &[&str]| {
        let document = rotator.json(&[&["history"][..], arguments].concat()).await;
        document["events"].as_array().expect("events").clone()
    };
    let all = history(&[]).await;
    assert_eq!(all.len(), 3);
    assert_eq!(history(&["--limit", "2"]).await, all[1..]);
    assert_eq!(history(&["--since", "1h"]).await, all);
    let second = all[1]["at"].as_str().expect("a time");
    assert_eq!(history(&["--since", second]).await, all[1..]);
    assert_eq!(
        history(&["a", "--since", second, "--limit", "1"]).await,
        all[2..]
    );
    assert!(history(&["--since", "2999-01-01"]).await.is_empty());

    // A key that is gone has its history, also where nothing of it is recent.
    rotator.configure(&sandbox.url(), &format!("{QUICK}{}", file_key("b")));
    let output = rotator
        .command(&["history", "a", "--since", "2999-01-01"])
        .await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        "Nothing has been pushed since then.\n"
    );
    for wrong in [["--since", "yesterday"], ["--limit", "0"]] {
        let output = rotator.command(&[&["history"][..], &wrong].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_daemon_sync_is_carried_out_by_it() {
    let sandbox = sandbox(Options::default()).await;
    // The daemon's own next look is an hour away.
    let rest = format!(
        "[schedule]\ncheck = \"1h\"\n{}{}",
        file_key("a"),
        file_key("b")
    );
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("a", "sk-one");
    rotator.put("b", "sk-b");
    rotator.start();
    rotator.ready().await;
    rotator.put("a", "sk-two");
    let plan = rotator.json(&["plan"]).await;
    assert_eq!(actions(&plan)[0], ("a".into(), "update".into()));
    let sync = rotator.json(&["sync", "a"]).await;
    assert_eq!(actions(&sync), [("a".into(), "update".into())]);
    arrives(&sandbox, "a", "sk-two").await;
    rotator
        .event("push_succeeded", |line| line["action"] == "update")
        .await;

    sandbox.fail(Rule::status(400).on(Operation::Update));
    rotator.put("a", "sk-three");
    let output = rotator.command(&["sync"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("a: "),
        "{}",
        text(&output.stderr)
    );
    assert!(
        text(&output.stdout).contains("error"),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(
        rotator.json(&["status"]).await["keys"][0]["state"],
        "failing"
    );
    assert_eq!(
        rotator.json(&["history"]).await["events"][3]["outcome"],
        "failed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_what_works() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}{}", file_key("a"), file_key("absent"));
    let rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("a", "sk-a");
    let check = rotator.command(&["check"]).await;
    assert_eq!(check.status.code(), Some(0));
    assert!(
        text(&check.stdout).contains("2 keys and 1 source"),
        "{}",
        text(&check.stdout)
    );
    let check = rotator.command(&["check", "--connect"]).await;
    assert_eq!(check.status.code(), Some(1));
    let table = text(&check.stdout);
    for line in [
        "source files",
        "Flashback",
        "workspace w",
        "key a",
        "key absent",
    ] {
        assert!(table.contains(line), "{line} in {table}");
    }
    assert!(
        text(&check.stderr).contains("key absent"),
        "{}",
        text(&check.stderr)
    );
    assert!(!rotator.path().join("state.db").exists());
    assert_eq!(writes(&sandbox), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misspelt_keys_and_commands_exit_with_2_and_suggest_the_key() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = Rotator::new(
        &sandbox.url(),
        &format!("{QUICK}{}", file_key("openai-prod")),
    );
    for command in ["sync", "history"] {
        let output = rotator.command(&[command, "openai-prd"]).await;
        assert_eq!(output.status.code(), Some(2), "{command}");
        let error = text(&output.stderr);
        assert!(error.contains("did you mean `openai-prod`?"), "{error}");
    }
    for arguments in [vec!["snyc"], vec!["status", "--jsn"], vec![]] {
        assert_eq!(
            rotator.command(&arguments).await.status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    for command in [
        "run", "check", "plan", "sync", "status", "history", "sandbox", "demo",
    ] {
        let help = binary()
            .args([command, "--help"])
            .output()
            .expect("it runs");
        assert!(
            help.status.success() && text(&help.stdout).contains("--config"),
            "{command}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_every_scene_and_leaves_nothing() {
    let temporary = tempfile::tempdir().expect("a directory");
    let mut demo = binary();
    demo.arg("demo").env("TMPDIR", temporary.path());
    let output = tokio::task::spawn_blocking(move || demo.output())
        .await
        .expect("it ends");
    let output = output.expect("it runs");
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    for scene in [
        "creation", "adoption", "rotation", "outage", "recovery", "restart", "in_sync",
    ] {
        assert!(shown.contains(scene), "{scene} in {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "plain lines in a pipe");
    assert_eq!(
        std::fs::read_dir(temporary.path())
            .expect("readable")
            .count(),
        0
    );
}
