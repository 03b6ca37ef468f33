//! A panic anywhere is one line in the log without its message, one in the count, and no end of
//! anything: the task goes on. What cannot go on makes `/livez` say so.

use flashback_rotator::flashback::sandbox::{Options, Sandbox};
use serde_json::Value;

use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::{eventually, get};

const AT: &str = "FLASHBACK_ROTATOR_PANIC_AT";

/// The lines about panics. Whatever the log holds, it is not what the panics said.
fn panics(rotator: &Rotator) -> Vec<Value> {
    let log = rotator.log();
    assert!(!log.contains("canary of a panic"), "{log}");
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.contains("panicked") && !line["location"].is_null()
        })
        .collect()
}

async fn counted(rotator: &Rotator, task: &str) -> Option<u64> {
    let url = format!("{}/metrics", rotator.http().await);
    let text = get(url).await.ok()?.text().await.ok()?;
    let name = format!("flashback_rotator_panics_total{{task=\"{task}\"}} ");
    let count = text.lines().find_map(|line| line.strip_prefix(&name));
    count.expect(&text).parse().ok()
}

/// A daemon that is to panic at `point`.
async fn panicking(sandbox: &Sandbox, rest: &str, point: &str) -> Rotator {
    let mut rotator = Rotator::new(&sandbox.url(), rest);
    rotator.put("a", "sk-0");
    rotator.start_with(&[(AT, point)]);
    rotator
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_panics_goes_on() {
    // Where, as which task, and how often it may show: a point in a look is passed once.
    for (point, task) in [
        ("scheduler_told:3", "scheduler"),
        ("ring_turned:2", "ring"),
        ("cron_looked:2", "cron"),
        ("desk_looked:2", "desk"),
        ("heartbeat:2", "heartbeat"),
        ("config_polled:2", "reload"),
        ("connection_taken:2", "http"),
        ("signing_in", "sign_in"),
        ("state_asked:4", "state"),
        ("secret_read", "look"),
        ("answer_received", "look"),
    ] {
        let sandbox = sandbox(Options::default()).await;
        let cron = file_key("by-cron") + "check = \"* * * * * *\"\n";
        let rest = format!("{QUICK}{}{cron}", file_key("a"));
        let rotator = panicking(&sandbox, &rest, point).await;
        rotator.put("by-cron", "sk-0");
        eventually(&format!("{point} panics"), || async {
            // A connection is taken for the asking, and may be the one that is lost.
            let _ = counted(&rotator, task).await;
            (!panics(&rotator).is_empty()).then_some(())
        })
        .await;
        // The look that panicked waits for half a minute; all else goes on at once.
        if task != "look" {
            rotator.ready().await;
            rotator.put("a", "sk-1");
            rotator.put("by-cron", "sk-1");
            arrives(&sandbox, "a", "sk-1").await;
            arrives(&sandbox, "by-cron", "sk-1").await;
        }
        rotator.configure(&sandbox.url(), &format!("{rest}{}", file_key("b")));
        rotator.put("b", "sk-b");
        arrives(&sandbox, "b", "sk-b").await;
        let synced = rotator.json(&["sync", "b"]).await;
        assert_eq!(synced["keys"][0]["action"], "none", "{point}: {synced}");

        let lines = panics(&rotator);
        assert_eq!(lines.len(), 1, "{point}: {lines:?}");
        assert_eq!(lines[0]["task"], task, "{point}");
        assert_eq!(lines[0]["level"], "ERROR");
        assert!(lines[0]["event"].is_null());
        let key = lines[0]["key"].as_str();
        assert_eq!(key.is_some(), task == "look", "{point}: {lines:?}");
        assert_eq!(counted(&rotator, task).await, Some(1), "{point}");
        let health = rotator.http().await;
        let health = rotator.command(&["health", "--url", &health]).await;
        assert!(health.status.success(), "{point}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_whose_check_panics_recovers_and_delays_no_other() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}{}", file_key("a"), file_key("b"));
    let rotator = panicking(&sandbox, &rest, "secret_read").await;
    eventually("a panic", || async {
        (!panics(&rotator).is_empty()).then_some(())
    })
    .await;
    rotator.put("b", "sk-b");
    arrives(&sandbox, "b", "sk-b").await;
    arrives(&sandbox, "a", "sk-0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_panics_is_answered() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}", file_key("a"));
    let rotator = panicking(&sandbox, &rest, "request_taken").await;
    rotator.ready().await;
    let output = rotator.command(&["sync"]).await;
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("a: the look at it panicked"), "{error}");
    assert_eq!(panics(&rotator)[0]["task"], "request");
    assert!(rotator.command(&["sync"]).await.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_panics_is_refused() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}", file_key("a"));
    let rotator = panicking(&sandbox, &rest, "config_loaded").await;
    rotator.ready().await;
    rotator.put("b", "sk-b");
    rotator.configure(&sandbox.url(), &format!("{rest}{}", file_key("b")));
    let rejected = rotator.event("config_rejected", |_| true).await;
    let error = rejected["error"].as_str().expect("a reason");
    assert!(error.contains("this is a bug"), "{error}");
    rotator.put("a", "sk-1");
    arrives(&sandbox, "a", "sk-1").await;
    rotator.signal("HUP");
    arrives(&sandbox, "b", "sk-b").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_keeps_panicking_fails_livez() {
    for point in ["scheduler_told:*", "desk_looked:*"] {
        let sandbox = sandbox(Options::default()).await;
        let rest = format!("{QUICK}{}", file_key("a"));
        let rotator = panicking(&sandbox, &rest, point).await;
        let url = format!("{}/livez", rotator.http().await);
        eventually(&format!("{point}: unwell"), || async {
            let answer = get(&url).await.ok()?;
            (answer.status() == 503).then_some(())
        })
        .await;
        assert!(panics(&rotator).len() >= 5, "{}", rotator.log());
    }
}
