//! OpenAI.

use chrono::{DateTime, Utc};
use flashback_rotator::model::{LastUse, ProviderKeyId};
use flashback_rotator::provider::{Provider, ProviderError};
use flashback_rotator::secret::{Credentials, Secret};

use super::{admin, found, is_clean, listed, openai_at, value};
use crate::support::providers::openai::{ACCOUNT, OpenAi as Api, PROJECT};
use crate::support::providers::{Fake, Fault};
use crate::support::upstreams::upstream;

async fn fake() -> (Fake, impl Provider) {
    let fake = Fake::start(Api::default()).await;
    let provider = openai_at(&fake, admin(), upstream("provider:openai"));
    (fake, provider)
}

#[tokio::test]
async fn a_key_is_made_listed_and_deleted() {
    let (fake, provider) = fake().await;
    let other = fake.make("a person's", "sk-proj-canary-of-a-person-0001");
    let minted = provider
        .mint("rotator/openai-prod/1", None)
        .await
        .expect("made");
    let made = fake.named("rotator/openai-prod/1");
    assert_eq!(
        (minted.id.as_str(), value(&minted)),
        (&*made.id, &*made.value)
    );
    assert_eq!(minted.created_at, Some(made.created_at));
    assert!(fake.is_live(&made.value));

    let keys = listed(&provider).await;
    let names: Vec<_> = keys.iter().map(|key| key.name.as_deref()).collect();
    assert_eq!(names, [Some("a person's"), Some("rotator/openai-prod/1")]);
    assert!(
        keys.iter()
            .all(|key| key.active && key.last_use == LastUse::Never)
    );
    for key in [&other, &made] {
        let credentials = Credentials {
            key: None,
            secret: Secret::new(key.value.clone()),
        };
        let id = provider.find(&keys, &credentials).await.expect("an answer");
        assert_eq!(id, Some(ProviderKeyId::new(&key.id)));
    }

    provider.delete(&minted.id).await.expect("deleted");
    assert!(!fake.is_live(&made.value) && fake.is_live(&other.value));
    provider.delete(&minted.id).await.expect("deleted already");
    assert_eq!(listed(&provider).await.len(), 1);
    assert_eq!(
        fake.calls()[0],
        format!("POST /v1/organization/projects/{PROJECT}/service_accounts/{ACCOUNT}/api_keys")
    );
}

#[tokio::test]
async fn the_last_use_is_told_by_the_list_and_by_the_key() {
    let (fake, provider) = fake().await;
    let minted = provider.mint("one", None).await.expect("made");
    assert_eq!(provider.last_use(&minted.id).await, Ok(LastUse::Never));
    assert!(fake.use_key(value(&minted)));
    let used = provider.last_use(&minted.id).await;
    assert!(matches!(used, Ok(LastUse::At(_))), "{used:?}");
    let at: DateTime<Utc> = "2026-11-30T06:00:00Z".parse().expect("a time");
    fake.used_at(value(&minted), at);
    assert_eq!(provider.last_use(&minted.id).await, Ok(LastUse::At(at)));
    assert_eq!(found(&provider, &minted.id).await.last_use, LastUse::At(at));
}

#[tokio::test]
async fn every_page_of_a_list_is_read() {
    let (fake, provider) = fake().await;
    for number in 0..250 {
        fake.make(
            &format!("key {number}"),
            &format!("sk-proj-canary-{number:04}"),
        );
    }
    let keys = listed(&provider).await;
    let names: Vec<_> = keys.into_iter().filter_map(|key| key.name).collect();
    let expected: Vec<_> = (0..250).map(|number| format!("key {number}")).collect();
    assert_eq!(names, expected);
    assert_eq!(fake.calls().len(), 3);
    assert_eq!(
        provider.connect().await,
        Ok(format!("250 keys in the project {PROJECT}"))
    );

    fake.fail_next("GET", Fault::Status(500));
    assert!(provider.list().await.is_err(), "a part is not a list");
}

