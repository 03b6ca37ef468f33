//! What is logged of sign-in: a streak once, and its end.

use std::sync::Arc;

use flashback_rotator::credential::FromFile;
use flashback_rotator::flashback::client::Auth;
use flashback_rotator::flashback::sandbox::{Operation, Rule};
use parking_lot::Mutex;

use super::sign_in::{count, list, list_at_last, refresh_file};
use crate::support::sandbox::{PASSWORD, TOKEN, client, login, start};
use crate::support::{eventually, log_to};

/// Collects the log of the thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From now on, what this thread logs goes to the log given.
fn logging(log: &Log) -> tracing::subscriber::DefaultGuard {
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    log_to(subscriber)
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("UTF-8")
    }

    /// How often signing in failed and worked.
    fn events(&self) -> (usize, usize) {
        let text = self.text();
        let count = |name: &str| text.matches(&format!("\"event\":\"{name}\"")).count();
        (count("sign_in_failed"), count("signed_in"))
    }
}

#[tokio::test]
async fn a_streak_of_failures_is_logged_once_and_so_is_its_end() {
    let log = Log::default();
    let _guard = logging(&log);
    let sandbox = start().await;
    let client = client(&sandbox.url(), login());
    sandbox.fail(Rule::status(401).on(Operation::Login).times(3));
    list_at_last(&client).await;
    list(&client).await.expect("listed");

    let text = log.text();
    assert_eq!(log.events(), (1, 1), "{text}");
    for fact in [
        r#""source":"flashback""#,
        r#""method":"login""#,
        r#""ttl_seconds":35"#,
    ] {
        assert!(text.contains(fact), "no {fact} in {text}");
    }
    for canary in [PASSWORD, "sandbox-access-", "sandbox-refresh-"] {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

#[tokio::test]
async fn a_refused_token_is_logged_once_and_so_is_its_replacement() {
    let log = Log::default();
    let _guard = logging(&log);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    std::fs::write(&path, "canary-token").expect("written");
    let sandbox = start().await;
    let client = client(
        &sandbox.url(),
        Auth::Token(Arc::new(FromFile(path.clone()))),
    );
    eventually("three tries reach Flashback", async || {
        list(&client).await.expect_err("refused");
        (count(&sandbox, Operation::List) >= 3).then_some(())
    })
    .await;
    assert_eq!(log.events(), (1, 0), "{}", log.text());
    std::fs::write(&path, TOKEN).expect("written");
    list_at_last(&client).await;
    list(&client).await.expect("listed");
    assert_eq!(log.events(), (1, 1), "{}", log.text());
    assert!(!log.text().contains("canary"), "{}", log.text());
    assert!(!log.text().contains(TOKEN), "{}", log.text());
}

#[tokio::test]
async fn a_next_token_that_could_not_be_written_is_not_forgotten() {
    let directory = tempfile::tempdir().expect("a directory");
    let sandbox = start().await;
    let path = refresh_file(directory.path(), &sandbox);
    sandbox.change(|switches| switches.latency_ms = 300);
    let client = client(&sandbox.url(), Auth::RefreshToken(path.clone()));
    let spoil = async {
        eventually("the token is on its way", async || {
            (count(&sandbox, Operation::Refresh) == 1).then_some(())
        })
        .await;
        // A directory in its place: nothing can be renamed over it.
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir_all(path.join("x")).expect("made");
    };
    let (failed, ()) = tokio::join!(list(&client), spoil);
    let error = failed.expect_err("not written").to_string();
    assert!(error.contains("must be written"), "{error}");

    std::fs::remove_dir_all(&path).expect("removed");
    list_at_last(&client).await;
    assert!(path.is_file(), "it is written after all");
}
