//! Older versions in AWS Secrets Manager, and the label that says which one is live: against two
//! emulators, with what the documentation's policies allow.

use aws_sdk_secretsmanager::config::Credentials;
use chrono::Utc;
use flashback_rotator::model::{Observation, Version};
use flashback_rotator::source::aws::{AwsConfig, AwsSource};
use flashback_rotator::source::{Exact, GoneVersion, Previous, Source, SourceError};
use serde_json::{Value, json};

use crate::support::aws::{Aws, BOTH, Emulator, REGION, administrator};
use crate::support::policies::policy;

const LIVE: &str = "FLASHBACK_LIVE";

fn source(aws: &Aws, credentials: Credentials) -> AwsSource {
    let source = aws.source(AwsConfig::default(), credentials);
    assert!(!source.acknowledges());
    source.acknowledging(true)
}

async fn version(source: &AwsSource, path: &str) -> Version {
    match source.observe(path).await.expect("looked") {
        Observation::Present { version, .. } => version,
        Observation::Missing(why) => panic!("{path} is missing: {why:?}"),
    }
}

async fn exact(source: &AwsSource, path: &str, version: &Version) -> Result<String, GoneVersion> {
    match source.read_exact(path, version).await.expect("an answer") {
        Exact::Present {
            document,
            written_at,
        } => {
            assert!(written_at.is_some());
            Ok(document.only_field().expect("a text").expose().to_owned())
        }
        Exact::Gone(why) => Err(why),
    }
}

async fn previous(source: &AwsSource, path: &str, version: &Version) -> Option<Version> {
    match source.previous(path, version).await.expect("an answer") {
        Previous::Version(version) => Some(version),
        Previous::Gone(why) => {
            assert_eq!(why, GoneVersion::NoSuchVersion);
            None
        }
    }
}

/// The versions that carry a label.
async fn labelled(aws: &Aws, credentials: Credentials, path: &str, label: &str) -> Vec<String> {
    let client = aws.client_as(credentials);
    let described = client.describe_secret().secret_id(path).send().await;
    let stages = described.expect("described").version_ids_to_stages;
    let mut found: Vec<_> = stages
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, stages)| stages.iter().any(|stage| stage == label))
        .map(|(id, _)| id)
        .collect();
    found.sort();
    found
}

async fn live(aws: &Aws, path: &str) -> Vec<String> {
    labelled(aws, administrator(), path, LIVE).await
}

#[tokio::test]
async fn the_version_before_is_the_one_labelled_so_and_any_kept_one_is_read() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let source = source(aws, administrator());
        let path = "versions/older";
        let first = Version::new(aws.create(path, "sk-1").await);
        assert_eq!(previous(&source, path, &first).await, None);
        let second = Version::new(aws.put(path, "sk-2").await);
        assert_eq!(version(&source, path).await, second);
        let before = previous(&source, path, &second).await;
        assert_eq!(before.as_ref(), Some(&first), "{emulator:?}");
        assert_eq!(exact(&source, path, &first).await, Ok("sk-1".to_owned()));
        assert_eq!(exact(&source, path, &second).await, Ok("sk-2".to_owned()));
        assert_eq!(
            previous(&source, path, &first).await,
            None,
            "nothing says so"
        );

        // Back to the first: what was current is before it now.
        aws.make_current(path, first.as_str(), second.as_str())
            .await;
        let before = previous(&source, path, &first).await;
        assert_eq!(before.as_ref(), Some(&second), "{emulator:?}");

        let unknown = Version::new("00000000-0000-4000-8000-000000000000");
        for version in [&unknown, &Version::numbered(3, "x")] {
            let found = exact(&source, path, version).await;
            assert_eq!(found, Err(GoneVersion::NoSuchVersion), "{emulator:?}");
        }
        aws.delete(path, false).await;
        let found = exact(&source, path, &first).await;
        assert_eq!(found, Err(GoneVersion::Deleted), "{emulator:?}");
        let found = source.previous(path, &first).await;
        assert_eq!(found, Ok(Previous::Gone(GoneVersion::Deleted)));
        let found = exact(&source, "versions/none", &first).await;
        assert_eq!(found, Err(GoneVersion::NoSuchVersion), "{emulator:?}");
    }
}

