//! Google.

use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::credential::{Plain, SharedCredential};
use flashback_rotator::model::{IssuedKey, LastUse, ProviderKeyId};
use flashback_rotator::provider::google::{Google, GoogleConfig};
use flashback_rotator::provider::{Provider, ProviderError};
use flashback_rotator::secret::{Credentials, Secret};

use crate::support::eventually;
use crate::support::providers::google::{Google as Api, METADATA, PROJECT};
use crate::support::providers::{Fake, Fault};
use crate::support::upstreams::upstream;

const NAME: &str = "rotator-0123abcd-gemini-1";

/// The calls with which keys are made begin so.
const KEYS: &str = "POST /v2/projects/my-project/locations/global/keys";

fn config(fake: &Fake) -> GoogleConfig {
    GoogleConfig {
        project: PROJECT.to_owned(),
        service: "generativelanguage.googleapis.com".to_owned(),
        service_account: None,
        admin_key: None,
        base_url: format!("{}/v2", fake.url()),
        login_url: None,
    }
}

fn plain(text: &str) -> Option<SharedCredential> {
    Some(Arc::new(Plain(text.to_owned())))
}

fn at(fake: &Fake) -> Google {
    let admin = plain(&fake.admin_key());
    Google::new(&config(fake), admin, upstream("provider:google")).expect("a provider")
}

async fn listed(provider: &Google, id: &ProviderKeyId) -> IssuedKey {
    let keys = provider.list().await.expect("a list");
    let key = keys.into_iter().find(|key| key.id == *id);
    key.expect("it is listed")
}

