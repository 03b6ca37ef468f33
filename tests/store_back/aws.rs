//! Writing into AWS Secrets Manager, against two emulators.
//!
//! Where they differ from AWS's documentation, a test says so.

use std::collections::BTreeMap;

use flashback_rotator::document::Malformed;
use flashback_rotator::source::aws::{AwsConfig, AwsSource};
use serde_json::{Value, json};

use super::cutting::Cutting;
use super::*;
use crate::support::aws::{Aws, BOTH, Emulator, REGION, administrator, source_at};
use crate::support::eventually;
use crate::support::policies::policy;

const OLD: &str =
    r#"{ "key": "sk-old", "big": 123456789012345678901234567890, "price": 1.10, "a": ["ü"] }"#;

fn source(aws: &Aws) -> AwsSource {
    aws.source(AwsConfig::default(), administrator())
}

/// The staging labels of each version that has any.
async fn labels(aws: &Aws, path: &str) -> BTreeMap<String, Vec<String>> {
    let asked = aws.client().describe_secret().secret_id(path).send();
    let described = Box::pin(asked).await;
    let stages = described.expect("described").version_ids_to_stages;
    let mut labels: BTreeMap<_, _> = stages.unwrap_or_default().into_iter().collect();
    labels.retain(|_, stages| !stages.is_empty());
    labels
}

/// The text of the current version. moto gives the version that was put last as current to a request for none, and goes by
/// no label: so the version is named.
async fn text(aws: &Aws, path: &str) -> String {
    let labels = labels(aws, path).await;
    let is_current = |stages: &[String]| stages.iter().any(|stage| stage == "AWSCURRENT");
    let mut current = labels.iter().filter(|(_, stages)| is_current(stages));
    let (id, _) = current.next().expect("a current version");
    let get = aws.client().get_secret_value().secret_id(path);
    let got = Box::pin(get.version_id(id).send()).await;
    got.expect("got").secret_string.expect("a text")
}

fn current_and_previous(current: &str, previous: &str) -> BTreeMap<String, Vec<String>> {
    let labelled = |id: &str, label: &str| (id.to_owned(), vec![label.to_owned()]);
    [
        labelled(current, "AWSCURRENT"),
        labelled(previous, "AWSPREVIOUS"),
    ]
    .into()
}

#[tokio::test]
async fn a_new_version_becomes_current_and_the_rest_of_the_text_stays() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let (source, path) = (source(aws), "store/fields");
        let first = Version::new(aws.create(path, OLD).await);
        assert_eq!(source.may_store(path).await, Ok(()));
        let second = stored(store(&source, path, Some(&first)).await);
        assert_eq!(second.as_str(), TOKEN);
        assert_eq!(version(&source, path).await, second, "{emulator:?}");
        assert_eq!(text(aws, path).await, OLD.replace("sk-old", NEW));
        let expected = current_and_previous(TOKEN, first.as_str());
        assert_eq!(labels(aws, path).await, expected, "{emulator:?}");
        // A repeated call finds what it has written.
        assert_eq!(stored(store(&source, path, Some(&first)).await), second);
        assert_eq!(labels(aws, path).await, expected, "{emulator:?}");
    }
}

#[tokio::test]
async fn a_plain_text_is_replaced_whole_and_a_binary_one_is_refused() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let source = source(aws);
        let none = FieldMap::default();
        let replacement = |expected| Replacement {
            expected,
            fields: &none,
            credentials: Box::leak(Box::new(credentials(NEW))),
            token: TOKEN,
        };
        let first = Version::new(aws.create("store/plain", "sk-old").await);
        stored(
            source
                .store("store/plain", &replacement(Some(&first)))
                .await,
        );
        assert_eq!(text(aws, "store/plain").await, NEW);
        aws.create_binary("store/binary", b"\0sk").await;
        let first = version(&source, "store/binary").await;
        let refused = source
            .store("store/binary", &replacement(Some(&first)))
            .await;
        assert_eq!(refused, Err(SourceError::Malformed(Malformed::Binary)));
    }
}

#[tokio::test]
async fn a_version_of_others_stays_current_and_nothing_is_left_pending() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let (source, path) = (source(aws), "store/conflict");
        let first = Version::new(aws.create(path, OLD).await);
        let theirs = aws.put(path, OLD).await;
        let conflict = Ok(StoreOutcome::Conflict);
        assert_eq!(store(&source, path, Some(&first)).await, conflict);
        assert_eq!(store(&source, path, None).await, conflict);
        let expected = current_and_previous(&theirs, first.as_str());
        assert_eq!(labels(aws, path).await, expected, "{emulator:?}");
        // A version that an earlier call had added, before the others came.
        let pending = aws.client().put_secret_value().secret_id(path);
        let pending = pending
            .client_request_token(TOKEN)
            .secret_string(NEW)
            .version_stages("FLASHBACK_PENDING");
        Box::pin(pending.send()).await.expect("added");
        assert_eq!(store(&source, path, Some(&first)).await, conflict);
        assert_eq!(labels(aws, path).await, expected, "{emulator:?}");
        assert_eq!(version(&source, path).await.as_str(), theirs);
    }
}

