//! Every way in which a call can go wrong, and what the client makes of it.

use std::time::Duration;

use flashback_rotator::flashback::client::Client;
use flashback_rotator::flashback::sandbox::{Fault, Operation, Rule, Sandbox, sha256_hex};
use flashback_rotator::flashback::{Flashback, FlashbackError, Listing};
use flashback_rotator::model::{AiLlmId, TargetKind, WorkspaceId};
use flashback_rotator::retry::Class;
use flashback_rotator::upstream::Failure as _;

use crate::support::sandbox::{client, credentials, settings, start, token, upstream};

const CANARY: &str = "sk-canary-0123456789abcdef";

async fn one() -> (Sandbox, Client, AiLlmId) {
    let sandbox = start().await;
    let client = client(&sandbox.url(), token());
    let id = client
        .create(&settings("one"), &credentials("sk-first"))
        .await
        .expect("created");
    (sandbox, client, id)
}

/// What an update becomes under a fault, and what Flashback holds afterwards.
async fn update_under(rule: Rule) -> (FlashbackError, bool) {
    let (sandbox, client, id) = one().await;
    sandbox.fail(rule.on(Operation::Update).times(1));
    let error = client
        .update(&id, &settings("one"), &credentials(CANARY))
        .await
        .expect_err("a fault");
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    let held = sandbox.configurations()[0].secret_sha256 == sha256_hex(CANARY);
    (error, held)
}

#[tokio::test]
async fn creates_lists_and_updates() {
    let (sandbox, client, id) = one().await;
    client
        .update(&id, &settings("renamed"), &credentials("sk-second"))
        .await
        .expect("updated");
    let listed = client
        .list(
            &WorkspaceId::new("workspace-123"),
            TargetKind::Configuration,
        )
        .await
        .expect("listed")
        .entries;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0].id, listed[0].appearance.name.as_str()),
        (&id, "renamed")
    );
    assert_eq!(
        sandbox.configurations()[0].secret_sha256,
        sha256_hex("sk-second")
    );
    let elsewhere = WorkspaceId::new("a b&c=d/é");
    let elsewhere = client.list(&elsewhere, TargetKind::Configuration).await;
    assert_eq!(elsewhere, Ok(Listing::default()));
    assert_eq!(
        client.sign_in().await.as_deref(),
        Ok("the token was accepted")
    );
}

#[tokio::test]
async fn an_outage_is_unavailable_with_the_wait_it_asks_for() {
    for status in [429, 502, 503, 504] {
        let rule = Rule {
            retry_after: Some("7".into()),
            ..Rule::status(status)
        };
        let (error, held) = update_under(rule).await;
        let Class::Outage { retry_after } = error.class() else {
            panic!("{error:?}");
        };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
        assert_eq!(error.status(), status.to_string());
        assert!(!held);
    }
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(90));
    let rule = Rule {
        retry_after: Some(date),
        ..Rule::status(503)
    };
    let (error, _) = update_under(rule).await;
    let Class::Outage {
        retry_after: Some(wait),
    } = error.class()
    else {
        panic!("{error:?}");
    };
    assert!(
        wait > Duration::from_secs(30) && wait <= Duration::from_secs(90),
        "{wait:?}"
    );
}

