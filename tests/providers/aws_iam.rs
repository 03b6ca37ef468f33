//! Access keys of IAM users, in moto.

use aws_sdk_iam::config::Credentials as Pair;
use chrono::{TimeDelta, Utc};
use flashback_rotator::model::{LastUse, ProviderKeyId};
use flashback_rotator::provider::{Provider, ProviderError};
use flashback_rotator::secret::{Credentials, Secret};

use super::aws::{access_keys, listed};
use crate::support::aws::{Aws, Emulator, administrator};
use crate::support::iam::{EVERYTHING, Users, pair_of};

const USER: &str = "flashback-llm";

/// A moto that checks signatures and has the user, and the pair of one who may do everything.
async fn strict() -> (Aws, Users, Pair) {
    let aws = Aws::start_strict(Emulator::Moto).await;
    let owner = aws.user("owner", EVERYTHING).await;
    aws.enforce_policies().await;
    let users = Users::new(aws.url(), owner.clone());
    users.create(USER).await;
    (aws, users, owner)
}

#[tokio::test]
async fn a_key_is_made_used_disabled_enabled_and_deleted() {
    let (aws, users, owner) = strict().await;
    let provider = access_keys(aws.url(), USER, owner);
    assert_eq!(listed(&provider).await, []);
    let minted = provider.mint("openai-prod-1", None).await.expect("made");
    let pair = pair_of(&minted.credentials);
    assert_eq!(minted.id.as_str(), pair.access_key_id());
    let age = Utc::now() - minted.created_at.expect("a time");
    assert!(age < TimeDelta::minutes(5), "{age}");

    let never = provider.last_use(&minted.id).await;
    assert_eq!(never, Ok(LastUse::Never));
    assert!(users.is_live(USER, &pair).await);
    let LastUse::At(used) = provider.last_use(&minted.id).await.expect("an answer") else {
        panic!("it was used");
    };
    assert!(Utc::now() - used < TimeDelta::minutes(5), "{used}");
    let last_used = users.keys(USER).await[0].last_used;
    assert_eq!(last_used.map(|at| at.timestamp()), Some(used.timestamp()));

    let id = minted.id.as_str().to_owned();
    for _ in 0..2 {
        provider.disable(&minted.id).await.expect("disabled");
        assert_eq!(listed(&provider).await, [(id.clone(), false)]);
        assert!(!users.is_live(USER, &pair).await);
    }
    for _ in 0..2 {
        provider.enable(&minted.id).await.expect("enabled");
        assert_eq!(listed(&provider).await, [(id.clone(), true)]);
        assert!(users.is_live(USER, &pair).await);
    }
    for _ in 0..2 {
        provider.delete(&minted.id).await.expect("deleted");
        assert_eq!(listed(&provider).await, []);
        assert!(!users.use_key(&pair).await);
    }
    provider.disable(&minted.id).await.expect("it is gone");
    for refused in [
        provider.enable(&minted.id).await.err(),
        provider.last_use(&minted.id).await.err(),
    ] {
        let refused = refused.expect("it is gone");
        assert!(
            matches!(refused, ProviderError::Refused { .. }),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_third_key_is_refused_for_the_limit() {
    let (aws, users, owner) = strict().await;
    let provider = access_keys(aws.url(), USER, owner);
    assert_eq!(provider.abilities().limit, Some(2));
    provider.mint("one", None).await.expect("made");
    let two = provider.mint("two", None).await.expect("made");
    provider.disable(&two.id).await.expect("disabled");
    let error = provider.mint("three", None).await.expect_err("the limit");
    assert!(
        matches!(&error, ProviderError::LimitReached { what } if what.contains(USER)),
        "{error:?}"
    );
    assert!(error.is_certain());
    assert_eq!(users.keys(USER).await.len(), 2);
    let line = provider.connect().await.expect("it may");
    assert_eq!(line, "2 of 2 access keys of the IAM user flashback-llm");
}

#[tokio::test]
async fn a_key_is_found_by_its_id() {
    let (aws, users, owner) = strict().await;
    let person = users.make_key(USER).await;
    let provider = access_keys(aws.url(), USER, owner);
    let minted = provider.mint("one", None).await.expect("made");
    let keys = provider.list().await.expect("a list");
    let found = provider.find(&keys, &minted.credentials).await;
    assert_eq!(found, Ok(Some(minted.id)));
    let value = |id: Option<&str>| Credentials {
        key: id.map(|id| Secret::new(id.to_owned())),
        secret: Secret::new("canary".to_owned()),
    };
    let found = provider
        .find(&keys, &value(Some(person.access_key_id())))
        .await;
    assert_eq!(found, Ok(Some(ProviderKeyId::new(person.access_key_id()))));
    for other in [value(Some("AKIAUNKNOWN")), value(None)] {
        assert_eq!(provider.find(&keys, &other).await, Ok(None));
    }
}

/// A key that is not found at a user that does not exist may be another user's, and live.
#[tokio::test]
async fn without_the_user_nothing_counts_as_deleted() {
    let aws = Aws::shared(Emulator::Moto).await;
    let users = Users::new(aws.url(), administrator());
    let named = "somebody-with-a-key";
    users.create(named).await;
    let pair = users.make_key(named).await;
    let id = ProviderKeyId::new(pair.access_key_id());
    let provider = access_keys(aws.url(), "nobody-here", administrator());
    for error in [
        provider.delete(&id).await.err(),
        provider.disable(&id).await.err(),
        provider.enable(&id).await.err(),
        provider.list().await.err(),
        provider.mint("one", None).await.err(),
        provider.connect().await.err(),
    ] {
        let error = error.expect("there is no such user");
        assert!(
            matches!(&error, ProviderError::Refused { what, .. } if what.contains("`nobody-here`")),
            "{error:?}"
        );
    }
    assert!(users.keys(named).await[0].active);
}