#[tokio::test]
async fn the_label_follows_the_live_version_and_no_rotation_is_seen_in_that() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let source = source(aws, administrator());
        assert!(source.acknowledges());
        let path = "versions/live";
        let first = Version::new(aws.create(path, "sk-1").await);
        for _ in 0..2 {
            let told = source.acknowledge(path, &first, Utc::now()).await;
            assert_eq!(told, Ok(()), "{emulator:?}");
            assert_eq!(live(aws, path).await, [first.as_str()]);
            assert_eq!(version(&source, path).await, first);
        }
        let second = Version::new(aws.put(path, "sk-2").await);
        let third = Version::new(aws.put(path, "sk-3").await);
        // moto forgets what other labels a version had that is current no longer.
        if emulator == Emulator::Ministack {
            assert_eq!(live(aws, path).await, [first.as_str()], "not yet");
            let kept = exact(&source, path, &first).await;
            assert_eq!(kept, Ok("sk-1".to_owned()), "the label keeps it");
        }
        let told = source.acknowledge(path, &third, Utc::now()).await;
        assert_eq!(told, Ok(()), "{emulator:?}");
        assert_eq!(live(aws, path).await, [third.as_str()]);
        assert_eq!(version(&source, path).await, third);
        assert_eq!(previous(&source, path, &third).await, Some(second.clone()));

        for _ in 0..2 {
            assert_eq!(source.withdraw(path).await, Ok(()), "{emulator:?}");
            assert!(live(aws, path).await.is_empty());
        }
        let unknown = Version::new("00000000-0000-4000-8000-000000000000");
        let told = source.acknowledge(path, &unknown, Utc::now()).await;
        assert!(told.is_err(), "{emulator:?}: {told:?}");
        assert!(live(aws, path).await.is_empty());

        aws.delete(path, false).await;
        let told = source.acknowledge(path, &third, Utc::now()).await;
        assert!(matches!(told, Err(SourceError::Invalid { .. })), "{told:?}");
        assert_eq!(source.withdraw(path).await, Ok(()), "{emulator:?}");
    }
}

#[tokio::test]
async fn a_label_that_is_moved_from_both_sides_ends_on_one_version() {
    let aws = Aws::shared(Emulator::Ministack).await;
    let (one, other) = (source(aws, administrator()), source(aws, administrator()));
    let path = "versions/raced";
    let first = Version::new(aws.create(path, "sk-1").await);
    let second = Version::new(aws.put(path, "sk-2").await);
    for _ in 0..10 {
        let (a, b) = tokio::join!(
            one.acknowledge(path, &first, Utc::now()),
            other.acknowledge(path, &second, Utc::now())
        );
        assert!(a.is_ok() || b.is_ok(), "{a:?} {b:?}");
        assert_eq!(live(aws, path).await.len(), 1);
    }
    assert_eq!(one.acknowledge(path, &first, Utc::now()).await, Ok(()));
    assert_eq!(live(aws, path).await, [first.as_str()]);
}

/// The documented policies in one. moto takes every call for one on `*`, and neither emulator knows
/// the condition on the label.
fn documented(emulator: Emulator, arn: &str, files: &[&str]) -> String {
    let mut statements = Vec::new();
    for file in files {
        let read: Value = serde_json::from_str(&policy(file)).expect("JSON");
        let mut statement = read["Statement"][0].clone();
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
            let label = json!({"StringEquals": {"secretsmanager:VersionStage": LIVE}});
            assert_eq!(condition, label, "no other label can be moved");
        }
        statements.push(statement);
    }
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

#[tokio::test]
async fn documented_policies_suffice_and_a_missing_acknowledge_is_reported() {
    for emulator in BOTH {
        let aws = Aws::start_strict(emulator).await;
        let path = "prod/llm/openai";
        let first = Version::new(aws.create(path, "sk-1").await);
        let second = Version::new(aws.put(path, "sk-2").await);
        let described = aws.client().describe_secret().secret_id(path).send().await;
        let arn = described.expect("there").arn.expect("an ARN");
        let both = ["aws.json", "aws-acknowledge.json"];
        let may = aws.user("may", &documented(emulator, &arn, &both)).await;
        let may_not = aws
            .user("may-not", &documented(emulator, &arn, &both[..1]))
            .await;
        aws.enforce_policies().await;

        let source_without = source(&aws, may_not);
        assert_eq!(
            previous(&source_without, path, &second).await,
            Some(first.clone())
        );
        assert_eq!(
            exact(&source_without, path, &first).await,
            Ok("sk-1".to_owned())
        );
        let error = source_without
            .acknowledge(path, &second, Utc::now())
            .await
            .expect_err("denied");
        assert!(matches!(error, SourceError::Denied { .. }), "{error}");
        let needs = "secretsmanager:UpdateSecretVersionStage on `prod/llm/openai`";
        assert!(error.to_string().contains(needs), "{error}");
        let held = labelled(&aws, may.clone(), path, LIVE).await;
        assert!(held.is_empty());

        let source_with = source(&aws, may.clone());
        let told = source_with.acknowledge(path, &second, Utc::now()).await;
        assert_eq!(told, Ok(()), "{emulator:?}");
        let held = labelled(&aws, may.clone(), path, LIVE).await;
        assert_eq!(held, [second.as_str()]);
        let error = source_without.withdraw(path).await.expect_err("denied");
        assert!(error.to_string().contains(needs), "{error}");
        assert_eq!(source_with.withdraw(path).await, Ok(()), "{emulator:?}");
        let held = labelled(&aws, may, path, LIVE).await;
        assert!(held.is_empty());
    }
}