#[tokio::test]
async fn of_writers_at_the_same_time_one_makes_its_version_current() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let (source, path) = (source(aws), "store/race");
        let mut before = Version::new(aws.create(path, OLD).await);
        for round in 0..5 {
            let writers = (0..3).map(|writer| {
                let (source, before) = (&source, &before);
                async move {
                    let token = format!("0f6d3c52-6f1e-4d1c-9a55-0d1f{round:04}{writer:04}");
                    let value = format!("sk-{round}-{writer}");
                    store_as(source, path, Some(before), &value, &token).await
                }
            });
            let outcomes = futures_util::future::join_all(writers).await;
            let won: Vec<_> = outcomes
                .iter()
                .filter_map(|outcome| match outcome {
                    Ok(StoreOutcome::Stored(version)) => Some(version.clone()),
                    _ => None,
                })
                .collect();
            assert_eq!(won.len(), 1, "{emulator:?}: {outcomes:?}");
            let lost = outcomes
                .iter()
                .filter(|one| **one == Ok(StoreOutcome::Conflict));
            assert_eq!(lost.count(), 2, "{emulator:?}: {outcomes:?}");
            assert_eq!(version(&source, path).await, won[0]);
            before = won[0].clone();
        }
    }
}

/// ministack gives a secret without a value a version. AWS does not, and nor does moto
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>).
#[tokio::test]
async fn a_secret_without_a_value_gets_its_first() {
    let aws = Aws::shared(Emulator::Moto).await;
    let (source, path) = (source(aws), "store/first");
    let made = aws.client().create_secret().name(path).send();
    Box::pin(made).await.expect("created");
    let first = stored(store(&source, path, None).await);
    assert_eq!(version(&source, path).await, first);
    assert!(text(aws, path).await.contains(NEW));
    assert_eq!(stored(store(&source, path, None).await), first);
    assert_eq!(labels(aws, path).await.len(), 1);
    let error = store(&source, "store/none", None)
        .await
        .expect_err("refused");
    assert!(error.is_certain(), "{error:?}");
    let gone = store(&source, "store/none", Some(&first)).await;
    assert_eq!(gone, Ok(StoreOutcome::Conflict));
}

#[tokio::test]
async fn a_lost_answer_of_any_call_ends_in_one_new_version() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let root = source(aws);
        for (index, call) in ["PutSecretValue", "UpdateSecretVersionStage"]
            .into_iter()
            .enumerate()
        {
            let path = format!("store/lost/{index}");
            let first = Version::new(aws.create(&path, OLD).await);
            let cutting = Cutting::start(aws.url(), call, 1).await;
            let source = source_at(&cutting.url, AwsConfig::default());
            let outcome = eventually("an answer", || async {
                match store(&source, &path, Some(&first)).await {
                    Ok(outcome) => Some(outcome),
                    Err(error) => {
                        assert!(
                            !error.is_certain() || matches!(error, SourceError::CircuitOpen { .. }),
                            "{error:?}"
                        );
                        None
                    }
                }
            })
            .await;
            assert_eq!(cutting.left(), 0);
            assert_eq!(outcome, StoreOutcome::Stored(Version::new(TOKEN)));
            assert_eq!(version(&root, &path).await.as_str(), TOKEN);
            assert_eq!(text(aws, &path).await, OLD.replace("sk-old", NEW));
            let expected = current_and_previous(TOKEN, first.as_str());
            assert_eq!(labels(aws, &path).await, expected, "{emulator:?}");
        }
    }
}

/// The documented policies in one, without these actions. moto takes every call for one on `*`, and neither emulator
/// knows the condition on the label.
fn documented(emulator: Emulator, arn: &str, without: &str) -> String {
    let mut statements = Vec::new();
    for file in ["aws.json", "aws-rotate.json"] {
        let read: Value = serde_json::from_str(&policy(file)).expect("JSON");
        for statement in read["Statement"].as_array().expect("statements") {
            let mut statement = statement.clone();
            let account = arn.split(':').nth(4).expect("an account");
            let resource = statement["Resource"][0].as_str().expect("an ARN");
            let resource = resource
                .replace("eu-west-1", REGION)
                .replace("123456789012", account);
            statement["Resource"] = match emulator {
                Emulator::Moto => json!("*"),
                Emulator::Ministack => json!([resource]),
            };
            if let Some(condition) = statement.as_object_mut().expect("one").remove("Condition") {
                let labels = json!(["AWSCURRENT", "FLASHBACK_PENDING"]);
                let label = json!({"StringEquals": {"secretsmanager:VersionStage": labels}});
                assert_eq!(condition, label, "no other label can be moved");
            }
            if statement["Action"] != without {
                statements.push(statement);
            }
        }
    }
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

#[tokio::test]
async fn documented_policies_suffice_and_each_missing_action_is_told() {
    for emulator in BOTH {
        let aws = Aws::start_strict(emulator).await;
        let path = "prod/llm/openai";
        let first = Version::new(aws.create(path, OLD).await);
        let asked = aws.client().describe_secret().secret_id(path).send();
        let described = Box::pin(asked).await;
        let arn = described.expect("there").arn.expect("an ARN");
        let may = aws.user("may", &documented(emulator, &arn, "")).await;
        let mut lesser = Vec::new();
        for action in ["PutSecretValue", "UpdateSecretVersionStage"] {
            let action = format!("secretsmanager:{action}");
            let rules = documented(emulator, &arn, &action);
            lesser.push((aws.user(&action[15..], &rules).await, action));
        }
        aws.enforce_policies().await;
        for (user, action) in lesser {
            let source = aws.source(AwsConfig::default(), user);
            let error = store(&source, path, Some(&first))
                .await
                .expect_err("denied");
            assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
            let says = format!("{action} on `{path}` is not allowed");
            assert!(error.to_string().contains(&says), "{error}");
        }
        let source = aws.source(AwsConfig::default(), may);
        let second = stored(store(&source, path, Some(&first)).await);
        assert_eq!(version(&source, path).await, second, "{emulator:?}");
    }
}
