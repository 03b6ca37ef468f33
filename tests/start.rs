//! A daemon that could not do its work refuses to start: early, in words that say what to do, and
//! with nothing changed anywhere.

use std::net::TcpListener;

use flashback_rotator::flashback::sandbox::Options;

use crate::support::LONG;
use crate::support::rotator::{QUICK, Rotator, binary, file_key, sandbox};

/// Runs it to its end: the exit code, and what it said.
async fn refused(rotator: &Rotator) -> (Option<i32>, String) {
    let mut run = tokio::process::Command::from(binary());
    run.args(["run", "--config"]).arg(rotator.config());
    let ended = tokio::time::timeout(LONG, run.kill_on_drop(true).output());
    let output = ended.await.expect("it is refused").expect("it runs");
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), error)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_configuration_is_refused_with_every_mistake() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}colour = 1\n[keys.b]\nport = 1\n", file_key("a"));
    let rotator = Rotator::new(&sandbox.url(), &rest);
    let (code, error) = refused(&rotator).await;
    assert_eq!(code, Some(2));
    for mistake in ["colour", "port", "ai_type", "source"] {
        assert!(error.contains(mistake), "no {mistake} in {error}");
    }
    assert!(!rotator.path().join("state.db").exists());
    assert!(sandbox.journal().is_empty());

    std::fs::remove_file(rotator.config()).expect("removed");
    let (code, error) = refused(&rotator).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("no such file"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_or_missing_directory_is_reported_in_one_line() {
    let sandbox = sandbox(Options::default()).await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let good = format!("{QUICK}{}", file_key("a"));
    let port = taken.local_addr().expect("an address").to_string();
    for (from, to, expected) in [
        (
            "127.0.0.1:0",
            &*port,
            format!("cannot listen on {port} for [http] listen: "),
        ),
        (
            "/state.db",
            "/nowhere/state.db",
            "cannot use the state ".to_owned(),
        ),
    ] {
        let rotator = Rotator::new(&sandbox.url(), &good);
        let text = std::fs::read_to_string(rotator.config()).expect("the configuration");
        rotator.write_config(&text.replace(from, to));
        let (code, error) = refused(&rotator).await;
        assert_eq!(code, Some(1), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let said = error.strip_prefix("error: ").expect(&error);
        assert!(said.starts_with(&expected), "{error}");
    }
    assert!(sandbox.journal().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_open_to_a_network_is_warned_of_once() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    let text = std::fs::read_to_string(rotator.config()).expect("the configuration");
    rotator.write_config(&text.replace("127.0.0.1:0", "0.0.0.0:0"));
    rotator.put("a", "sk-a");
    // In a pod there is no other way to be reached.
    rotator.start_with(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]);
    rotator.event("push_succeeded", |_| true).await;
    assert!(rotator.stop().await.success());
    assert!(
        !rotator.log().contains("not a loopback"),
        "{}",
        rotator.log()
    );
    rotator.start();
    rotator.http().await;
    rotator.signal("HUP");
    rotator.event("config_reloaded", |_| true).await;
    let log = rotator.log();
    let warned = log.lines().filter(|line| line.contains("not a loopback"));
    let warned: Vec<_> = warned.collect();
    assert_eq!(warned.len(), 1, "{log}");
    assert!(warned[0].contains("\"level\":\"WARN\""), "{}", warned[0]);
}
