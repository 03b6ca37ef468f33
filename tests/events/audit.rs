//! The audit devices of OpenBao: a write is in Flashback with no poll.

use flashback_rotator::flashback::sandbox::Options;
use serde_json::json;

use crate::support::configuration::{Configuration, TOKEN_IN_VARIABLE, key, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{Rotator, arrives, sandbox};
use crate::support::{eventually, get};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_in_openbao_arrives_at_once_by_file_and_by_socket() {
    let sandbox = sandbox(Options::default()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let (log, socket) = (
        directory.path().join("audit.log"),
        directory.path().join("audit.sock"),
    );
    // The server tests its new device, so somebody must listen.
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
    let bao = OpenBao::start_with(|_| {
        format!(
            "audit \"file\" \"log\" {{ options = {{ file_path = \"{}\" }} }}\n\
             audit \"socket\" \"rotator\" {{ options = {{ socket_type = \"unix\", address = \"{}\" }} }}\n",
            log.display(),
            socket.display()
        )
    })
    .await;
    drop(listener);
    bao.put_kv2("secret", "llm/openai", json!({ "key": "sk-0" }))
        .await;

    let mut rotator = Rotator::new(&sandbox.url(), "");
    rotator.environment = vec![("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned())];
    let events = format!(
        "[sources.by-file.events]\ntype = \"audit-file\"\npath = \"{}\"\n\
         [sources.by-socket.events]\ntype = \"audit-socket\"\nlisten = \"unix:{}\"\n",
        log.display(),
        socket.display()
    );
    let mut configuration = Configuration::new(&sandbox.url())
        .and("[schedule]\ncheck = \"24h\"\ncheck_with_events = \"24h\"\n")
        .and(&events);
    for id in ["by-file", "by-socket"] {
        configuration = configuration
            .and(vault(id, &bao.address, "", TOKEN_IN_VARIABLE))
            .and(key(id, id, "llm/openai"));
    }
    rotator.write_config(&configuration.text());
    rotator.start();
    rotator.ready().await;
    let metrics = format!("{}/metrics", rotator.http().await);
    eventually("the events of both are heard", || async {
        let metrics = get(&metrics).await.ok()?.text().await.ok()?;
        let up = |id: &str| {
            let name = "flashback_rotator_source_events_up";
            metrics.contains(&format!("{name}{{source=\"{id}\"}} 1"))
        };
        (up("by-file") && up("by-socket")).then_some(())
    })
    .await;
    for number in 1..=3 {
        let secret = format!("sk-canary-{number}");
        bao.put_kv2("secret", "llm/openai", json!({ "key": secret }))
            .await;
        for id in ["by-file", "by-socket"] {
            arrives(&sandbox, id, &secret).await;
        }
    }
    assert!(!rotator.log().contains("sk-canary"));
}
