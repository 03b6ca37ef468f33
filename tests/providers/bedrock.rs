//! Bedrock API keys of IAM users.

use chrono::{TimeDelta, Utc};
use flashback_rotator::model::LastUse;
use flashback_rotator::provider::bedrock::Days;
use flashback_rotator::provider::{Provider, ProviderError};
use flashback_rotator::secret::{Credentials, Secret};

use super::aws::{bedrock_keys, listed};
use crate::support::aws::administrator;
use crate::support::providers::bedrock::{Bedrock, USER};
use crate::support::providers::{Fake, Fault};

const MINT: &str = "POST CreateServiceSpecificCredential";

fn days(days: u64) -> Option<Days> {
    let days = Days::of(std::time::Duration::from_secs(days * 24 * 60 * 60));
    Some(days.expect("days"))
}

fn is_live(fake: &Fake, credentials: &Credentials) -> bool {
    assert!(credentials.key.is_none());
    fake.use_key(credentials.secret.expose())
}

#[tokio::test]
async fn a_key_is_made_disabled_enabled_and_deleted() {
    let fake = Fake::start(Bedrock).await;
    let provider = bedrock_keys(&fake.url(), USER, administrator(), days(90));
    assert_eq!(listed(&provider).await, []);
    let minted = provider.mint("bedrock-prod-1", None).await.expect("made");
    let age = Utc::now() - minted.created_at.expect("a time");
    assert!(age < TimeDelta::minutes(5), "{age}");
    assert!(is_live(&fake, &minted.credentials));
    assert_eq!(provider.last_use(&minted.id).await, Ok(LastUse::Unknown));

    let id = minted.id.as_str().to_owned();
    for _ in 0..2 {
        provider.disable(&minted.id).await.expect("disabled");
        assert_eq!(listed(&provider).await, [(id.clone(), false)]);
        assert!(!is_live(&fake, &minted.credentials));
    }
    for _ in 0..2 {
        provider.enable(&minted.id).await.expect("enabled");
        assert_eq!(listed(&provider).await, [(id.clone(), true)]);
        assert!(is_live(&fake, &minted.credentials));
    }
    for _ in 0..2 {
        provider.delete(&minted.id).await.expect("deleted");
        assert_eq!(listed(&provider).await, []);
    }
    provider.disable(&minted.id).await.expect("it is gone");
    let refused = provider.enable(&minted.id).await.expect_err("it is gone");
    assert!(
        matches!(refused, ProviderError::Refused { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_third_key_is_refused_for_the_limit_and_a_list_is_read_to_its_end() {
    let fake = Fake::start(Bedrock).await;
    let provider = bedrock_keys(&fake.url(), USER, administrator(), None);
    let one = provider.mint("one", None).await.expect("made");
    let two = provider.mint("two", None).await.expect("made");
    let ids = [&one, &two].map(|minted| (minted.id.as_str().to_owned(), true));
    assert_eq!(listed(&provider).await, ids);
    let error = provider.mint("three", None).await.expect_err("the limit");
    assert!(
        matches!(&error, ProviderError::LimitReached { what } if what.contains(USER)),
        "{error:?}"
    );
    let line = provider.connect().await.expect("it may");
    assert_eq!(
        line,
        "2 of 2 Bedrock API keys of the IAM user flashback-bedrock"
    );
}

#[tokio::test]
async fn a_key_is_found_by_the_alias_in_its_value() {
    let fake = Fake::start(Bedrock).await;
    let provider = bedrock_keys(&fake.url(), USER, administrator(), None);
    let one = provider.mint("one", None).await.expect("made");
    let two = provider.mint("two", None).await.expect("made");
    let keys = provider.list().await.expect("a list");
    for minted in [&one, &two] {
        let found = provider.find(&keys, &minted.credentials).await;
        assert_eq!(found, Ok(Some(minted.id.clone())));
    }
    let found = provider.find(&keys[..1], &two.credentials).await;
    assert_eq!(found, Ok(None), "it is not asked for");
    let other = Credentials {
        key: None,
        secret: Secret::new("ABSKcanary".to_owned()),
    };
    assert_eq!(provider.find(&keys, &other).await, Ok(None));
}

#[tokio::test]
async fn a_key_whose_answer_was_lost_is_in_the_list_and_was_not_before() {
    let fake = Fake::start(Bedrock).await;
    // Each failure opens the circuit of its own provider.
    let provider = || bedrock_keys(&fake.url(), USER, administrator(), None);
    let before = provider().mint("one", None).await.expect("made");
    for fault in [Fault::Lost, Fault::Page, Fault::Half] {
        fake.fail_next(MINT, fault);
        let error = provider().mint("two", None).await.expect_err("lost");
        assert!(!error.is_certain(), "{fault:?}: {error:?}");
        assert!(
            !format!("{error:?} {error}").contains("canary"),
            "{error:?}"
        );
        let keys = provider().list().await.expect("a list");
        let mut lost = keys.into_iter().filter(|key| key.id != before.id);
        let lost = lost.next().expect("it was made");
        provider().delete(&lost.id).await.expect("deleted");
    }
    for fault in [Fault::TooMany(7), Fault::Status(403), Fault::Status(400)] {
        fake.fail_next(MINT, fault);
        let error = provider().mint("two", None).await.expect_err("refused");
        assert!(error.is_certain(), "{fault:?}: {error:?}");
    }
    assert_eq!(fake.keys().len(), 1);
}

#[tokio::test]
async fn without_the_user_nothing_counts_as_deleted() {
    let fake = Fake::start(Bedrock).await;
    let theirs = bedrock_keys(&fake.url(), USER, administrator(), None);
    let theirs = theirs.mint("one", None).await.expect("made");
    let provider = bedrock_keys(&fake.url(), "nobody-here", administrator(), None);
    for error in [
        provider.delete(&theirs.id).await.err(),
        provider.disable(&theirs.id).await.err(),
        provider.list().await.err(),
        provider.mint("two", None).await.err(),
    ] {
        let error = error.expect("there is no such user");
        assert!(
            matches!(&error, ProviderError::Refused { what, .. } if what.contains("`nobody-here`")),
            "{error:?}"
        );
    }
    assert!(is_live(&fake, &theirs.credentials));
}
