//! Sign-in and renewal, each way of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::credential::FromFile;
use flashback_rotator::flashback::client::{Auth, Client};
use flashback_rotator::flashback::sandbox::{Fault, Operation, Rule, Sandbox};
use flashback_rotator::flashback::{Flashback, FlashbackError};
use flashback_rotator::model::{TargetKind, WorkspaceId};

use crate::support::eventually;
use crate::support::sandbox::{
    EMAIL, PASSWORD, TOKEN, client, login, options, plain, secret, start, start_with,
};

pub fn count(sandbox: &Sandbox, operation: Operation) -> usize {
    let journal = sandbox.journal();
    journal
        .iter()
        .filter(|entry| entry.operation == operation)
        .count()
}

pub async fn list(client: &Client) -> Result<(), FlashbackError> {
    let kind = TargetKind::Configuration;
    client.list(&WorkspaceId::new("w"), kind).await.map(drop)
}

/// The call again and again until the upstream lets it through.
pub async fn list_at_last(client: &Client) {
    eventually("a call gets through", async || list(client).await.ok()).await;
}

#[tokio::test]
async fn many_at_once_sign_in_once() {
    let sandbox = start().await;
    sandbox.change(|switches| switches.latency_ms = 20);
    let client = Arc::new(client(&sandbox.url(), login()));
    let calls = (0..100).map(|_| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { list(&client).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("ran").expect("listed");
    }
    assert_eq!(count(&sandbox, Operation::Login), 1);
    assert_eq!(count(&sandbox, Operation::List), 100);
}

#[tokio::test]
async fn many_at_once_are_refused_by_one_login() {
    let sandbox = start().await;
    let wrong = Auth::Login {
        email: plain(EMAIL),
        password: plain("canary-password"),
        totp: None,
    };
    let client = Arc::new(client(&sandbox.url(), wrong));
    sandbox.change(|switches| switches.latency_ms = 200);
    let calls = (0..50).map(|_| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { list(&client).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let error = call.await.expect("ran").expect_err("refused");
        assert!(
            !format!("{error:?} {error}").contains("canary"),
            "{error:?}"
        );
    }
    assert_eq!(count(&sandbox, Operation::Login), 1);
    assert_eq!(count(&sandbox, Operation::List), 0);
}

#[tokio::test]
async fn a_401_signs_in_once_and_repeats() {
    let sandbox = start().await;
    let client = client(&sandbox.url(), login());
    list(&client).await.expect("listed");
    sandbox.revoke_access();
    list(&client).await.expect("listed again");
    assert_eq!(count(&sandbox, Operation::Login), 1);
    assert_eq!(count(&sandbox, Operation::Refresh), 1);
    assert_eq!(count(&sandbox, Operation::List), 3);

    sandbox.fail(Rule::status(401).on(Operation::List));
    let error = list(&client).await.expect_err("refused twice");
    assert!(matches!(error, FlashbackError::SignIn { .. }), "{error:?}");
    assert_eq!(count(&sandbox, Operation::List), 5);
}

#[tokio::test]
async fn many_401s_at_once_sign_in_once() {
    let sandbox = start().await;
    let client = Arc::new(client(&sandbox.url(), login()));
    list(&client).await.expect("listed");
    sandbox.revoke_access();
    sandbox.change(|switches| switches.latency_ms = 20);
    let calls = (0..50).map(|_| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { list(&client).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("ran").expect("listed");
    }
    let renewals = count(&sandbox, Operation::Refresh) + count(&sandbox, Operation::Login);
    assert_eq!(renewals, 2, "the first login and one renewal");
}

#[tokio::test]
async fn a_refused_refresh_falls_back_to_login() {
    for rule in [
        Rule::status(401),
        Rule::status(400),
        Rule::status(500),
        Rule::new(Fault::Unsuccessful),
        Rule::new(Fault::Html),
        Rule::new(Fault::LoseAnswer),
    ] {
        let sandbox = start().await;
        let client = client(&sandbox.url(), login());
        list(&client).await.expect("listed");
        sandbox.revoke_access();
        sandbox.fail(rule.on(Operation::Refresh));
        list(&client).await.expect("listed again");
        assert_eq!(count(&sandbox, Operation::Login), 2);
    }
}

#[tokio::test]
async fn access_is_renewed_before_it_ends_and_nobody_waits() {
    let mut options = options();
    options.switches.token_life_ms = 6_000;
    let sandbox = start_with(options).await;
    let client = client(&sandbox.url(), login());
    list(&client).await.expect("listed");
    eventually("a renewal", async || {
        list(&client).await.expect("listed");
        (count(&sandbox, Operation::Refresh) >= 1).then_some(())
    })
    .await;
    let refused = sandbox
        .journal()
        .iter()
        .filter(|entry| entry.status == Some(401))
        .count();
    assert_eq!(count(&sandbox, Operation::Login), 1);
    assert!(refused <= 1, "{refused} calls met an ended token");
}

#[tokio::test]
async fn access_that_ended_in_the_meantime_is_renewed_first() {
    let mut options = options();
    options.switches.token_life_ms = 2_000;
    let sandbox = start_with(options).await;
    let client = client(&sandbox.url(), login());
    list(&client).await.expect("listed");
    sandbox.change(|switches| switches.token_life_ms = 3_600_000);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    list(&client).await.expect("listed");
    let refused = sandbox
        .journal()
        .iter()
        .filter(|entry| entry.status == Some(401))
        .count();
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_good_token_in_use() {
    let mut options = options();
    options.switches.token_life_ms = 15_000;
    let sandbox = start_with(options).await;
    let client = client(&sandbox.url(), login());
    list(&client).await.expect("listed");
    sandbox.fail(Rule::status(401).on(Operation::Login));
    sandbox.fail(Rule::status(401).on(Operation::Refresh));
    eventually("a renewal was tried", async || {
        list(&client).await.expect("the token at hand is good");
        tokio::time::sleep(Duration::from_millis(200)).await;
        (count(&sandbox, Operation::Login) >= 2).then_some(())
    })
    .await;
    let started = std::time::Instant::now();
    for _ in 0..20 {
        list(&client).await.expect("still good");
    }
    let tried = count(&sandbox, Operation::Login);
    let seconds = started.elapsed().as_secs() as usize;
    assert!(tried <= 4 + seconds, "{tried} in {seconds} s");
}

#[tokio::test]
async fn a_token_file_that_changed_is_picked_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    std::fs::write(&path, "old-token\n").expect("written");
    let sandbox = start().await;
    let client = client(
        &sandbox.url(),
        Auth::Token(Arc::new(FromFile(path.clone()))),
    );

    let error = list(&client).await.expect_err("refused");
    assert!(
        error.to_string().contains("refused (401): replace it"),
        "{error}"
    );
    assert_eq!(
        count(&sandbox, Operation::List),
        1,
        "the same token is not tried again"
    );

    std::fs::write(&path, format!("{TOKEN}\n")).expect("written");
    list_at_last(&client).await;

    sandbox.replace_token(Some(secret("third-token")));
    std::fs::write(&path, "third-token").expect("written");
    list(&client).await.expect("the 401 read the file again");

    std::fs::remove_file(&path).expect("removed");
    list(&client).await.expect("the token at hand is good");
    sandbox.replace_token(None);
    let error = list(&client).await.expect_err("refused").to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_token_with_a_line_break_is_an_error_and_no_panic() {
    let sandbox = start().await;
    let client = client(&sandbox.url(), Auth::Token(plain("canary\ncanary")));
    let error = client.sign_in().await.expect_err("unusable");
    assert!(error.to_string().contains("header"), "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
}

pub fn refresh_file(directory: &Path, sandbox: &Sandbox) -> std::path::PathBuf {
    let path = directory.join("refresh-token");
    let token = sandbox.issue_refresh_token();
    std::fs::write(&path, token.expose()).expect("written");
    path
}

#[tokio::test]
async fn the_next_refresh_token_is_in_the_file_before_the_access_is_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let sandbox = start().await;
    let path = refresh_file(directory.path(), &sandbox);
    let read = || std::fs::read_to_string(&path).expect("read");
    let mut seen = vec![read()];
    for _ in 0..3 {
        // A new client each time: what is in the file is all there is.
        let client = client(&sandbox.url(), Auth::RefreshToken(path.clone()));
        list(&client).await.expect("listed");
        seen.push(read());
    }
    seen.dedup();
    assert_eq!(seen.len(), 4, "a new one each time");
    let entries: Vec<_> = directory.path().read_dir().expect("listed").collect();
    assert_eq!(entries.len(), 1, "nothing beside it");

    sandbox.revoke_refresh();
    let client = client(&sandbox.url(), Auth::RefreshToken(path.clone()));
    let error = list(&client).await.expect_err("refused").to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    assert!(!error.contains(&read()), "{error}");
}

#[tokio::test]
async fn a_refresh_token_that_could_not_be_replaced_is_not_spent() {
    let directory = tempfile::tempdir().expect("a directory");
    let sandbox = start().await;
    let path = refresh_file(directory.path(), &sandbox);
    // In the way of the file that is written first; a directory stops root, too.
    std::fs::create_dir_all(directory.path().join(".refresh-token.next/x")).expect("made");
    let client = client(&sandbox.url(), Auth::RefreshToken(path.clone()));
    let error = list(&client).await.expect_err("unwritable");
    assert!(matches!(error, FlashbackError::SignIn { .. }), "{error:?}");
    assert!(error.to_string().contains("written beside"), "{error}");
    assert_eq!(count(&sandbox, Operation::Refresh), 0);

    std::fs::remove_dir_all(directory.path().join(".refresh-token.next")).expect("removed");
    list_at_last(&client).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_no_token_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let sandbox = start().await;
    let path = refresh_file(directory.path(), &sandbox);
    let before = std::fs::read_to_string(&path).expect("read");
    sandbox.change(|switches| switches.latency_ms = 300);
    let client = client(&sandbox.url(), Auth::RefreshToken(path.clone()));
    let gone = tokio::time::timeout(Duration::from_millis(100), list(&client)).await;
    assert!(gone.is_err(), "it went away");
    eventually("the next token is kept", async || {
        let now = std::fs::read_to_string(&path).expect("read");
        (now != before).then_some(())
    })
    .await;
    list(&client).await.expect("listed");
    assert_eq!(count(&sandbox, Operation::Refresh), 1);
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_a_corrected_one_recovers() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("password");
    std::fs::write(&path, "wrong").expect("written");
    let sandbox = start().await;
    let auth = Auth::Login {
        email: plain(EMAIL),
        password: Arc::new(FromFile(path.clone())),
        totp: None,
    };
    let client = client(&sandbox.url(), auth);
    let error = client.sign_in().await.expect_err("refused").to_string();
    assert!(error.contains("login was refused (401)"), "{error}");
    std::fs::write(&path, format!("{PASSWORD}\n")).expect("written");
    list_at_last(&client).await;
    assert_eq!(client.sign_in().await.as_deref(), Ok("signed in (login)"));
}