#[tokio::test]
async fn a_fault_of_one_call_may_have_written() {
    for status in [408, 425, 500, 501, 507] {
        let (error, held) = update_under(Rule::status(status)).await;
        assert!(matches!(error, FlashbackError::Faulty { .. }), "{error:?}");
        assert!(error.may_have_written() && !held);
    }
    for (fault, written, word) in [
        (Fault::Html, false, "bad_answer"),
        (Fault::Unsuccessful, false, "unsuccessful"),
        (Fault::Close, false, "lost"),
        (Fault::LoseAnswer, true, "lost"),
    ] {
        let (error, held) = update_under(Rule::new(fault)).await;
        assert!(matches!(error, FlashbackError::Faulty { .. }), "{error:?}");
        assert_eq!(
            (error.status().as_str(), held),
            (word, written),
            "{error:?}"
        );
        assert!(error.may_have_written());
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_asked_once() {
    for status in [400, 403, 409, 413, 422] {
        let (sandbox, client, id) = one().await;
        sandbox.fail(Rule::status(status).on(Operation::Update));
        let error = client
            .update(&id, &settings("one"), &credentials(CANARY))
            .await
            .expect_err("refused");
        assert!(
            matches!(error, FlashbackError::Refused { status: s, .. } if s == status),
            "{error:?}"
        );
        assert_eq!(error.class(), Class::Refused);
        assert!(!error.may_have_written());
        assert_eq!(sandbox.journal().len(), 2, "asked once");
    }
}

#[tokio::test]
async fn deleted_ids_are_not_found_and_duplicate_names_are_refused() {
    let (sandbox, client, id) = one().await;
    let duplicate = client.create(&settings("one"), &credentials("sk-x")).await;
    let error = duplicate.expect_err("a duplicate").to_string();
    assert!(
        error.contains("(400)") && error.contains("already exists"),
        "{error}"
    );
    assert!(sandbox.remove(id.as_str()));
    let gone = client
        .update(&id, &settings("one"), &credentials("sk-x"))
        .await;
    assert!(
        matches!(gone, Err(FlashbackError::NotFound { .. })),
        "{gone:?}"
    );
    for elsewhere in ["..", ".", "", "a/../b", "a?b#c", "%2e%2e"] {
        let lost = client
            .update(
                &AiLlmId::new(elsewhere),
                &settings("one"),
                &credentials("sk-x"),
            )
            .await;
        assert!(
            matches!(lost, Err(FlashbackError::NotFound { .. })),
            "{elsewhere}: {lost:?}"
        );
    }
    let paths: Vec<_> = sandbox
        .journal()
        .into_iter()
        .map(|entry| entry.path)
        .collect();
    assert!(
        paths.contains(&"/ai/llm/a%2F..%2Fb".to_owned()),
        "{paths:?}"
    );
    assert!(!paths.contains(&"/ai/llm/".to_owned()), "{paths:?}");
}

#[tokio::test]
async fn a_servers_words_lose_what_was_sent() {
    let (sandbox, client, id) = one().await;
    let echo = format!(
        "bad key '{CANARY}' (…{}) for {}",
        &CANARY[10..],
        &CANARY[..12]
    );
    for (rule, kept) in [
        (Rule::status(400), "bad key '"),
        (Rule::status(500), "bad key '"),
        (Rule::new(Fault::Unsuccessful), "bad key '"),
    ] {
        sandbox.heal();
        sandbox.fail(Rule {
            message: Some(echo.clone()),
            ..rule
        });
        let error = client
            .update(&id, &settings("one"), &credentials(CANARY))
            .await
            .expect_err("a fault")
            .to_string();
        assert!(error.contains(kept), "{error}");
        for piece in CANARY.as_bytes().windows(8) {
            let piece = std::str::from_utf8(piece).expect("ASCII");
            assert!(!error.contains(piece), "{piece} in {error}");
        }
    }
}

#[tokio::test]
async fn no_connection_is_an_outage_and_so_is_silence() {
    let (sandbox, client, id) = one().await;
    sandbox.shutdown().await;
    let error = client
        .update(&id, &settings("one"), &credentials("sk-x"))
        .await
        .expect_err("nobody there");
    assert_eq!(error.status(), "connect", "{error:?}");
    assert!(matches!(error.class(), Class::Outage { .. }));

    let sandbox = start().await;
    sandbox.fail(Rule::new(Fault::Hang));
    let patience = Duration::from_millis(300);
    let client = Client::new(&sandbox.url(), token(), upstream(patience)).expect("a client");
    let error = client
        .create(&settings("one"), &credentials("sk-x"))
        .await
        .expect_err("silence");
    assert_eq!(error.status(), "timeout", "{error:?}");
    assert!(error.may_have_written());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (sandbox, client, id) = one().await;
    sandbox.fail(Rule::status(308).on(Operation::Update));
    let error = client
        .update(&id, &settings("one"), &credentials("sk-x"))
        .await
        .expect_err("a redirect");
    assert!(error.to_string().contains("final address"), "{error}");
    // Something in front sends callers elsewhere: that says nothing about the key.
    assert_eq!(error.class(), Class::Transient { retry_after: None });
}

#[tokio::test]
async fn an_endless_answer_is_refused() {
    let server = wiremock::MockServer::start().await;
    let flood = wiremock::ResponseTemplate::new(200).set_body_bytes(vec![b' '; 17 << 20]);
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(flood)
        .mount(&server)
        .await;
    let client = client(&server.uri(), token());
    let error = client
        .list(&WorkspaceId::new("w"), TargetKind::Configuration)
        .await
        .expect_err("too long");
    assert!(
        error.to_string().contains("longer than 1024 KiB"),
        "{error}"
    );
    let error = client.sign_in().await.expect_err("no list");
    assert!(error.to_string().contains("is not a Flashback"), "{error}");
}

#[tokio::test]
async fn a_base_url_must_be_one() {
    for wrong in [
        "",
        "flashback",
        "ftp://x",
        "https://u:canary@x",
        "https://x?a=canary",
    ] {
        let Err(error) = Client::new(wrong, token(), upstream(Duration::from_secs(1))) else {
            panic!("{wrong} was taken");
        };
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    let sandbox = start().await;
    for slash in ["", "/"] {
        let url = format!("{}{slash}", sandbox.url());
        client(&url, token()).sign_in().await.expect("known");
    }
}
