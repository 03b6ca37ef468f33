//! Azure OpenAI.

use std::path::PathBuf;
use std::sync::Arc;

use flashback_rotator::credential::{Plain, SharedCredential};
use flashback_rotator::model::ProviderKeyId;
use flashback_rotator::provider::azure_openai::{AzureOpenAi, AzureOpenAiConfig};
use flashback_rotator::provider::{Provider, ProviderError};
use flashback_rotator::secret::{Credentials, Secret};

use crate::support::providers::azure::{
    ACCOUNT, Azure, CLIENT, GROUP, SUBSCRIPTION, TENANT, WORKLOAD,
};
use crate::support::providers::{ADMIN, Fake, Fault};
use crate::support::upstreams::upstream;

const REGENERATE: &str = "POST /subscriptions/5a4f5c2e-0000-4000-8000-000000000001/resourceGroups/my group/providers/Microsoft.CognitiveServices/accounts/my-account/regenerateKey";

fn config(fake: &Fake) -> AzureOpenAiConfig {
    AzureOpenAiConfig {
        subscription: SUBSCRIPTION.to_owned(),
        resource_group: GROUP.to_owned(),
        account: ACCOUNT.to_owned(),
        tenant: Some(TENANT.to_owned()),
        client_id: Some(CLIENT.to_owned()),
        admin_key: None,
        token_file: None,
        base_url: fake.url(),
        login_url: format!("{}/", fake.url()),
        audience: "https://management.azure.com".to_owned(),
        api_version: "2024-10-01".to_owned(),
    }
}

fn with(config: &AzureOpenAiConfig, secret: Option<&str>) -> AzureOpenAi {
    let secret = secret.map(|text| Arc::new(Plain(text.to_owned())) as SharedCredential);
    AzureOpenAi::new(config, secret, upstream("provider:azure")).expect("a provider")
}

async fn find(provider: &AzureOpenAi, value: &str) -> Option<ProviderKeyId> {
    let keys = provider.list().await.expect("a list");
    let value = Credentials {
        key: None,
        secret: Secret::new(value.to_owned()),
    };
    provider.find(&keys, &value).await.expect("an answer")
}

#[tokio::test]
async fn a_key_is_made_in_a_slot_and_deleted_by_another_that_nobody_knows() {
    let fake = Fake::start(Azure::default()).await;
    let provider = with(&config(&fake), Some(ADMIN));
    let keys = provider.list().await.expect("a list");
    let ids: Vec<_> = keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["key1", "key2"]);
    assert!(keys.iter().all(|key| key.active && key.name.is_none()));
    let (one, two) = (fake.named("key1").value, fake.named("key2").value);
    assert_eq!(
        find(&provider, &one).await,
        Some(ProviderKeyId::new("key1"))
    );
    assert_eq!(find(&provider, "canary").await, None);

    let slot = ProviderKeyId::new("key2");
    let minted = provider.mint("any", Some(&slot)).await.expect("made");
    assert_eq!(minted.id, slot);
    assert!(minted.credentials.secret.is(&fake.named("key2").value));
    assert!(!fake.is_live(&two) && fake.is_live(&one));

    let old = ProviderKeyId::new("key1");
    provider.delete(&old).await.expect("deleted");
    provider.delete(&old).await.expect("deleted again");
    assert!(!fake.is_live(&one));
    assert!(fake.is_live(&fake.named("key2").value) && fake.keys().len() == 2);
    let said = provider.connect().await.expect("it works");
    assert_eq!(said, "2 keys of the account my-account");
    let sign_ins = fake
        .calls()
        .iter()
        .filter(|it| it.contains("oauth2"))
        .count();
    assert_eq!(sign_ins, 1);
}

#[tokio::test]
async fn what_azure_cannot_do_is_refused_without_a_call() {
    let fake = Fake::start(Azure::default()).await;
    let provider = with(&config(&fake), Some(ADMIN));
    let (slot, other) = (ProviderKeyId::new("key1"), ProviderKeyId::new("key3"));
    for refused in [
        provider.disable(&slot).await,
        provider.enable(&slot).await,
        provider.delete(&other).await,
        provider.mint("any", None).await.map(drop),
        provider.mint("any", Some(&other)).await.map(drop),
    ] {
        let error = refused.expect_err("refused");
        assert!(error.is_certain(), "{error}");
    }
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn a_lost_answer_may_have_replaced_a_key() {
    for (fault, is_certain, is_replaced) in [
        (Fault::Lost, false, true),
        (Fault::Half, false, true),
        (Fault::Page, false, true),
        (Fault::Status(500), false, false),
        (Fault::TooMany(3), true, false),
        (Fault::Status(403), true, false),
    ] {
        let fake = Fake::start(Azure::default()).await;
        let provider = with(&config(&fake), Some(ADMIN));
        provider.list().await.expect("a list");
        let before = fake.named("key1").value;
        fake.fail_next(REGENERATE, fault);
        let slot = ProviderKeyId::new("key1");
        let error = provider
            .mint("any", Some(&slot))
            .await
            .expect_err("a fault");
        assert_eq!(error.is_certain(), is_certain, "{fault:?}: {error}");
        assert_eq!(!fake.is_live(&before), is_replaced, "{fault:?}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_workload_identity_signs_in_with_the_token_in_its_file() {
    let fake = Fake::start(Azure::default()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    let config = AzureOpenAiConfig {
        token_file: Some(file.clone()),
        ..config(&fake)
    };
    let provider = with(&config, None);
    let error = provider.list().await.expect_err("there is no file");
    assert!(error.to_string().contains("token"), "{error}");
    std::fs::write(&file, format!("{WORKLOAD}\n")).expect("written");
    provider.list().await.expect("signed in");
}

#[tokio::test]
async fn a_credential_that_is_not_accepted_is_told_without_its_text() {
    let fake = Fake::start(Azure::default()).await;
    let wrong = with(&config(&fake), Some("wrong-canary-0123456789"));
    let no_tenant = AzureOpenAiConfig {
        tenant: None,
        token_file: Some(PathBuf::from("/nowhere")),
        ..config(&fake)
    };
    let bad_tenant = AzureOpenAiConfig {
        tenant: Some("../other".to_owned()),
        ..config(&fake)
    };
    for (provider, says) in [
        (wrong, "AADSTS7000215"),
        (with(&no_tenant, None), "AZURE_TENANT_ID"),
        (with(&bad_tenant, Some(ADMIN)), "`tenant`"),
    ] {
        let error = provider.list().await.expect_err(says);
        assert!(matches!(error, ProviderError::SignIn { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(says) && !text.contains("canary"), "{text}");
    }
}
