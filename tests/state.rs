//! A state that cannot be used is seen: by `/readyz`, `health`, the metric and the log; and it is seen when
//! it can be used again. One that another process uses is waited for.

use std::path::PathBuf;

use flashback_rotator::flashback::sandbox::{Options, Sandbox};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::logs::all_conform;
use crate::support::replicas::metric;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::{eventually, get};

/// A daemon that has pushed its key. Where it may write no more, it gets an error and no signal.
async fn at_work(sandbox: &Sandbox, schedule: &str) -> Rotator {
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{schedule}{}", file_key("a")));
    let ignoring = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    rotator.within = ignoring.map(str::to_owned).into();
    rotator.put("a", "sk-one");
    rotator.start();
    rotator.ready().await;
    arrives(sandbox, "a", "sk-one").await;
    rotator
}

fn state(rotator: &Rotator, ending: &str) -> PathBuf {
    rotator.path().join(format!("state.db{ending}"))
}

/// Lets the daemon write no file beyond this size.
fn limit_files(rotator: &Rotator, size: Option<u64>) {
    let pid = Pid::from_raw(rotator.pid().cast_signed());
    let limit = Rlimit {
        current: size,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).expect("limited");
}

/// What the daemon says of its state to each who asks.
async fn says(rotator: &Rotator) -> (u16, Option<i32>, Option<i32>, bool) {
    let http = rotator.http().await;
    let answer = get(format!("{http}/readyz")).await;
    let health = async |more: &[&str]| {
        let arguments = [&["health", "--url", &http], more].concat();
        rotator.command(&arguments).await.status.code()
    };
    (
        answer.expect("an answer").status().as_u16(),
        health(&[]).await,
        health(&["--ready"]).await,
        metric(rotator, "flashback_rotator_state_up").await > 0.5,
    )
}

const WELL: (u16, Option<i32>, Option<i32>, bool) = (200, Some(0), Some(0), true);
const UNWELL: (u16, Option<i32>, Option<i32>, bool) = (503, Some(1), Some(1), false);

async fn says_soon(rotator: &Rotator, expected: (u16, Option<i32>, Option<i32>, bool)) {
    let what = format!("{expected:?}; the log is\n{}", rotator.log());
    eventually(&what, async || {
        (says(rotator).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_takes_no_writes_is_seen_until_it_takes_one() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = at_work(&sandbox, QUICK).await;
    assert_eq!(says(&rotator).await, WELL);
    let log = state(&rotator, "-wal").metadata().expect("a log").len();
    limit_files(&rotator, Some(log));
    rotator.put("a", "sk-two");
    says_soon(&rotator, UNWELL).await;
    let told = rotator.event("state_unavailable", |_| true).await;
    let error = told["error"].as_str().expect("words");
    assert!(error.contains("the disk"), "{error}");
    let livez = format!("{}/livez", rotator.http().await);
    let alive = get(livez).await.expect("an answer").status();
    assert_eq!(alive.as_u16(), 200, "a restart helps nobody");
    limit_files(&rotator, None);
    says_soon(&rotator, WELL).await;
    arrives(&sandbox, "a", "sk-two").await;
    rotator.event("state_recovered", |_| true).await;
    all_conform(&rotator.events());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_whose_files_are_moved_is_seen_though_nothing_is_written() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = at_work(&sandbox, "[schedule]\ncheck = \"1h\"\n").await;
    let away = rotator.path().join("away");
    for ending in ["", "-wal"] {
        let path = state(&rotator, ending);
        std::fs::rename(&path, &away).expect("moved");
        says_soon(&rotator, UNWELL).await;
        std::fs::rename(&away, &path).expect("put back");
        says_soon(&rotator, WELL).await;
    }
    let path = state(&rotator, "");
    std::fs::rename(&path, &away).expect("moved");
    std::fs::copy(&away, &path).expect("replaced");
    says_soon(&rotator, UNWELL).await;
    let told = rotator
        .events()
        .into_iter()
        .rfind(|line| line["event"] == "state_unavailable");
    let told = told.expect("it is told")["error"].to_string();
    assert!(told.contains("another has taken its place"), "{told}");
    std::fs::rename(&away, &path).expect("put back");
    says_soon(&rotator, WELL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_in_use_is_waited_for() {
    let sandbox = sandbox(Options::default()).await;
    let mut first = at_work(&sandbox, QUICK).await;
    let mut second = Rotator::new(&sandbox.url(), "");
    let config = std::fs::read_to_string(first.config()).expect("a configuration");
    second.write_config(&config);
    second.start();
    let waits = second.event("state_unavailable", |_| true).await;
    let error = waits["error"].as_str().expect("words");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host");
    let holder = format!(
        "flashback-rotator run on host {}, process {} there, since 20",
        host.trim(),
        first.pid()
    );
    assert!(error.contains(&holder), "{error}");
    assert!(second.stop().await.success(), "a signal ends the waiting");
    assert_eq!(second.count("started"), 0);

    second.start();
    eventually("it waits again", async || {
        (second.count("state_unavailable") == 2).then_some(())
    })
    .await;
    // Whoever only hands over a request does not wait.
    let synced = first.json(&["sync"]).await;
    assert_eq!(synced["keys"][0]["key"], "a", "{synced}");
    assert!(first.stop().await.success());
    second.ready().await;
    first.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
    all_conform(&second.events());
}
