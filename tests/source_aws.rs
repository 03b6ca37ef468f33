//! The `aws-secrets-manager` source against two emulators of AWS.

use chrono::Utc;
use flashback_rotator::document::{FieldMap, Malformed};
use flashback_rotator::model::{Missing, Observation, Version};
use flashback_rotator::source::aws::{AwsConfig, AwsSource};
use flashback_rotator::source::{Reading, Source, SourceError};

use crate::support::aws::{Aws, BOTH, Emulator, administrator};

fn source(aws: &Aws) -> AwsSource {
    aws.source(AwsConfig::default(), administrator())
}

async fn version(source: &AwsSource, path: &str) -> String {
    match source.observe(path).await.expect("looked") {
        Observation::Present { version, .. } => version.as_str().to_owned(),
        Observation::Missing(why) => panic!("{path} is missing: {why:?}"),
    }
}

async fn secret(source: &AwsSource, path: &str, id: &str, field: Option<&str>) -> String {
    let asked = Version::new(id);
    let Reading::Present {
        version, document, ..
    } = source.read(path, &asked).await.expect("read")
    else {
        panic!("{path} is missing")
    };
    assert_eq!(version, asked);
    let fields = FieldMap {
        key: None,
        secret: field.map(str::to_owned),
    };
    let taken = document.credentials(&fields).expect("credentials");
    taken.credentials.secret.expose().to_owned()
}

async fn is_missing(source: &AwsSource, path: &str, id: &str, expected: Missing, what: &str) {
    let looked = source.observe(path).await;
    assert_eq!(looked, Ok(Observation::Missing(expected)), "look: {what}");
    let read = source.read(path, &Version::new(id)).await;
    assert!(
        matches!(&read, Ok(Reading::Missing(why)) if *why == expected),
        "read: {what}: {read:?}"
    );
}

#[tokio::test]
async fn the_current_label_is_followed_wherever_it_goes() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let source = source(aws);
        let path = "label/followed";
        let began = Utc::now() - chrono::TimeDelta::seconds(5);
        let one = aws.create(path, "sk-one").await;
        match source.observe(path).await.expect("looked") {
            Observation::Present {
                version,
                written_at,
            } => {
                assert_eq!(version.as_str(), one, "{emulator:?}");
                let at = written_at.expect("a time");
                assert!(at > began && at < Utc::now() + chrono::TimeDelta::seconds(5));
            }
            Observation::Missing(why) => panic!("{emulator:?}: {why:?}"),
        }
        let two = aws.put(path, "sk-two").await;
        assert_eq!(version(&source, path).await, two, "{emulator:?}");
        let pending = aws.put_pending(path, "sk-pending").await;
        assert_eq!(version(&source, path).await, two, "{emulator:?}: pending");
        aws.make_current(path, &one, &two).await;
        assert_eq!(version(&source, path).await, one, "{emulator:?}: back");
        aws.make_current(path, &pending, &one).await;
        assert_eq!(version(&source, path).await, pending, "{emulator:?}: on");
        for (id, expected) in [(&pending, "sk-pending"), (&one, "sk-one")] {
            assert_eq!(secret(&source, path, id, None).await, expected);
        }
    }
}

#[tokio::test]
async fn json_and_text_are_read_and_bytes_are_refused() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let source = source(aws);
        let json = r#"{"AccessKeyId":"AKIA","SecretAccessKey":"sk-json"}"#;
        let id = aws.create("kinds/json", json).await;
        let field = Some("SecretAccessKey");
        assert_eq!(secret(&source, "kinds/json", &id, field).await, "sk-json");
        let id = aws.create("kinds/text", "sk-text").await;
        assert_eq!(secret(&source, "kinds/text", &id, None).await, "sk-text");
        aws.create_binary("kinds/binary", b"canary").await;
        let id = version(&source, "kinds/binary").await;
        let refused = source.read("kinds/binary", &Version::new(id)).await;
        let refused = refused.expect_err("bytes");
        assert_eq!(refused, SourceError::Malformed(Malformed::Binary));
    }
}

