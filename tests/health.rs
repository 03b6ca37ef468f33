//! `health`, as a container's `HEALTHCHECK` asks: it must work whatever has become of the
//! configuration since the daemon read it.

use std::process::Output;

use flashback_rotator::flashback::sandbox::Options;

use crate::support::rotator::{QUICK, Rotator, binary, file_key, sandbox};
use crate::support::{eventually, free_port};

fn line(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_is_asked_where_its_configuration_says() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    let port = free_port();
    let text = std::fs::read_to_string(rotator.config()).expect("the configuration");
    // A token that only the daemon's user may read, and every address: both as in a container.
    let good = text.replace("127.0.0.1:0", &format!("0.0.0.0:{port}"));
    rotator.write_config(&good);

    let output = rotator.command(&["health"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = line(&output);
    assert!(said.contains("nothing listens there"), "{said}");
    assert!(
        said.contains(&format!("127.0.0.1:{port}/healthz")),
        "{said}"
    );

    rotator.put("a", "sk-a");
    rotator.start();
    rotator.ready().await;
    std::fs::remove_file(rotator.path().join("token")).expect("removed");
    for (arguments, said) in [
        (&["health"][..], "alive\n"),
        (&["health", "--ready"][..], "ready\n"),
    ] {
        let output = rotator.command(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(line(&output), said);
    }

    // The daemon goes on with what it has, and is as well as before.
    for broken in [
        good.replace("type = \"file\"", "type = \"canary\""),
        format!("{good}\n[keys.x\n= canary"),
    ] {
        std::fs::write(rotator.config(), broken).expect("written");
        let output = rotator.command(&["health"]).await;
        assert_eq!(line(&output), "alive\n");
        assert!(output.stderr.is_empty());
    }

    rotator.signal("STOP");
    let output = rotator.command(&["health"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output).contains("it takes too long"));
    rotator.signal("CONT");
    eventually("it answers again", || async {
        let output = rotator.command(&["health"]).await;
        output.status.success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_edited_since_misleads_nobody() {
    let sandbox = sandbox(Options::default()).await;
    // A port of the system's choice: only the daemon knows which.
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-a");
    rotator.start();
    rotator.ready().await;
    let text = std::fs::read_to_string(rotator.config()).expect("the configuration");
    let other = format!("127.0.0.1:{}", free_port());
    let elsewhere = text.replace("127.0.0.1:0", &other);
    for edited in [text, elsewhere] {
        rotator.write_config(&edited);
        let output = rotator.command(&["health"]).await;
        assert_eq!(line(&output), "alive\n");
    }
    // Of one that is dead nothing is taken: something else may listen there by now.
    rotator.kill();
    let output = rotator.command(&["health"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = line(&output);
    assert!(said.contains(&format!("{other}/healthz")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_ready_is_said_with_its_reasons() {
    // Nobody is there to sign in to.
    let rest = format!("{QUICK}{}", file_key("a"));
    let mut rotator = Rotator::new(&format!("http://127.0.0.1:{}", free_port()), &rest);
    rotator.start();
    let url = rotator.http().await;
    let output = rotator.command(&["health", "--ready", "--url", &url]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = line(&output);
    assert!(said.starts_with("unwell: not signed in"), "{said}");
    let output = rotator.command(&["health", "--url", &url]).await;
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn where_to_ask_must_be_said_in_full() {
    for url in ["https://127.0.0.1:1", "127.0.0.1:1", "canary"] {
        let output = binary().args(["health", "--url", url]).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{url}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("http://HOST:PORT"), "{error}");
    }
}

#[test]
fn completions_and_manuals_are_of_every_command() {
    let output = binary().args(["completions", "bash"]).output();
    let script = String::from_utf8(output.expect("it runs").stdout).expect("text");
    assert!(script.contains("--force"), "{script}");

    let directory = tempfile::tempdir().expect("a directory");
    let pages = directory.path().join("man1");
    let output = binary().args(["man", "--dir"]).arg(&pages).output();
    assert!(output.expect("it runs").status.success());
    for page in ["flashback-rotator.1", "flashback-rotator-run.1"] {
        let text = std::fs::read_to_string(pages.join(page)).expect(page);
        assert!(text.contains(".TH"), "{text}");
    }
}
