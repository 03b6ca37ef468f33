//! `check --connect` tries the events of a source.

use std::fs;

use flashback_rotator::flashback::sandbox::Options;
use serde_json::{Value, json};

use crate::support::configuration::{Configuration, TOKEN_IN_VARIABLE, key, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{Rotator, sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn check_says_of_each_feed_whether_changes_are_heard() {
    let sandbox = sandbox(Options::default()).await;
    let bao = OpenBao::start().await;
    bao.put_kv2("secret", "llm/openai", json!({ "key": "sk-0" }))
        .await;
    let mut rotator = Rotator::new(&sandbox.url(), "");
    rotator.environment = vec![("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned())];
    let path = |name: &str| rotator.path().join(name).display().to_string();
    let (there, missing, socket) = (path("audit.log"), path("missing.log"), path("a.sock"));
    fs::write(&there, "").expect("written");
    let mut configuration = Configuration::new(&sandbox.url());
    for (id, events) in [
        ("heard", format!("audit-file\"\npath = \"{there}\"\n")),
        ("missing", format!("audit-file\"\npath = \"{missing}\"\n")),
        (
            "socket",
            format!("audit-socket\"\nlisten = \"unix:{socket}\"\n"),
        ),
    ] {
        configuration = configuration
            .and(vault(id, &bao.address, "", TOKEN_IN_VARIABLE))
            .and(format!("[sources.{id}.events]\ntype = \"{events}"))
            .and(key(id, id, "llm/openai"));
    }
    rotator.write_config(&configuration.text());

    let output = rotator.command(&["check", "--connect", "--json"]).await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("error: events of missing: "), "{words}");
    assert!(words.contains(&missing), "{words}");
    let said = output.stdout;
    let document: Value = serde_json::from_slice(
        &said[said.iter().position(|it| *it == b'{').expect("a document")..],
    )
    .expect("JSON");
    let events = |at: usize| &document["sources"][at]["events"];
    assert_eq!(events(0)["ok"], true, "{document}");
    let detail = events(0)["detail"].as_str().expect("a detail");
    assert!(detail.contains(&there), "{detail}");
    assert_eq!(events(1)["ok"], false, "{document}");
    let detail = events(2)["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("not tried, "), "{detail}");
    assert!(!rotator.path().join("a.sock").exists());
}
