//! OpenRouter.

use chrono::{DateTime, Utc};
use flashback_rotator::model::{LastUse, ProviderKeyId};
use flashback_rotator::provider::openrouter::{OpenRouter, OpenRouterConfig};
use flashback_rotator::provider::{Provider, ProviderError};
use flashback_rotator::secret::{Credentials, Secret};

use super::{admin, found, is_clean, listed, openrouter_at, reference, value};
use crate::support::providers::openrouter::{OpenRouter as Api, WORKSPACE};
use crate::support::providers::{Fake, Fault};
use crate::support::upstreams::upstream;

async fn fake() -> (Fake, impl Provider) {
    let fake = Fake::start(Api::default()).await;
    let provider = openrouter_at(&fake, admin(), upstream("provider:openrouter"));
    (fake, provider)
}

#[tokio::test]
async fn a_key_is_made_disabled_enabled_and_deleted() {
    let (fake, provider) = fake().await;
    fake.make("a person's", "sk-or-v1-canary-of-a-person-0001");
    let minted = provider.mint("rotator/router/1", None).await.expect("made");
    let made = fake.named("rotator/router/1");
    assert_eq!(
        (minted.id.as_str(), value(&minted)),
        (&*made.id, &*made.value)
    );
    assert_eq!(minted.created_at, Some(made.created_at));

    for _ in 0..2 {
        provider.disable(&minted.id).await.expect("disabled");
        assert!(!fake.is_live(&made.value));
        let key = found(&provider, &minted.id).await;
        assert!(!key.active && key.name.as_deref() == Some("rotator/router/1"));
    }
    for _ in 0..2 {
        provider.enable(&minted.id).await.expect("enabled");
        assert!(fake.is_live(&made.value));
        assert!(found(&provider, &minted.id).await.active);
    }
    let keys = listed(&provider).await;
    let credentials = Credentials {
        key: None,
        secret: Secret::new(made.value.clone()),
    };
    let id = provider.find(&keys, &credentials).await;
    assert_eq!(id, Ok(Some(minted.id.clone())));

    for _ in 0..2 {
        provider.delete(&minted.id).await.expect("deleted");
        assert!(!fake.is_live(&made.value));
    }
    provider.disable(&minted.id).await.expect("serves nobody");
    let enabled = provider.enable(&minted.id).await;
    assert!(matches!(enabled, Err(ProviderError::Refused { .. })));
    assert_eq!(
        provider.connect().await,
        Ok("1 key in the default workspace".to_owned())
    );
}

#[tokio::test]
async fn a_list_that_changes_between_two_pages_is_read_again() {
    let (fake, provider) = fake().await;
    let [gone, kept] = ["one", "two"].map(|name| fake.make(name, &format!("sk-or-v1-{name}-0001")));
    // The first page is of before the deletion, the second one of after it.
    fake.lag(1);
    provider
        .delete(&ProviderKeyId::new(&gone.id))
        .await
        .expect("deleted");
    let ids: Vec<_> = listed(&provider)
        .await
        .into_iter()
        .map(|key| key.id)
        .collect();
    assert_eq!(ids, [ProviderKeyId::new(&kept.id)]);
    let pages = fake.calls();
    let pages = pages.iter().filter(|call| call.starts_with("GET"));
    assert_eq!(pages.count(), 4, "two and two");
}

#[tokio::test]
async fn the_last_use_is_unknown_where_the_server_does_not_tell() {
    let at: DateTime<Utc> = "2026-11-30T06:00:00Z".parse().expect("a time");
    for hides_use in [false, true] {
        let fake = Fake::start(Api { hides_use }).await;
        let provider = openrouter_at(&fake, admin(), upstream("provider:openrouter"));
        let minted = provider.mint("one", None).await.expect("made");
        let (before, after) = match hides_use {
            false => (LastUse::Never, LastUse::At(at)),
            true => (LastUse::Unknown, LastUse::Unknown),
        };
        assert_eq!(provider.last_use(&minted.id).await, Ok(before));
        fake.used_at(value(&minted), at);
        assert_eq!(provider.last_use(&minted.id).await, Ok(after));
        assert_eq!(found(&provider, &minted.id).await.last_use, after);
    }
}

#[tokio::test]
async fn every_page_of_a_list_is_read() {
    let (fake, provider) = fake().await;
    for number in 0..200 {
        let key = fake.make(
            &format!("key {number}"),
            &format!("sk-or-v1-canary-{number:04}"),
        );
        if number % 3 == 0 {
            let id = ProviderKeyId::new(&key.id);
            provider.disable(&id).await.expect("disabled");
        }
    }
    let keys = listed(&provider).await;
    assert_eq!(keys.len(), 200);
    assert_eq!(keys.iter().filter(|key| !key.active).count(), 67);
}

#[tokio::test]
async fn keys_are_made_in_the_workspace_of_the_settings() {
    let fake = Fake::start(Api::default()).await;
    let at = |workspace: &str| {
        let config = OpenRouterConfig {
            admin_key: reference(),
            workspace: Some(workspace.to_owned()),
            base_url: format!("{}/api/v1", fake.url()),
        };
        OpenRouter::new(&config, admin(), upstream("provider:openrouter")).expect("a provider")
    };
    let provider = at(WORKSPACE);
    provider.mint("one", None).await.expect("made");
    assert_eq!(listed(&provider).await.len(), 1);
    let other = at("another");
    let denied = other.mint("two", None).await;
    assert!(
        matches!(denied, Err(ProviderError::Denied { .. })),
        "{denied:?}"
    );
    assert_eq!(listed(&other).await, []);
}

#[tokio::test]
async fn a_key_whose_value_was_lost_is_found_by_its_name() {
    let (fake, _) = fake().await;
    for fault in [Fault::Lost, Fault::Page, Fault::Half] {
        let name = format!("{fault:?}");
        fake.fail_next("POST", fault);
        let provider = openrouter_at(&fake, admin(), upstream("provider:openrouter"));
        let error = provider.mint(&name, None).await.expect_err("no answer");
        assert!(!error.is_certain(), "{error:?}");
        is_clean(&format!("{error} {error:?}"));
        let provider = openrouter_at(&fake, admin(), upstream("provider:openrouter"));
        let keys = listed(&provider).await;
        assert!(
            keys.iter().any(|key| key.name.as_ref() == Some(&name)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_limit_of_keys_is_a_refusal() {
    let (fake, provider) = fake().await;
    fake.limit(1);
    provider.mint("one", None).await.expect("made");
    let error = provider.mint("two", None).await.expect_err("one too many");
    assert!(matches!(&error, ProviderError::Refused { .. }) && error.is_certain());
    assert!(
        error.to_string().contains("maximum number of keys"),
        "{error}"
    );
}
