//! The policies `aws-iam-rotate.json` and `bedrock-rotate.json`: with them each call is allowed, and without one of
//! their actions the call that needs it is denied, in words that name it.

use flashback_rotator::model::ProviderKeyId;
use flashback_rotator::provider::{Provider, ProviderError};
use serde_json::{Value, json};

use super::aws::{access_keys, bedrock_keys};
use crate::support::aws::{Aws, Emulator};
use crate::support::iam::{EVERYTHING, Users};
use crate::support::policies::policy;

/// A moto that checks policies, and a user whose keys are to be rotated.
async fn strict(user: &str) -> (Aws, Users) {
    let aws = Aws::start_strict(Emulator::Moto).await;
    let owner = aws.user("owner", EVERYTHING).await;
    aws.enforce_policies().await;
    let users = Users::new(aws.url(), owner);
    users.create(user).await;
    users.create("rotator").await;
    (aws, users)
}

/// Returns the policy as moto takes it, without one of its actions. moto checks every call against `*`, and knows no
/// conditions.
fn on_everything(file: &str, user: &str, without: Option<&str>) -> String {
    let mut policy: Value = serde_json::from_str(&policy(file)).expect("JSON");
    for statement in policy["Statement"].as_array_mut().expect("statements") {
        let resource = format!("arn:aws:iam::123456789012:user/{user}");
        assert_eq!(statement["Resource"], resource);
        statement["Resource"] = json!("*");
        let actions = match statement["Action"].take() {
            Value::Array(actions) => actions,
            one => vec![one],
        };
        let actions = actions
            .into_iter()
            .filter(|action| action.as_str() != without);
        statement["Action"] = actions.collect();
    }
    let statements = policy["Statement"].as_array_mut().expect("statements");
    statements.retain(|statement| statement["Action"] != json!([]));
    policy.to_string()
}

/// Returns every action of a policy, without its prefix.
fn actions(file: &str) -> Vec<String> {
    let policy: Value = serde_json::from_str(&policy(file)).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let all = statements
        .iter()
        .flat_map(|statement| match &statement["Action"] {
            Value::Array(actions) => actions.clone(),
            one => vec![one.clone()],
        });
    let name = |action: Value| {
        let action = action.as_str().expect("a name");
        action.strip_prefix("iam:").expect("of IAM").to_owned()
    };
    all.map(name).collect()
}

/// Makes every call, each by a provider of its own, whose circuit no call before has opened. Returns the errors.
async fn every_call<P: Provider>(
    provider: impl Fn() -> P,
    some: &ProviderKeyId,
) -> Vec<ProviderError> {
    let made = provider().mint("one", None).await;
    let id = made.as_ref().map_or(some, |made| &made.id);
    let errors = [
        provider().connect().await.err(),
        provider().last_use(id).await.err(),
        provider().disable(id).await.err(),
        provider().enable(id).await.err(),
        provider().delete(id).await.err(),
        made.err(),
    ];
    errors.into_iter().flatten().collect()
}

#[tokio::test]
async fn the_policy_for_access_keys_is_all_it_takes_and_no_more() {
    const FILE: &str = "aws-iam-rotate.json";
    const USER: &str = "flashback-llm";
    let (aws, users) = strict(USER).await;
    let rotator = users.make_key("rotator").await;
    let key = users.make_key(USER).await;
    let key = ProviderKeyId::new(key.access_key_id());
    users
        .allow("rotator", &on_everything(FILE, USER, None))
        .await;
    let provider = || access_keys(aws.url(), USER, rotator.clone());
    assert_eq!(every_call(provider, &key).await, []);
    for action in actions(FILE) {
        let without = format!("iam:{action}");
        users
            .allow("rotator", &on_everything(FILE, USER, Some(&without)))
            .await;
        let errors = every_call(provider, &key).await;
        let expected = format!("access denied: {without} on the user `{USER}` is not allowed");
        assert!(!errors.is_empty(), "{action} is not needed");
        for error in errors {
            assert_eq!(error.to_string(), expected);
            assert!(error.is_certain());
        }
        for key in users.keys(USER).await.iter().skip(1) {
            users.delete_key(USER, &key.id).await;
        }
    }
}

/// moto checks the policy of calls that it cannot carry out, so whether one is denied can be seen.
#[tokio::test]
async fn the_policy_for_bedrock_keys_is_all_it_takes_and_no_more() {
    const FILE: &str = "bedrock-rotate.json";
    const USER: &str = "flashback-bedrock";
    let (aws, users) = strict(USER).await;
    let rotator = users.make_key("rotator").await;
    let key = ProviderKeyId::new("ACCAEXAMPLE123456789");
    let denied = async |without: Option<&str>| {
        users
            .allow("rotator", &on_everything(FILE, USER, without))
            .await;
        let provider = || bedrock_keys(aws.url(), USER, rotator.clone(), None);
        let errors = every_call(provider, &key).await;
        let denials = errors.into_iter().filter_map(|error| match error {
            ProviderError::Denied { what, .. } => Some(what),
            _ => None,
        });
        denials.collect::<Vec<_>>()
    };
    assert_eq!(denied(None).await, [""; 0]);
    for action in actions(FILE) {
        let action = format!("iam:{action}");
        let denials = denied(Some(&action)).await;
        assert!(!denials.is_empty(), "{action} is not needed");
        for denial in denials {
            let expected = format!("{action} on the user `{USER}` is not allowed");
            assert_eq!(denial, expected);
        }
    }
}
