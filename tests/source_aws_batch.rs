//! `look = "batch"`: twenty secrets a call, against both emulators.

use std::time::Duration;

use flashback_rotator::model::{Missing, Observation, Version};
use flashback_rotator::source::aws::{AwsConfig, AwsLook, AwsSource};
use flashback_rotator::source::{Reading, Source, SourceError};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::aws::{Aws, BOTH, Emulator, administrator};
use crate::support::upstreams::Bench;

fn batched() -> AwsConfig {
    AwsConfig {
        look: AwsLook::Batch,
        ..AwsConfig::default()
    }
}

fn source(aws: &Aws) -> (AwsSource, Bench) {
    let (bench, given) = (
        Bench::new("aws", Duration::from_secs(30)),
        Bench::new("aws", Duration::from_secs(30)),
    );
    let source = aws.source_over(given.upstream, batched(), administrator());
    let bench = Bench {
        metrics: given.metrics,
        ..bench
    };
    (source, bench)
}

/// How often an operation was called, by the upstream's own count.
fn calls(bench: &Bench, operation: &str) -> u64 {
    let text = bench.metrics.render();
    let of_it = format!("operation=\"{operation}\"");
    let counts = text.lines().filter_map(|line| {
        let (series, count) = line.rsplit_once(' ')?;
        let counted = series.starts_with("flashback_rotator_api_requests_total{");
        (counted && series.contains(&of_it)).then(|| count.parse::<f64>().expect("a number"))
    });
    counts.sum::<f64>() as u64
}

fn present(looked: &Result<Observation, SourceError>) -> &str {
    match looked {
        Ok(Observation::Present { version, .. }) => version.as_str(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn concurrent_checks_are_batched_by_twenty() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let (source, bench) = source(aws);
        let paths: Vec<String> = (0..45).map(|n| format!("batch/many/{n}")).collect();
        let mut ids = Vec::new();
        for path in &paths {
            ids.push(aws.create(path, &format!("sk-{path}")).await);
        }
        // One of them is read by two keys.
        let asked = paths.iter().chain([&paths[0]]);
        let looked = join_all(asked.map(|path| source.observe(path))).await;
        for (looked, id) in looked.iter().zip(ids.iter().chain([&ids[0]])) {
            assert_eq!(present(looked), id, "{emulator:?}");
        }
        assert_eq!(calls(&bench, "BatchGetSecretValue"), 3, "{emulator:?}");
        assert_eq!(calls(&bench, "DescribeSecret"), 0);
        // A version that was found so is the one that is read.
        let read = source.read(&paths[7], &Version::new(&ids[7])).await;
        assert!(matches!(read, Ok(Reading::Present { .. })), "{read:?}");
    }
}

#[tokio::test]
async fn a_batched_check_sees_the_same_versions_as_a_single_one() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let (together, _) = source(aws);
        let alone = aws.source(AwsConfig::default(), administrator());
        let name = |name: &str| format!("batch/same/{name}");
        for secret in ["plain", "rotated", "pending", "deleted", "gone"] {
            aws.create(&name(secret), "sk-one").await;
        }
        aws.create_binary(&name("binary"), b"\x00\x01").await;
        aws.put(&name("rotated"), "sk-two").await;
        aws.put_pending(&name("pending"), "sk-next").await;
        aws.delete(&name("deleted"), false).await;
        aws.delete(&name("gone"), true).await;
        let all = [
            "plain", "rotated", "pending", "binary", "deleted", "gone", "never",
        ];
        let paths = all.map(name);
        let looked = join_all(paths.iter().map(|path| together.observe(path))).await;
        for (path, looked) in paths.iter().zip(looked) {
            let expected = alone.observe(path).await.expect("looked");
            let looked = looked.unwrap_or_else(|error| panic!("{emulator:?} {path}: {error}"));
            let version = |seen: &Observation| match seen {
                Observation::Present { version, .. } => Ok(version.clone()),
                Observation::Missing(why) => Err(*why),
            };
            assert_eq!(version(&looked), version(&expected), "{emulator:?} {path}");
        }
        // By its ARN, and by the ARN without what AWS adds.
        let described = aws.client().describe_secret().secret_id(name("plain"));
        let arn = described.send().await.expect("there").arn.expect("an ARN");
        let by_arn = together.observe(&arn).await;
        assert_eq!(
            present(&by_arn),
            present(&together.observe(&name("plain")).await)
        );
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_the_others_waiting_for_nothing() {
    let aws = Aws::shared(Emulator::Ministack).await;
    let (source, _) = source(aws);
    let source = std::sync::Arc::new(source);
    for path in ["batch/left/a", "batch/left/b"] {
        aws.create(path, "sk").await;
    }
    for wait in [0, 50, 99, 100, 101, 105, 120] {
        let first = tokio::spawn({
            let source = std::sync::Arc::clone(&source);
            async move { source.observe("batch/left/a").await }
        });
        tokio::task::yield_now().await;
        let second = source.observe("batch/left/b");
        let give_up = async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            first.abort();
        };
        let (second, ()) = tokio::join!(second, give_up);
        present(&second);
    }
}

