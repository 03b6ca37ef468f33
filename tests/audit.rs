//! The audit devices of a real OpenBao, as triggers.

use std::path::Path;
use std::sync::Arc;

use flashback_rotator::credential::{Plain, SecretRef, SharedCredential};
use flashback_rotator::model::{SourceId, Version};
use flashback_rotator::source::vault::{KvVersion, VaultAuth, VaultConfig, VaultLook};
use flashback_rotator::telemetry::metrics::Metrics;
use flashback_rotator::trigger::audit_file::AuditFileConfig;
use flashback_rotator::trigger::audit_socket::{AuditSocketConfig, Listen};
use flashback_rotator::trigger::{Context, Ear, Feed, Heard, TriggerKind};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::openbao::OpenBao;
use crate::support::{eventually, free_port};

const PATH: &str = "llm/openai";

/// A trigger that runs, and what it has heard.
struct Listening {
    source: SourceId,
    feed: Arc<Feed>,
    task: JoinHandle<String>,
}

impl Listening {
    fn start(kind: &dyn TriggerKind) -> Self {
        let feed = Arc::new(Feed::new(Arc::new(Metrics::new())));
        let id = SourceId::new("vault");
        let source = VaultConfig {
            address: "http://127.0.0.1:8200".to_owned(),
            namespace: None,
            mount: "secret".to_owned(),
            kv_version: KvVersion::V2,
            look: VaultLook::Auto,
            ca_file: None,
            auth: VaultAuth::Token {
                token: SecretRef::Env("UNUSED".to_owned()),
            },
        };
        let context = Context {
            id: &id,
            source: &source,
            secret: &|_| -> SharedCredential { Arc::new(Plain("unused".to_owned())) },
        };
        let mut trigger = kind.build(context).expect("a trigger");
        let ear = Ear::new(id.clone(), Arc::clone(&feed));
        let task = tokio::spawn(async move {
            match trigger.listen(&ear).await {
                Err(error) => error.to_string(),
                Ok(never) => match never {},
            }
        });
        Self {
            source: id,
            feed,
            task,
        }
    }

    async fn stop(mut self) {
        self.task.abort();
        let ended = (&mut self.task).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }

    async fn is_up(&self, up: bool) {
        let what = if up { "it is heard" } else { "it is not heard" };
        eventually(what, || async {
            (self.feed.is_up(&self.source) == up).then_some(())
        })
        .await;
    }

    /// Returns what is heard next of the secret.
    async fn next(&self) -> Heard {
        loop {
            for taken in self.feed.take().await {
                self.feed.done(&taken);
                if let Some(heard) = taken.news.heard.get(&vec![PATH.to_owned()]) {
                    return heard.clone();
                }
            }
        }
    }