/// Waits until the list is to be had: after a fault its circuit is open for a moment.
async fn lists(provider: &Google) {
    eventually("the circuit closes", || async {
        match provider.list().await {
            Ok(_) => Some(()),
            Err(ProviderError::CircuitOpen { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
}

fn count(fake: &Fake, begins: &str) -> usize {
    let calls = fake.calls();
    calls.iter().filter(|call| call.starts_with(begins)).count()
}

fn is_clean(error: &ProviderError) {
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("canary") && !text.contains("BEGIN"),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_is_made_disabled_enabled_and_deleted() {
    let fake = Fake::start(Api::default()).await;
    let provider = at(&fake);
    let other = fake.make("a person's", "AIza-canary-of-a-person");
    let minted = provider.mint(NAME, None).await.expect("made");
    let made = fake.named(NAME);
    assert_eq!(minted.id.as_str(), NAME);
    assert!(minted.credentials.secret.is(&made.value));
    assert_eq!(minted.created_at, Some(made.created_at));
    let key = listed(&provider, &minted.id).await;
    assert_eq!(key.name.as_deref(), Some(NAME));
    assert!(key.active && key.last_use == LastUse::Unknown);
    let id = ProviderKeyId::new(&other.id);
    assert_eq!(
        listed(&provider, &id).await.name.as_deref(),
        Some("a person's")
    );

    for _ in 0..2 {
        provider.disable(&minted.id).await.expect("disabled");
        assert!(!listed(&provider, &minted.id).await.active);
        assert!(!fake.is_live(&made.value) && fake.is_live(&other.value));
    }
    for _ in 0..2 {
        provider.enable(&minted.id).await.expect("enabled");
        assert!(fake.is_live(&made.value));
    }
    for _ in 0..2 {
        provider.delete(&minted.id).await.expect("deleted");
        assert!(!fake.is_live(&made.value) && fake.is_live(&other.value));
    }
    let nowhere = ProviderKeyId::new("nowhere");
    provider.delete(&nowhere).await.expect("there is none");
    let error = provider.disable(&nowhere).await.expect_err("there is none");
    assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
    assert_eq!(count(&fake, "POST /token"), 1, "one sign-in for all calls");
}

#[tokio::test]
async fn keys_bound_to_a_service_account_are_found_by_their_value_as_others_are() {
    let fake = Fake::start(Api::default()).await;
    let config = GoogleConfig {
        service_account: Some("gemini@my-project.iam.gserviceaccount.com".to_owned()),
        ..config(&fake)
    };
    let admin = plain(&fake.admin_key());
    let provider = Google::new(&config, admin, upstream("provider:google")).expect("a provider");
    let minted = provider.mint(NAME, None).await.expect("made");
    assert!(fake.named(NAME).value.starts_with("AQ.Ab"));
    let other = fake.make("a person's", "AIza-canary-of-a-person");
    let keys = provider.list().await.expect("a list");
    for (value, expected) in [
        (fake.named(NAME).value, Some(minted.id.clone())),
        (other.value, Some(ProviderKeyId::new(&other.id))),
        ("AIza-canary-of-nobody".to_owned(), None),
    ] {
        let value = Credentials {
            key: None,
            secret: Secret::new(value),
        };
        assert_eq!(provider.find(&keys, &value).await, Ok(expected));
    }
}

#[tokio::test]
async fn every_page_of_a_list_is_read() {
    let fake = Fake::start(Api::default()).await;
    for number in 0..250 {
        fake.make(
            &format!("key {number}"),
            &format!("AIza-canary-{number:04}"),
        );
    }
    let provider = at(&fake);
    assert_eq!(provider.list().await.expect("a list").len(), 250);
    let said = provider.connect().await.expect("it works");
    assert_eq!(said, "250 keys in the project my-project");
}

#[tokio::test]
async fn a_key_whose_answer_was_lost_is_read_by_the_next_call_of_its_name() {
    let fake = Fake::start(Api::default()).await;
    let provider = at(&fake);
    fake.fail_next(KEYS, Fault::Lost);
    let error = provider.mint(NAME, None).await.expect_err("lost");
    assert!(!error.is_certain(), "{error}");
    lists(&provider).await;
    let minted = eventually("its operation is done", || async {
        provider.mint(NAME, None).await.ok()
    })
    .await;
    assert!(minted.credentials.secret.is(&fake.named(NAME).value));
    assert_eq!(fake.keys().len(), 1);

    provider.delete(&minted.id).await.expect("deleted");
    let error = provider.mint(NAME, None).await.expect_err("it was deleted");
    assert!(error.to_string().contains("deleted before"), "{error}");
}

#[tokio::test]
async fn no_error_after_a_key_was_made_says_that_it_was_not() {
    for (call, fault) in [
        ("GET /v2/operations/", Fault::Status(403)),
        ("GET /v2/operations/", Fault::TooMany(1)),
        ("GET /v2/operations/", Fault::Status(401)),
        ("GET /v2/projects/", Fault::Status(403)),
        ("GET /v2/projects/", Fault::Cut),
    ] {
        let fake = Fake::start(Api::default()).await;
        let provider = at(&fake);
        fake.fail_next(call, fault);
        let error = provider.mint(NAME, None).await.expect_err("a fault");
        assert!(!error.is_certain(), "{call} {fault:?}: {error}");
        assert_eq!(fake.keys().len(), 1);
    }
}

#[tokio::test]
async fn an_operation_that_fails_has_made_no_key() {
    for (code, is_certain) in [(7, true), (8, true), (9, true), (13, false)] {
        let fake = Fake::start(Api::failing(code)).await;
        let error = at(&fake).mint(NAME, None).await.expect_err("it fails");
        assert_eq!(error.is_certain(), is_certain, "{error}");
        assert!(error.to_string().contains("It did not work."), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_an_id_is_refused_before_any_call() {
    let fake = Fake::start(Api::default()).await;
    let provider = at(&fake);
    let long = "a".repeat(64);
    for name in ["", "1-a", "a-", "A", "a/b", "a_b", &*long] {
        let error = provider.mint(name, None).await.expect_err(name);
        assert!(error.is_certain(), "{error}");
    }
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn the_metadata_server_gives_the_token_where_there_is_no_key() {
    let fake = Fake::start(Api::default()).await;
    let config = GoogleConfig {
        login_url: Some(format!("{}{METADATA}", fake.url())),
        ..config(&fake)
    };
    let provider = Google::new(&config, None, upstream("provider:google")).expect("a provider");
    provider.mint(NAME, None).await.expect("made");
    assert_eq!(count(&fake, &format!("GET {METADATA}")), 1);
    fake.fail_next("GET /computeMetadata", Fault::Status(404));
    let provider = Google::new(&config, None, upstream("provider:google")).expect("a provider");
    let error = provider
        .list()
        .await
        .expect_err("there is no service account");
    assert!(matches!(error, ProviderError::SignIn { .. }), "{error}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_by_the_next_call() {
    let fake = Fake::start(Api::default()).await;
    let provider = at(&fake);
    provider.list().await.expect("a list");
    fake.fail_next("GET /v2", Fault::Status(401));
    let error = provider.list().await.expect_err("refused");
    assert!(matches!(error, ProviderError::SignIn { .. }), "{error}");
    lists(&provider).await;
    assert_eq!(count(&fake, "POST /token"), 2);
}

#[tokio::test]
async fn what_is_no_key_of_a_service_account_is_told_without_its_text() {
    let fake = Fake::start(Api::default()).await;
    let right = fake.admin_key();
    let other_key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let with = |name: &str, value: &str| {
        let mut key: serde_json::Value = serde_json::from_str(&right).expect("JSON");
        key[name] = value.into();
        key.to_string()
    };
    for (admin, says) in [
        ("AIza-canary".to_owned(), "not the JSON"),
        ("{\"type\": \"service_account\"}".to_owned(), "not the JSON"),
        (with("type", "authorized_user"), "`type`"),
        (with("private_key", "-----BEGIN canary"), "`private_key`"),
        (with("private_key", &other_key), "`private_key`"),
        (with("token_uri", "ftp://canary"), "`token_uri`"),
        (with("private_key_id", "another"), "invalid_grant"),
        (with("client_email", "a@example.com"), "invalid_grant"),
    ] {
        let provider = Google::new(&config(&fake), plain(&admin), upstream("provider:google"));
        let error = provider.expect("built").list().await.expect_err(says);
        assert!(matches!(error, ProviderError::SignIn { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        is_clean(&error);
    }
    assert_eq!(
        count(&fake, "GET"),
        0,
        "nothing is asked for without a token"
    );
}

#[tokio::test]
async fn faults_of_the_token_endpoint_and_of_the_api_are_told_apart() {
    for (call, fault, status) in [
        ("POST /token", Fault::TooMany(7), "429"),
        ("POST /token", Fault::Status(503), "503"),
        ("POST /token", Fault::Page, "200"),
        ("POST /token", Fault::Elsewhere, "307"),
        ("POST /token", Fault::Half, "200"),
        ("GET /v2", Fault::TooMany(7), "429"),
        ("GET /v2", Fault::Status(403), "403"),
        ("GET /v2", Fault::Page, "200"),
    ] {
        use flashback_rotator::upstream::Failure as _;
        let fake = Fake::start(Api::default()).await;
        fake.fail_next(call, fault);
        let error = at(&fake).list().await.expect_err("a fault");
        assert_eq!(error.status(), status, "{call} {fault:?}: {error}");
        is_clean(&error);
        if fault == Fault::TooMany(7) {
            let asked = error.class().retry_after();
            assert_eq!(asked, Some(Duration::from_secs(7)));
        }
    }
}