#[tokio::test]
async fn reports_the_action_that_the_policy_does_not_allow_for_batches() {
    let aws = Aws::start_strict(Emulator::Ministack).await;
    aws.create("prod/llm/openai", "sk-one").await;
    let all = |action: &str| {
        let statement = json!({"Effect": "Allow", "Action": action, "Resource": "*"});
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    };
    let policy = all("secretsmanager:GetSecretValue");
    let source = aws.source(batched(), aws.user("reader", &policy).await);
    let error = source.observe("prod/llm/openai").await.expect_err("denied");
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    let error = error.to_string();
    let said = "secretsmanager:BatchGetSecretValue is not allowed";
    assert!(
        error.contains(said) && error.contains("`look = \"batch\"`"),
        "{error}"
    );
}

/// An AWS that says what it is told to, for what no emulator does.
async fn stub(status: u16, body: serde_json::Value) -> (wiremock::MockServer, AwsSource) {
    use wiremock::matchers::{header, method};
    let server = wiremock::MockServer::start().await;
    let answer = wiremock::ResponseTemplate::new(status).set_body_json(body);
    wiremock::Mock::given(method("POST"))
        .and(header("x-amz-target", "secretsmanager.BatchGetSecretValue"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let source = crate::support::aws::source_at(&server.uri(), batched());
    (server, source)
}

#[tokio::test]
async fn each_secret_has_its_own_error() {
    let errors = [
        ("denied", "AccessDeniedException"),
        ("locked", "DecryptionFailure"),
        ("deleted", "InvalidRequestException"),
        ("none", "ResourceNotFoundException"),
        ("odd", "SomethingElse"),
    ];
    let errors =
        errors.map(|(id, code)| json!({"SecretId": id, "ErrorCode": code, "Message": "m"}));
    let empty = json!({
        "SecretId": "empty", "ErrorCode": "ResourceNotFoundException",
        "Message": "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
    });
    let value = json!({
        "ARN": "arn:aws:secretsmanager:us-east-1:1:secret:well-AbCdEf", "Name": "well",
        "VersionId": "11111111-2222-3333-4444-555555555555", "SecretString": "sk-canary",
        "VersionStages": ["AWSCURRENT"], "CreatedDate": 1_700_000_000.5,
    });
    let errors: Vec<_> = errors.into_iter().chain([empty]).collect();
    let (_server, source) = stub(200, json!({"SecretValues": [value], "Errors": errors})).await;
    let paths = [
        "well", "denied", "locked", "deleted", "none", "odd", "empty", "left out",
    ];
    let looked = join_all(paths.map(|path| source.observe(path))).await;
    assert!(!format!("{looked:?}").contains("canary"));
    let [well, denied, locked, deleted, none, odd, empty, left_out] = &looked[..] else {
        panic!("{looked:?}")
    };
    assert_eq!(present(well), "11111111-2222-3333-4444-555555555555");
    let error = |looked: &Result<Observation, SourceError>| match looked {
        Err(error) => error.to_string(),
        Ok(seen) => panic!("{seen:?}"),
    };
    assert!(error(denied).contains("secretsmanager:GetSecretValue on `denied` is not allowed"));
    assert!(error(locked).contains("`locked` cannot be decrypted"));
    assert_eq!(*deleted, Ok(Observation::Missing(Missing::Deleted)));
    assert_eq!(*none, Ok(Observation::Missing(Missing::NotFound)));
    assert_eq!(*empty, Ok(Observation::Missing(Missing::NoValueYet)));
    assert!(error(odd).contains("SomethingElse"));
    assert!(error(left_out).contains("said nothing of it"));
}

#[tokio::test]
async fn an_invalid_name_in_a_batch_affects_no_other_name() {
    use wiremock::matchers::{body_string_contains, method};
    let server = wiremock::MockServer::start().await;
    let refused = json!({"__type": "ValidationException", "message": "Invalid name."});
    let mount = |mock: wiremock::MockBuilder, status, body: serde_json::Value| {
        let answer = wiremock::ResponseTemplate::new(status).set_body_json(body);
        mock.respond_with(answer).mount(&server)
    };
    let odd = wiremock::Mock::given(method("POST")).and(body_string_contains("\"odd\""));
    mount(odd, 400, refused).await;
    let none =
        |id: &str| json!({"SecretId": id, "ErrorCode": "ResourceNotFoundException", "Message": ""});
    let names: Vec<String> = (0..19).map(|n| format!("n{n}")).collect();
    let errors: Vec<_> = names.iter().map(|name| none(name)).collect();
    let any = wiremock::Mock::given(method("POST"));
    mount(any, 200, json!({"SecretValues": [], "Errors": errors})).await;
    let source = crate::support::aws::source_at(&server.uri(), batched());
    let odd = String::from("odd");
    let looked = join_all(names.iter().chain([&odd]).map(|name| source.observe(name))).await;
    for looked in &looked[..19] {
        assert_eq!(*looked, Ok(Observation::Missing(Missing::NotFound)));
    }
    let error = looked[19].as_ref().expect_err("refused").to_string();
    assert!(
        error.contains("does not take `odd` for a secret's name"),
        "{error}"
    );
    let requests = server.received_requests().await.expect("recorded").len();
    assert!(requests <= 11, "{requests} calls to find it");
}