    /// Waits until something may have been missed.
    async fn missed(&self, why: &str) {
        loop {
            for taken in self.feed.take().await {
                self.feed.done(&taken);
                if taken.news.missed == Some(why) {
                    return;
                }
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes the secret and returns its version as the server's metadata have it.
async fn write(bao: &OpenBao, key: &str) -> Version {
    bao.put_kv2("secret", PATH, json!({ "key": key })).await;
    let path = format!("secret/metadata/{PATH}");
    let metadata = bao.ok("GET", &path, Value::Null).await;
    let number = metadata["data"]["current_version"]
        .as_u64()
        .expect("a number");
    let created = &metadata["data"]["versions"][number.to_string()]["created_time"];
    Version::numbered(number, created.as_str().expect("a time"))
}

fn audit_file(path: &Path) -> String {
    format!(
        "audit \"file\" \"log\" {{ options = {{ file_path = \"{}\" }} }}\n",
        path.display()
    )
}

fn audit_socket(name: &str, socket_type: &str, address: &str) -> String {
    format!(
        "audit \"socket\" \"{name}\" {{ options = {{ socket_type = \"{socket_type}\", address = \"{address}\", write_timeout = \"500ms\" }} }}\n"
    )
}

#[tokio::test]
async fn a_file_tells_each_version_across_rotation_and_truncation() {
    let bao = OpenBao::start_with(|directory| audit_file(&directory.join("audit.log"))).await;
    let path = bao.directory.path().join("audit.log");
    let listening = Listening::start(&AuditFileConfig { path: path.clone() });
    listening.is_up(true).await;

    let first = write(&bao, "sk-1").await;
    let heard = listening.next().await;
    assert_eq!(heard.version.as_ref(), Some(&first));
    assert_eq!(heard.at, first.created_at());

    std::fs::rename(&path, path.with_extension("log.1")).expect("renamed");
    let second = write(&bao, "sk-2").await;
    assert_eq!(listening.next().await.version, Some(second));
    bao.signal("HUP");
    eventually("the server opens its file again", || async {
        path.exists().then_some(())
    })
    .await;
    let third = write(&bao, "sk-3").await;
    assert_eq!(listening.next().await.version, Some(third));

    let log = std::fs::File::options().write(true).open(&path);
    log.and_then(|log| log.set_len(0)).expect("truncated");
    listening.missed("the audit log was truncated").await;
    let fourth = write(&bao, "sk-4").await;
    assert_eq!(listening.next().await.version, Some(fourth));

    bao.ok("DELETE", &format!("secret/metadata/{PATH}"), Value::Null)
        .await;
    assert_eq!(listening.next().await.version, None, "it was deleted");
}

#[tokio::test]
async fn a_file_that_does_not_exist_yet_is_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("audit.log");
    let mut listening = Listening::start(&AuditFileConfig { path });
    let error = (&mut listening.task).await.expect("it ends");
    assert!(error.contains("there is no file"), "{error}");
}

#[tokio::test]
async fn sockets_tell_each_version_while_the_server_is_connected() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("audit.sock");
    // An earlier process has left its socket.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
    let address = format!("127.0.0.1:{}", free_port());
    let unix = AuditSocketConfig {
        listen: Listen::Unix(socket.clone()),
    };
    let tcp = AuditSocketConfig {
        listen: Listen::Tcp(address.parse().expect("an address")),
    };
    let all = [Listening::start(&unix), Listening::start(&tcp)];
    eventually("both listen", || async {
        let unix = tokio::net::UnixStream::connect(&socket).await;
        let tcp = tokio::net::TcpStream::connect(&address).await;
        (unix.is_ok() && tcp.is_ok()).then_some(())
    })
    .await;
    let mut second = Listening::start(&unix);
    let error = (&mut second.task).await.expect("it ends");
    assert!(error.contains("another process listens"), "{error}");

    let bao = OpenBao::start_with(|directory| {
        [
            audit_file(&directory.join("audit.log")),
            audit_socket("unix", "unix", &socket.display().to_string()),
            audit_socket("tcp", "tcp", &address),
        ]
        .concat()
    })
    .await;
    for listening in &all {
        listening.is_up(true).await;
    }
    for key in ["sk-1", "sk-2"] {
        let version = write(&bao, key).await;
        for listening in &all {
            assert_eq!(listening.next().await.version.as_ref(), Some(&version));
        }
    }

    // A receiver that starts again is connected to by the next request.
    let [first, tcp] = all;
    first.stop().await;
    let first = Listening::start(&unix);
    eventually("it listens again", || async {
        let connected = tokio::net::UnixStream::connect(&socket).await;
        connected.ok()
    })
    .await;
    eventually("the server connects again", || async {
        bao.ok("GET", "secret/config", Value::Null).await;
        first.feed.is_up(&first.source).then_some(())
    })
    .await;
    let third = write(&bao, "sk-3").await;
    for listening in [&first, &tcp] {
        assert_eq!(listening.next().await.version.as_ref(), Some(&third));
    }
    drop(bao);
    for listening in [&first, &tcp] {
        listening.is_up(false).await;
    }
}
