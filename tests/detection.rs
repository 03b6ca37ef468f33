//! Promise 1, end to end: a rotation in each kind of store is in Flashback a moment later, and
//! nothing is written while nothing changes.

use std::time::Duration;

use flashback_rotator::flashback::sandbox::Options;
use serde_json::json;

use crate::support::aws::{Aws, Emulator};
use crate::support::configuration::{self, TOKEN_IN_VARIABLE, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{QUICK, Rotator, arrives, sandbox, writes};
use crate::support::{eventually, get};

/// Waits until every key has been looked at `looks` times more.
async fn looks(rotator: &Rotator, looks: f64) {
    let url = format!("{}/metrics", rotator.http().await);
    let count = || async {
        let text = get(&url).await.ok()?.text().await.ok()?;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("flashback_rotator_checks_total"));
        Some(
            lines
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum::<f64>(),
        )
    };
    let before = eventually("metrics", count).await;
    eventually("more looks", || async {
        count().await.filter(|now| *now >= before + looks)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_in_vault_and_in_aws_is_in_flashback_a_moment_later() {
    let (bao, aws) = (OpenBao::shared().await, Aws::start(Emulator::Moto).await);
    bao.mount_kv("detection", 2).await;
    bao.put_kv2("detection", "llm/openai", json!({"api_key": "sk-v1"}))
        .await;
    aws.create("llm/claude", "sk-a1").await;
    let sandbox = sandbox(Options::default()).await;
    let rest = format!(
        r#"{QUICK}{}{}
[keys.openai]
ai_type = "OPENAI"
source = "vault"
path = "llm/openai"
fields = {{ secret = "api_key" }}
[keys.claude]
ai_type = "ANTHROPIC"
source = "aws"
path = "llm/claude"
"#,
        vault(
            "vault",
            &bao.address,
            "mount = \"detection\"",
            TOKEN_IN_VARIABLE
        ),
        configuration::aws("aws", aws.url())
    );
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.environment = [
        ("TEST_BAO_TOKEN", ROOT),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    rotator.start();
    arrives(&sandbox, "openai", "sk-v1").await;
    arrives(&sandbox, "claude", "sk-a1").await;

    for round in 2..5 {
        bao.put_kv2(
            "detection",
            "llm/openai",
            json!({"api_key": format!("sk-v{round}")}),
        )
        .await;
        aws.put("llm/claude", &format!("sk-a{round}")).await;
        arrives(&sandbox, "openai", &format!("sk-v{round}")).await;
        arrives(&sandbox, "claude", &format!("sk-a{round}")).await;
    }
    let before = writes(&sandbox);
    looks(&rotator, 6.0).await;
    assert!(rotator.stop().await.success());
    rotator.start();
    rotator.ready().await;
    looks(&rotator, 4.0).await;
    assert_eq!(writes(&sandbox), before);

    // A store that is set back to an earlier version is followed, and a deleted one is not.
    bao.ok("DELETE", "detection/data/llm/openai", json!(null))
        .await;
    rotator
        .event("secret_missing", |line| line["key"] == "openai")
        .await;
    bao.ok(
        "POST",
        "detection/undelete/llm/openai",
        json!({"versions": [4]}),
    )
    .await;
    looks(&rotator, 4.0).await;
    assert_eq!(writes(&sandbox), before);
    bao.ok("DELETE", "detection/metadata/llm/openai", json!(null))
        .await;
    bao.put_kv2("detection", "llm/openai", json!({"api_key": "sk-again"}))
        .await;
    arrives(&sandbox, "openai", "sk-again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cron_line_wakes_its_keys() {
    let sandbox = sandbox(Options::default()).await;
    let key = crate::support::rotator::file_key("a");
    let rest = format!("[schedule]\ncheck = \"* * * * * *\"\ntimezone = \"Asia/Kolkata\"\n{key}");
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("a", "sk-one");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    rotator.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
    tokio::time::timeout(Duration::from_secs(60), looks(&rotator, 3.0))
        .await
        .expect("it goes on");
}
