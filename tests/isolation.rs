//! Promise 7: a slow, broken or missing source, key or workspace never delays another.

use flashback_rotator::flashback::sandbox::{Fault, Options, Rule};
use tokio::net::TcpListener;

use crate::support::configuration::{key, token_in, vault};
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

/// Accepts connections and never answers.
async fn silence() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_never_answers_delays_no_other_key() {
    let sandbox = sandbox(Options::default()).await;
    let silent = vault("silent", &silence().await, "", &token_in("token"));
    let mut rest = format!("{QUICK}{silent}");
    for number in 0..40 {
        rest += &key(&format!("silent-{number}"), "silent", &format!("p{number}"));
    }
    rest += &file_key("a");
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("a", "sk-0");
    rotator.start();
    arrives(&sandbox, "a", "sk-0").await;
    // Before the silent source's first time-out, through it, and after it.
    let mut round = 0;
    while rotator.count("source_unavailable") == 0 || round < 12 {
        round += 1;
        rotator.put("a", &format!("sk-{round}"));
        arrives(&sandbox, "a", &format!("sk-{round}")).await;
        assert!(round < 60, "the silent source is never reported");
    }
    assert_eq!(
        rotator.count("source_unavailable"),
        1,
        "once, not once a key"
    );
    let failing = rotator.json(&["status"]).await;
    let rows = failing["keys"].as_array().expect("rows");
    assert_eq!(
        rows.iter().filter(|row| row["state"] == "in_sync").count(),
        1
    );
    rotator.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_hangs_delays_no_other() {
    let sandbox = sandbox(Options::default()).await;
    let mut rest = QUICK.to_owned();
    for number in 0..24 {
        rest += &file_key(&format!("stuck-{number}"));
        rest += "workspace_id = \"stuck\"\n";
        sandbox.fail(Rule {
            name: Some(format!("stuck-{number}")),
            ..Rule::new(Fault::Hang)
        });
    }
    rest += &file_key("a");
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    for number in 0..24 {
        rotator.put(&format!("stuck-{number}"), "sk-stuck");
    }
    rotator.put("a", "sk-0");
    rotator.start();
    for round in 1..6 {
        rotator.put("a", &format!("sk-{round}"));
        arrives(&sandbox, "a", &format!("sk-{round}")).await;
    }
    assert_eq!(
        rotator.count("push_retrying"),
        0,
        "the hanging writes have not timed out yet"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_directory_is_one_outage_and_heals() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!(
        "{QUICK}[sources.later]\ntype = \"file\"\ndir = \"{{dir}}/later\"\n{}{}",
        key("x", "later", "x"),
        key("y", "later", "y")
    );
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.start();
    rotator
        .event("source_unavailable", |line| line["source"] == "later")
        .await;
    let later = rotator.path().join("later");
    std::fs::create_dir(&later).expect("a directory");
    std::fs::write(later.join("x"), "sk-x").expect("written");
    std::fs::write(later.join("y"), "sk-y").expect("written");
    arrives(&sandbox, "x", "sk-x").await;
    arrives(&sandbox, "y", "sk-y").await;
    rotator
        .event("source_recovered", |line| line["source"] == "later")
        .await;
    assert_eq!(rotator.count("source_unavailable"), 1);
}