#[tokio::test]
async fn distinguishes_absent_deleted_and_destroyed_secrets() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let source = source(aws);
        let name = format!("{emulator:?}");
        let path = "missing/secret";
        let nothing = "00000000-0000-4000-8000-000000000000";
        is_missing(&source, path, nothing, Missing::NotFound, &name).await;
        let id = aws.create(path, "value").await;
        aws.delete(path, false).await;
        is_missing(&source, path, &id, Missing::Deleted, &name).await;
        aws.restore(path).await;
        assert_eq!(version(&source, path).await, id, "{name}: restored");
        let read = source.read(path, &Version::new(nothing)).await;
        assert!(
            matches!(read, Ok(Reading::Missing(Missing::Destroyed))),
            "{name}: {read:?}"
        );
        aws.delete(path, true).await;
        is_missing(&source, path, &id, Missing::NotFound, &name).await;
        let again = aws.create(path, "value").await;
        assert_eq!(version(&source, path).await, again, "{name}: made again");
    }
}

/// moto makes no version for a secret without a value, and ministack one that cannot be read.
#[tokio::test]
async fn a_secret_without_a_value_is_not_there_yet() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let source = source(aws);
        let path = "missing/value";
        let made = aws.client().create_secret().name(path).send().await;
        made.expect("created without a value");
        let not_yet = match source.observe(path).await.expect("looked") {
            Observation::Missing(why) => why,
            Observation::Present { version, .. } => match source.read(path, &version).await {
                Ok(Reading::Missing(why)) => why,
                other => panic!("{emulator:?}: {other:?}"),
            },
        };
        assert_eq!(not_yet, Missing::NoValueYet, "{emulator:?}");
    }
}

#[tokio::test]
async fn an_arn_names_a_secret_too() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let source = source(aws);
        let id = aws.create("by/arn", "value").await;
        let secret = aws.client().describe_secret().secret_id("by/arn");
        let arn = secret.send().await.expect("there").arn.expect("an ARN");
        assert_eq!(version(&source, &arn).await, id, "{emulator:?}");
    }
}

/// The policy in the manual.
const LEAST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue"],"Resource":["arn:aws:secretsmanager:us-east-1:*:secret:allowed/*"]}]}"#;

#[tokio::test]
async fn the_least_policy_is_enough_and_less_is_denied() {
    for emulator in BOTH {
        let aws = Aws::start_strict(emulator).await;
        let id = aws.create("allowed/key", "sk-allowed").await;
        let other = aws.create("other/key", "sk-other").await;
        // moto takes every call for one on `*`.
        let by_resource = emulator == Emulator::Ministack;
        let policy = match by_resource {
            true => LEAST.to_owned(),
            false => LEAST.replace("arn:aws:secretsmanager:us-east-1:*:secret:allowed/*", "*"),
        };
        let least = aws.user("least", &policy).await;
        let blind = policy.replace(",\"secretsmanager:GetSecretValue\"", "");
        let blind = aws.user("blind", &blind).await;
        let none = aws.user("none", &policy.replace("Describe", "List")).await;
        aws.enforce_policies().await;
        let source_of = |credentials| aws.source(AwsConfig::default(), credentials);

        let (path, elsewhere) = ("allowed/key", "other/key");
        let least = source_of(least);
        assert_eq!(version(&least, path).await, id, "{emulator:?}");
        assert_eq!(secret(&least, path, &id, None).await, "sk-allowed");
        if by_resource {
            let read = least.read(elsewhere, &Version::new(&other)).await;
            is_denied(read.err(), "secretsmanager:GetSecretValue", elsewhere);
        }
        let blind = source_of(blind);
        assert_eq!(version(&blind, path).await, id, "{emulator:?}");
        let read = blind.read(path, &Version::new(&id)).await;
        is_denied(read.err(), "secretsmanager:GetSecretValue", path);
        let looked = source_of(none).observe(path).await;
        is_denied(looked.err(), "secretsmanager:DescribeSecret", path);
    }
}

fn is_denied(error: Option<SourceError>, permission: &str, path: &str) {
    let error = error.expect("denied");
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(permission) && text.contains(path), "{text}");
}