#[tokio::test]
async fn a_key_whose_value_was_lost_is_found_by_its_name() {
    let (fake, provider) = fake().await;
    for fault in [Fault::Lost, Fault::Page, Fault::Half] {
        let name = format!("{fault:?}");
        fake.fail_next("POST", fault);
        let provider = openai_at(&fake, admin(), upstream("provider:openai"));
        let error = provider.mint(&name, None).await.expect_err("no answer");
        assert!(!error.is_certain(), "{error:?}");
        is_clean(&format!("{error} {error:?}"));
        let keys = listed(&openai_at(&fake, admin(), upstream("provider:openai"))).await;
        assert!(
            keys.iter().any(|key| key.name.as_ref() == Some(&name)),
            "{name}"
        );
    }
    fake.fail_next("POST", Fault::TooMany(3));
    let error = provider.mint("refused", None).await.expect_err("refused");
    assert!(error.is_certain(), "{error:?}");
    assert!(fake.keys().iter().all(|key| key.name != "refused"));
}

#[tokio::test]
async fn a_list_may_lag_behind() {
    let (fake, provider) = fake().await;
    fake.lag(2);
    let minted = provider.mint("one", None).await.expect("made");
    assert_eq!(listed(&provider).await, []);
    assert_eq!(listed(&provider).await, []);
    found(&provider, &minted.id).await;
}

#[tokio::test]
async fn refusing_to_delete_a_service_accounts_key_is_an_error_that_says_what_to_do() {
    let fake = Fake::start(Api {
        keeps_keys_of_accounts: true,
    })
    .await;
    let provider = openai_at(&fake, admin(), upstream("provider:openai"));
    let minted = provider.mint("one", None).await.expect("made");
    let error = provider.delete(&minted.id).await.expect_err("refused");
    let text = error.to_string();
    assert!(
        matches!(&error, ProviderError::Refused { status, .. } if status == "400"),
        "{error:?}"
    );
    assert!(
        text.contains("in the console") && text.contains("service account"),
        "{text}"
    );
    assert!(fake.is_live(value(&minted)));
}

#[tokio::test]
async fn a_key_is_not_taken_for_deleted_where_the_project_is_not_found() {
    let fake = Fake::start(Api::default()).await;
    let config = flashback_rotator::provider::openai::OpenAiConfig {
        admin_key: super::reference(),
        project: "proj_of_another".to_owned(),
        service_account: ACCOUNT.to_owned(),
        base_url: format!("{}/v1", fake.url()),
    };
    let upstream = upstream("provider:openai");
    let provider = flashback_rotator::provider::openai::OpenAi::new(&config, admin(), upstream);
    let provider = provider.expect("a provider");
    let key = fake.make("one", "sk-svcacct-canary-0001");
    let error = provider.delete(&ProviderKeyId::new(&key.id)).await;
    assert!(
        matches!(error, Err(ProviderError::Refused { .. })),
        "{error:?}"
    );
    assert!(provider.connect().await.is_err());
}

#[tokio::test]
async fn what_no_path_can_hold_reaches_no_other_call() {
    let (fake, provider) = fake().await;
    for id in ["", ".", ".."] {
        let deleted = provider.delete(&ProviderKeyId::new(id)).await;
        assert!(deleted.is_err(), "{id:?}");
    }
    assert_eq!(fake.calls(), [""; 0]);
    let strange = ProviderKeyId::new("a/b?c#d é");
    provider.delete(&strange).await.expect("there is none");
    let path = format!("DELETE /v1/organization/projects/{PROJECT}/api_keys/a/b?c#d é");
    assert_eq!(fake.calls()[0], path);
}

#[tokio::test]
async fn a_key_cannot_be_disabled() {
    let (fake, provider) = fake().await;
    let minted = provider.mint("one", None).await.expect("made");
    assert!(!provider.abilities().disables);
    for result in [
        provider.disable(&minted.id).await,
        provider.enable(&minted.id).await,
    ] {
        assert!(matches!(result, Err(ProviderError::Refused { .. })));
    }
    assert!(fake.is_live(value(&minted)));
}
