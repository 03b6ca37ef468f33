//! Names that move to another address.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::*;
use crate::support::configuration::{key, token_in, vault};
use crate::support::eventually;
use crate::support::namespaces::with_hosts;

/// The name that moves.
const NAME: &str = "service.test";

/// How old a connection gets at most here, and what a busy machine may need beyond that.
const OLDEST: (&str, &str) = ("FLASHBACK_ROTATOR_CONNECTION_AGE_MS", "5000");
const AGE: Duration = Duration::from_secs(35);

/// An `/etc/hosts` in which the name has one address.
struct Hosts(PathBuf);

impl Hosts {
    fn new(rotator: &mut Rotator, address: &str) -> Self {
        let hosts = Self(rotator.path().join("hosts"));
        hosts.says(address);
        rotator.within = with_hosts(&hosts.0);
        hosts
    }

    fn says(&self, address: &str) {
        let text = format!("127.0.0.1 localhost\n{address} {NAME}\n");
        std::fs::write(&self.0, text).expect("written");
    }
}

/// Two fronts before the same server. The first still answers when the name moves to the second.
async fn moves(service: Service) {
    let authority = Authority::new("authority");
    let sandbox = sandbox(Options::default()).await;
    let upstream = Scene::upstream(service, &sandbox).await;
    let listen = async |address: SocketAddr| {
        let tls = certificate(&authority).server();
        Front::listen(address, &upstream, Some(tls)).await
    };
    let old = listen(([127, 0, 0, 2], 0).into()).await;
    let port = old.address().port();
    let new = listen(([127, 0, 0, 3], port).into()).await;
    let url = format!("https://{NAME}:{port}");
    let mut scene = Scene::reached_at(&url, service, "moves", &authority, sandbox, old);
    let hosts = Hosts::new(&mut scene.rotator, "127.0.0.2");
    let (name, age) = OLDEST;
    scene.rotator.environment.push((name.into(), age.into()));
    scene.start().await;
    assert!(new.came().is_empty());

    hosts.says("127.0.0.3");
    let moved = Instant::now();
    for round in 0.. {
        scene.delivers(&format!("sk-{round}")).await;
        if !new.came().is_empty() {
            break;
        }
        assert!(moved.elapsed() < AGE, "the old server is still in use");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // A call may have been under way, and each kind of call may have a connection of its own.
    let left = AGE.saturating_sub(moved.elapsed());
    eventually_within(left, "nothing goes to the old server", &mut scene).await;
}

/// Waits until three rotations in a row leave no trace at the scene's front.
async fn eventually_within(limit: Duration, what: &str, scene: &mut Scene) {
    let (began, mut quiet, mut round) = (Instant::now(), 0, 0);
    while quiet < 3 {
        let before = scene.front.came().len();
        scene.delivers(&format!("sk-after-{round}")).await;
        quiet = match scene.front.came().len() == before {
            true => quiet + 1,
            false => 0,
        };
        round += 1;
        assert!(
            began.elapsed() < limit + SOON,
            "{what}: not within {limit:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_is_found_where_its_name_moves() {
    moves(Service::Vault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashback_is_found_where_its_name_moves() {
    moves(Service::Flashback).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_is_found_where_its_name_moves() {
    moves(Service::Aws).await;
}

/// A real server behind TLS that is stopped as by SIGSTOP, and a name that moves to its successor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_of_a_stopped_server_is_used_soon() {
    let authority = Authority::new("authority");
    let port = crate::support::free_port();
    let start = async |address: &str| {
        OpenBao::start_with(|directory| {
            let (certificate, key) = certificate(&authority).write(directory, "server");
            format!(
                "listener \"tcp\" {{\n address = \"{address}:{port}\"\n tls_cert_file = \"{}\"\n \
                 tls_key_file = \"{}\"\n}}\n",
                certificate.display(),
                key.display()
            )
        })
        .await
    };
    let (old, new) = (start("127.0.0.2").await, start("127.0.0.3").await);
    let sandbox = sandbox(Options::default()).await;
    let url = format!("https://{NAME}:{port}");
    let source = vault("store", &url, TRUSTED, &token_in("root"));
    let key = key("k", "store", "k");
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{source}{key}"));
    std::fs::write(rotator.path().join("root"), ROOT).expect("written");
    std::fs::write(rotator.path().join("ca.pem"), authority.pem()).expect("written");
    let hosts = Hosts::new(&mut rotator, "127.0.0.2");
    old.put_kv2("secret", "k", json!({"key": "sk-first"})).await;
    rotator.start();
    arrives(&sandbox, "k", "sk-first").await;

    old.signal("STOP");
    new.put_kv2("secret", "k", json!({"key": "sk-old"})).await;
    new.put_kv2("secret", "k", json!({"key": "sk-new"})).await;
    rotator.event("source_unavailable", |_| true).await;
    hosts.says("127.0.0.3");
    let moved = Instant::now();
    eventually("the new server's key", || async {
        has(&sandbox, "k", &sha256_hex("sk-new")).then_some(())
    })
    .await;
    assert!(
        moved.elapsed() < SOON,
        "{:?}: {}",
        moved.elapsed(),
        rotator.log()
    );
}
