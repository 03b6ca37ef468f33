//! The policies of `config/policies`, the very files: with them the real binary gets a rotation
//! through, and with anything less it says what is missing.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Credentials;
use flashback_rotator::flashback::sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::support::aws::{Aws, BOTH, Emulator, REGION};
use crate::support::configuration::{app_role, key, vault};
use crate::support::openbao::OpenBao;
use crate::support::policies::{policy, without};
use crate::support::rotator::{QUICK, Rotator, arrives, sandbox, writes};
use crate::support::{eventually, get};

const KEY: &str = "llm/openai";

/// A rotator in a role that has `policy` and no other, with the keys `openai` and `other`.
async fn in_vault(bao: &OpenBao, sandbox: &Sandbox, name: &str, policy: &str) -> Rotator {
    bao.write_policy(name, policy).await;
    let role = json!({
        "token_policies": name,
        "token_no_default_policy": true,
        "token_ttl": "3s",
    });
    let (role_id, secret_id) = bao.app_role(name, role).await;
    let source = vault("vault", &bao.address, "", &app_role(name, &role_id));
    let keys = two_keys(name, "vault", "llm");
    let rest = format!("{QUICK}{source}{keys}");
    let rotator = Rotator::new(&sandbox.url(), &rest);
    std::fs::write(rotator.path().join("secret-id"), secret_id).expect("written");
    rotator
}

/// The keys `openai` and `other`, named after the test.
fn two_keys(name: &str, source: &str, folder: &str) -> String {
    let table = |id: &str| {
        let key = key(id, source, &format!("{folder}/{id}"));
        format!("{key}name = \"{name} {id}\"\n")
    };
    table("openai") + &table("other")
}

async fn metric(rotator: &Rotator, text: &str) {
    let url = format!("{}/metrics", rotator.http().await);
    eventually(&format!("{text} in {url}"), || async {
        let metrics = get(&url).await.ok()?.text().await.ok()?;
        metrics.contains(text).then_some(())
    })
    .await;
}

