//! A backend that hangs behind TLS and HTTP/2, and is replaced by one that works. Connections to the
//! first stay open for ever and say nothing.

use http::Version;

use super::*;

/// Longer than any call may take here.
const HANGS: Duration = Duration::from_secs(12);

/// The limit of a call to Flashback, which is that of a source: longer than it takes to find that a connection is
/// dead.
const TIMEOUT: (&str, &str) = ("FLASHBACK_ROTATOR_TIMEOUT_MS", "10000");

async fn comes_back(service: Service) {
    let authority = Authority::new("authority");
    let mut scene = Scene::set(service, "hangs", &authority).await;
    let (name, timeout) = TIMEOUT;
    scene
        .rotator
        .environment
        .push((name.into(), timeout.into()));
    scene.start().await;
    let came = scene.front.came();
    assert!(
        came.iter().all(|came| came.version == Version::HTTP_2),
        "{came:?}"
    );

    scene.front.freeze();
    let frozen = Instant::now();
    scene.rotate("sk-second").await;
    scene.is_missed().await;
    tokio::time::sleep(HANGS.saturating_sub(frozen.elapsed())).await;
    scene.front.replace();
    scene.arrives_soon("sk-second").await;
    scene.delivers("sk-third").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_is_used_again_soon_after_it_hung() {
    comes_back(Service::Vault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashback_is_used_again_soon_after_it_hung() {
    comes_back(Service::Flashback).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_is_used_again_soon_after_it_hung() {
    comes_back(Service::Aws).await;
}

/// The same server goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_stopped_and_goes_on_is_used_again_soon() {
    let authority = Authority::new("authority");
    let mut scene = Scene::set(Service::Vault, "stopped", &authority).await;
    scene.start().await;
    scene.front.freeze();
    scene.rotate("sk-second").await;
    scene.is_missed().await;
    scene.front.thaw();
    scene.arrives_soon("sk-second").await;
    scene.delivers("sk-third").await;
}
