//! What goes wrong with the calls of any provider.

use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::credential::{FromFile, Plain, SharedCredential};
use flashback_rotator::provider::{Provider, ProviderError};
use flashback_rotator::upstream::Upstream;

use super::{admin, anthropic_at, is_clean, openai_at, openrouter_at};
use crate::support::providers::anthropic::Anthropic;
use crate::support::providers::openai::OpenAi;
use crate::support::providers::openrouter::OpenRouter;
use crate::support::providers::{ADMIN, Fake, Fault};
use crate::support::upstreams::{Bench, calls, upstream};

type Build = fn(&Fake, SharedCredential, Upstream) -> Box<dyn Provider>;

/// Returns a fake of each provider, and what builds the provider.
async fn all() -> [(Fake, Build); 3] {
    [
        (
            Fake::start(OpenAi::default()).await,
            |fake, admin, upstream| Box::new(openai_at(fake, admin, upstream)),
        ),
        (
            Fake::start(OpenRouter::default()).await,
            |fake, admin, upstream| Box::new(openrouter_at(fake, admin, upstream)),
        ),
        (
            Fake::start(Anthropic::default()).await,
            |fake, admin, upstream| Box::new(anthropic_at(fake, admin, upstream)),
        ),
    ]
}

/// Returns the kind of an error, and the status that metrics show.
fn kind(error: &ProviderError) -> (&'static str, &str) {
    match error {
        ProviderError::Unavailable { status, .. } => ("unavailable", status),
        ProviderError::SignIn { status, .. } => ("sign-in", status),
        ProviderError::Denied { status, .. } => ("denied", status),
        ProviderError::LimitReached { .. } => ("limit", ""),
        ProviderError::Refused { status, .. } => ("refused", status),
        ProviderError::Protocol { status, .. } => ("protocol", status),
        ProviderError::CircuitOpen { .. } => ("circuit", ""),
    }
}

#[tokio::test]
async fn an_answer_that_is_no_success_has_a_kind_and_no_value_in_it() {
    let cases = [
        (Fault::Status(400), ("refused", "400")),
        (Fault::Status(401), ("sign-in", "401")),
        (Fault::Status(403), ("denied", "403")),
        (Fault::Status(404), ("refused", "404")),
        (Fault::Status(409), ("refused", "409")),
        (Fault::Status(408), ("unavailable", "408")),
        (Fault::Status(500), ("unavailable", "500")),
        (Fault::Status(529), ("unavailable", "529")),
        (Fault::TooMany(7), ("unavailable", "429")),
        (Fault::Cut, ("unavailable", "broken")),
        (Fault::Lost, ("unavailable", "broken")),
        (Fault::Page, ("protocol", "200")),
        (Fault::Half, ("protocol", "200")),
        (Fault::Elsewhere, ("protocol", "307")),
    ];
    for (fake, build) in all().await {
        fake.make("one", "sk-canary-of-the-only-key-0001");
        for (fault, expected) in cases {
            let provider = build(&fake, admin(), upstream("provider"));
            fake.fail_next("GET", fault);
            let error = provider.list().await.expect_err("a fault");
            assert_eq!(kind(&error), expected, "{fault:?}: {error}");
            is_clean(&format!("{error} {error:?}"));
            assert!(!error.to_string().contains("http"), "{error}");
            if let (Fault::TooMany(seconds), ProviderError::Unavailable { retry_after, .. }) =
                (fault, &error)
            {
                assert_eq!(*retry_after, Some(Duration::from_secs(seconds)));
            }
            let provider = build(&fake, admin(), upstream("provider"));
            assert_eq!(provider.list().await.expect("a list").len(), 1, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_denied_call_names_what_it_needs() {
    let words = ["api.management.write", "a management key", "an admin key"];
    for ((fake, build), needs) in all().await.into_iter().zip(words) {
        let provider = build(&fake, admin(), upstream("provider"));
        fake.fail_next("GET", Fault::Status(403));
        let error = provider.connect().await.expect_err("denied").to_string();
        assert!(error.contains(needs) && error.contains("`GET "), "{error}");
    }
}

#[tokio::test]
async fn a_credential_that_is_not_accepted_is_read_again_for_the_next_call() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("admin");
    for (fake, build) in all().await {
        let credential = Arc::new(FromFile(path.clone()));
        let provider = build(&fake, credential, upstream("provider"));
        let absent = provider.list().await.expect_err("no file");
        assert_eq!(kind(&absent), ("sign-in", "credential"), "{absent}");
        assert_eq!(fake.calls(), [""; 0]);
        std::fs::write(&path, "sk-wrong-canary\n").expect("written");
        let wrong = provider.list().await.expect_err("not accepted");
        assert_eq!(kind(&wrong), ("sign-in", "401"), "{wrong}");
        is_clean(&format!("{wrong} {wrong:?}"));
        std::fs::write(&path, format!("{ADMIN}\n")).expect("written");
        let list = crate::support::eventually("accepted", || async { provider.list().await.ok() });
        assert_eq!(list.await.len(), 0);
        std::fs::remove_file(&path).expect("removed");
    }
}

#[tokio::test]
async fn a_credential_that_no_header_can_hold_is_not_sent() {
    for (fake, build) in all().await {
        let credential = Arc::new(Plain("sk-canary\nx".to_owned()));
        let provider = build(&fake, credential, upstream("provider"));
        let error = provider.list().await.expect_err("no header");
        assert_eq!(kind(&error), ("sign-in", "credential"));
        is_clean(&format!("{error} {error:?}"));
        assert_eq!(fake.calls(), [""; 0]);
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up_and_counted() {
    for (fake, build) in all().await {
        let bench = Bench::new("provider", Duration::from_millis(50));
        fake.latency(Duration::from_secs(3600));
        let provider = build(&fake, admin(), bench.upstream);
        let error = provider.list().await.expect_err("no answer");
        assert_eq!(kind(&error), ("unavailable", "timeout"), "{error}");
        assert!(!error.is_certain());
        let text = bench.metrics.render();
        assert!(text.contains("status=\"timeout\""), "{text}");
        is_clean(&text);
        assert_eq!(bench.reports.all().len(), 1);
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_called_and_nothing_was_sent() {
    let (fake, build) = all().await.into_iter().next().expect("one");
    let bench = Bench::new("provider", Duration::from_secs(30));
    let provider = build(&fake, admin(), bench.upstream);
    drop(fake);
    let error = crate::support::eventually("away", || async {
        let error = provider
            .mint("one", None)
            .await
            .expect_err("nobody is there");
        (kind(&error).1 == "connect").then_some(error)
    })
    .await;
    assert!(error.is_certain(), "{error:?}");
    assert!(
        calls(
            &bench.metrics,
            "POST /service_accounts/{id}/api_keys",
            "connect"
        ) >= 1
    );
}