/// Waits until the rotator has said that a key is denied; gives its words.
async fn denied(rotator: &Rotator, key: &str) -> String {
    let line = rotator
        .event("secret_unreadable", |line| line["key"] == key)
        .await;
    let error = line["error"].as_str().expect("an error").to_owned();
    assert!(error.starts_with("access denied: "), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vault_policy_is_all_it_takes() {
    let (bao, sandbox) = (OpenBao::start().await, sandbox(Options::default()).await);
    bao.put_kv2("secret", KEY, json!({"api_key": "sk-one"}))
        .await;
    bao.put_kv2("secret", "llm/other", json!({"api_key": "sk-other"}))
        .await;
    let mut rotator = in_vault(&bao, &sandbox, "least", &policy("vault.hcl")).await;
    rotator.start();
    arrives(&sandbox, "least openai", "sk-one").await;
    bao.put_kv2("secret", KEY, json!({"api_key": "sk-two"}))
        .await;
    arrives(&sandbox, "least openai", "sk-two").await;
    metric(&rotator, "operation=\"read_metadata\",status=\"ok\"").await;
    metric(&rotator, "operation=\"renew_self\",status=\"ok\"").await;

    let error = denied(&rotator, "other").await;
    for place in ["secret/metadata/llm/other", "secret/data/llm/other"] {
        assert!(error.contains(place), "{error}");
    }
    let check = rotator.command(&["check", "--connect"]).await;
    let told = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(1));
    assert!(told.contains("key other: access denied: "), "{told}");
    assert!(!told.contains("key openai"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_block_more_looks_at_a_folder_with_one_call() {
    let (bao, sandbox) = (OpenBao::start().await, sandbox(Options::default()).await);
    for path in [KEY, "llm/other"] {
        bao.put_kv2("secret", path, json!({"api_key": "sk-one"}))
            .await;
    }
    let policy = policy("vault.hcl").replace("llm/openai", "llm/*") + &policy("vault-list.hcl");
    bao.write_policy("list", &policy).await;
    let role = json!({"token_policies": "list", "token_no_default_policy": true});
    let (role_id, secret_id) = bao.app_role("list", role).await;
    let source = vault(
        "vault",
        &bao.address,
        "look = \"list\"\n",
        &app_role("list", &role_id),
    );
    let keys = two_keys("list", "vault", "llm");
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{source}{keys}"));
    std::fs::write(rotator.path().join("secret-id"), secret_id).expect("written");
    rotator.start();
    arrives(&sandbox, "list openai", "sk-one").await;
    metric(&rotator, "operation=\"list_details\",status=\"ok\"").await;
    bao.put_kv2("secret", KEY, json!({"api_key": "sk-two"}))
        .await;
    arrives(&sandbox, "list openai", "sk-two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_the_missing_capability_under_a_reduced_vault_policy() {
    let (bao, sandbox) = (OpenBao::start().await, sandbox(Options::default()).await);
    bao.put_kv2("secret", KEY, json!({"api_key": "sk-one"}))
        .await;
    let whole = policy("vault.hcl");

    let blind = without(&whole, "secret/metadata/");
    let mut rotator = in_vault(&bao, &sandbox, "no-metadata", &blind).await;
    rotator.start();
    arrives(&sandbox, "no-metadata openai", "sk-one").await;
    bao.put_kv2("secret", KEY, json!({"api_key": "sk-two"}))
        .await;
    arrives(&sandbox, "no-metadata openai", "sk-two").await;
    rotator.stop().await;

    let before = writes(&sandbox);
    let deaf = without(&whole, "secret/data/");
    let mut rotator = in_vault(&bao, &sandbox, "no-data", &deaf).await;
    rotator.start();
    let error = denied(&rotator, "openai").await;
    assert!(
        error.contains("`read` on `secret/data/llm/openai`"),
        "{error}"
    );
    assert_eq!(writes(&sandbox), before, "nothing to push");
}

/// The policy for where an emulator keeps the secret. moto takes every call for one on `*`.
fn aws_policy(emulator: Emulator, arn: &str, without: Option<&str>) -> String {
    let mut policy: Value = serde_json::from_str(&policy("aws.json")).expect("JSON");
    let statement = &mut policy["Statement"][0];
    let resource = statement["Resource"][0].as_str().expect("an ARN");
    let account = arn.split(':').nth(4).expect("an account");
    let resource = resource
        .replace("eu-west-1", REGION)
        .replace("123456789012", account);
    let (name, _) = arn.rsplit_once('-').expect("a suffix");
    assert_eq!(
        resource,
        format!("{name}-??????"),
        "the file's ARN, but for region and account"
    );
    statement["Resource"][0] = match emulator {
        Emulator::Moto => json!("*"),
        Emulator::Ministack => json!(resource),
    };
    let actions = statement["Action"].as_array_mut().expect("actions");
    actions.retain(|action| Some(action.as_str().expect("a name")) != without);
    policy.to_string()
}

async fn in_aws(aws: &Aws, sandbox: &Sandbox, name: &str, credentials: &Credentials) -> Rotator {
    let keys = two_keys(name, "aws", "prod/llm");
    let rest = format!(
        "{QUICK}[sources.aws]\ntype = \"aws-secrets-manager\"\nregion = \"{REGION}\"\n{keys}"
    );
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", credentials.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key()),
        ("AWS_ENDPOINT_URL", aws.url()),
    ] {
        rotator.environment.push((name.into(), value.into()));
    }
    rotator
}

async fn rotate(client: &Client, value: &str) {
    let put = client.put_secret_value().secret_id("prod/llm/openai");
    put.secret_string(value).send().await.expect("rotated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_policy_suffices_and_each_missing_action_is_reported() {
    for emulator in BOTH {
        let (aws, sandbox) = (
            Aws::start_strict(emulator).await,
            sandbox(Options::default()).await,
        );
        aws.create("prod/llm/openai", "sk-one").await;
        aws.create("prod/llm/other", "sk-other").await;
        let described = aws
            .client()
            .describe_secret()
            .secret_id("prod/llm/openai")
            .send()
            .await;
        let arn = described.expect("there").arn.expect("an ARN");
        let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        let owner = aws.user("owner", all).await;
        let least = aws.user("least", &aws_policy(emulator, &arn, None)).await;
        let mut lesser = Vec::new();
        for (name, action) in [("blind", "DescribeSecret"), ("deaf", "GetSecretValue")] {
            let action = format!("secretsmanager:{action}");
            let policy = aws_policy(emulator, &arn, Some(&action));
            lesser.push((name, action, aws.user(name, &policy).await));
        }
        aws.enforce_policies().await;

        let mut rotator = in_aws(&aws, &sandbox, "least", &least).await;
        rotator.start();
        arrives(&sandbox, "least openai", "sk-one").await;
        rotate(&aws.client_as(owner), "sk-two").await;
        arrives(&sandbox, "least openai", "sk-two").await;
        if emulator == Emulator::Ministack {
            let error = denied(&rotator, "other").await;
            assert!(error.contains("`prod/llm/other`"), "{error}");
        }
        rotator.stop().await;

        for (name, action, credentials) in lesser {
            let before = writes(&sandbox);
            let mut rotator = in_aws(&aws, &sandbox, name, &credentials).await;
            rotator.start();
            let error = denied(&rotator, "openai").await;
            let said = format!("{action} on `prod/llm/openai` is not allowed");
            assert!(error.contains(&said), "{emulator:?}: {error}");
            assert_eq!(writes(&sandbox), before, "nothing to push");
        }
    }
}

/// No emulator asks KMS before it gives a secret, so this much: IAM takes the document.
#[tokio::test]
async fn the_policy_for_a_customer_key_is_one() {
    let aws = Aws::start(Emulator::Moto).await;
    aws.user("kms", &policy("aws-customer-key.json")).await;
    let statement: Value =
        serde_json::from_str(&policy("aws-customer-key.json")).expect("it is JSON");
    assert_eq!(statement["Statement"][0]["Action"], "kms:Decrypt");
}
