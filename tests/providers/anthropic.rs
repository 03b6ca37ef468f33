//! Anthropic.

use flashback_rotator::model::{LastUse, ProviderKeyId};
use flashback_rotator::provider::anthropic::{Anthropic, AnthropicConfig};
use flashback_rotator::provider::{Provider, ProviderError};
use flashback_rotator::secret::{Credentials, Secret};

use super::{admin, anthropic_at, found, listed, reference};
use crate::support::providers::Fake;
use crate::support::providers::anthropic::{Anthropic as Api, WORKSPACE};
use crate::support::upstreams::upstream;

async fn fake() -> (Fake, impl Provider) {
    let fake = Fake::start(Api::default()).await;
    let provider = anthropic_at(&fake, admin(), upstream("provider:anthropic"));
    (fake, provider)
}

#[tokio::test]
async fn a_key_is_disabled_enabled_and_archived() {
    let (fake, provider) = fake().await;
    let other = fake.make("other", "sk-ant-api03-canary-other-0001");
    let key = fake.make("rotated", "sk-ant-api03-canary-rotated-0002");
    let id = ProviderKeyId::new(&key.id);
    for _ in 0..2 {
        provider.disable(&id).await.expect("disabled");
        assert!(!fake.is_live(&key.value));
        assert!(!found(&provider, &id).await.active);
    }
    for _ in 0..2 {
        provider.enable(&id).await.expect("enabled");
        assert!(fake.is_live(&key.value));
        assert!(found(&provider, &id).await.active);
    }
    for _ in 0..2 {
        provider.delete(&id).await.expect("archived");
        assert!(!fake.is_live(&key.value));
    }
    provider.disable(&id).await.expect("serves nobody");
    let enabled = provider.enable(&id).await;
    assert!(
        matches!(enabled, Err(ProviderError::Refused { .. })),
        "{enabled:?}"
    );
    let left: Vec<_> = listed(&provider)
        .await
        .into_iter()
        .map(|key| key.id)
        .collect();
    assert_eq!(left, [ProviderKeyId::new(&other.id)]);
    assert!(fake.is_live(&other.value));
}

#[tokio::test]
async fn a_key_that_there_is_no_more_counts_as_archived() {
    let (_fake, provider) = fake().await;
    let id = ProviderKeyId::new("apikey_01");
    provider.delete(&id).await.expect("there is none");
    provider.disable(&id).await.expect("serves nobody");
    let enabled = provider.enable(&id).await;
    assert!(
        matches!(enabled, Err(ProviderError::Refused { .. })),
        "{enabled:?}"
    );
}

#[tokio::test]
async fn a_key_is_found_by_what_is_shown_of_its_value() {
    let (fake, provider) = fake().await;
    // The fourth begins and ends as the third does.
    let values = [
        "sk-ant-api03-R2Dcanary-0001",
        "sk-ant-api03-R2Dcanary-0002",
        "sk-ant-api03-R2Dcanary-0003",
        "sk-ant-api03-R2Dcanarx-0003",
    ];
    let keys = values.map(|value| fake.make("key", value));
    let shown = listed(&provider).await;
    let find = async |value: &str| {
        let credentials = Credentials {
            key: None,
            secret: Secret::new(value.to_owned()),
        };
        provider
            .find(&shown, &credentials)
            .await
            .expect("an answer")
    };
    for key in &keys[..2] {
        assert_eq!(find(&key.value).await, Some(ProviderKeyId::new(&key.id)));
    }
    assert_eq!(find(values[2]).await, None, "it may be either");
    assert_eq!(find("sk-ant-api03-R2Dcanary-0009").await, None);
}

#[tokio::test]
async fn every_page_of_a_list_is_read() {
    let (fake, provider) = fake().await;
    for number in 0..1_001 {
        fake.make(
            &format!("key {number}"),
            &format!("sk-ant-api03-canary-{number:04}"),
        );
    }
    assert_eq!(listed(&provider).await.len(), 1_001);
    assert_eq!(fake.calls().len(), 2);
    assert_eq!(
        provider.connect().await,
        Ok("1001 keys in the organization".to_owned())
    );
}

#[tokio::test]
async fn the_keys_of_another_workspace_are_not_listed() {
    let fake = Fake::start(Api::default()).await;
    fake.make("one", "sk-ant-api03-canary-0001");
    for (workspace, count) in [(WORKSPACE, 1), ("wrkspc_of_another", 0)] {
        let config = AnthropicConfig {
            admin_key: reference(),
            workspace: Some(workspace.to_owned()),
            base_url: fake.url(),
        };
        let provider = Anthropic::new(&config, admin(), upstream("provider:anthropic"));
        let provider = provider.expect("a provider");
        assert_eq!(listed(&provider).await.len(), count, "{workspace}");
    }
}

#[tokio::test]
async fn keys_are_made_by_people_alone() {
    let (fake, provider) = fake().await;
    assert!(!provider.abilities().mints);
    let minted = provider.mint("one", None).await;
    assert!(
        matches!(minted, Err(ProviderError::Refused { .. })),
        "{minted:?}"
    );
    let key = fake.make("one", "sk-ant-api03-canary-0001");
    let used = provider.last_use(&ProviderKeyId::new(&key.id)).await;
    assert_eq!(used, Ok(LastUse::Unknown));
    assert_eq!(fake.calls(), [""; 0]);
}
