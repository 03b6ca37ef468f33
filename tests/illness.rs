//! A service that answers, and does nothing for anybody: each call is answered with a 500.

use std::time::Instant;

use flashback_rotator::flashback::sandbox::{Operation, Options, Rule, Sandbox};
use serde_json::json;

use crate::support::configuration::{key, token_in, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::{eventually, get};

const KEYS: usize = 30;

/// An OpenBao that writes an audit log, with a secret for each key.
async fn audited() -> OpenBao {
    let bao = OpenBao::start_with(|directory| {
        let log = directory.join("audit.log");
        let options = format!("options = {{ file_path = \"{}\" }}", log.display());
        format!("audit \"file\" \"to-disk\" {{ {options} }}")
    })
    .await;
    for number in 0..KEYS {
        put(&bao, number, &format!("sk-{number}-1")).await;
    }
    bao
}

async fn put(bao: &OpenBao, number: usize, value: &str) {
    let path = format!("llm/k{number}");
    bao.put_kv2("secret", &path, json!({"api_key": value}))
        .await;
}

/// A rotator that takes its keys from there.
fn rotator(bao: &OpenBao, sandbox: &Sandbox, more: &str) -> Rotator {
    let vault = vault(
        "bao",
        &bao.address,
        "max_rps = 1000",
        &token_in("bao-token"),
    );
    let mut rest = format!("{QUICK}{vault}{more}");
    for number in 0..KEYS {
        let id = format!("k{number}");
        rest += &format!("{}name = \"{id}\"\n", key(&id, "bao", &format!("llm/{id}")));
    }
    let rotator = Rotator::new(&sandbox.url(), &rest);
    std::fs::write(rotator.path().join("bao-token"), ROOT).expect("written");
    rotator
}

async fn metrics(rotator: &Rotator) -> String {
    let url = format!("{}/metrics", rotator.http().await);
    let answer = get(url).await.expect("an answer");
    answer.text().await.expect("a text")
}

/// How many calls of a service ended with a status.
async fn calls(rotator: &Rotator, service: &str, status: &str) -> u64 {
    let labels = [
        format!("service=\"{service}\""),
        format!("status=\"{status}\""),
    ];
    let metrics = metrics(rotator).await;
    let of_it = metrics.lines().filter(|line| {
        line.starts_with("flashback_rotator_api_requests_total{")
            && labels.iter().all(|label| line.contains(label))
    });
    let number = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
    of_it.filter_map(number).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_does_nothing_for_anybody_is_away_and_comes_back() {
    let (bao, sandbox) = (audited().await, sandbox(Options::default()).await);
    let mut rotator = rotator(&bao, &sandbox, &file_key("beside"));
    rotator.put("beside", "sk-beside-0");
    rotator.start();
    for number in 0..KEYS {
        arrives(&sandbox, &format!("k{number}"), &format!("sk-{number}-1")).await;
    }
    rotator.ready().await;

    bao.fill_disk(true);
    let began = Instant::now();
    let of_bao = |line: &serde_json::Value| line["source"] == "bao";
    let outage = rotator.event("source_unavailable", of_bao).await;
    assert!(
        outage["error"]
            .as_str()
            .is_some_and(|error| error.contains("500")),
        "{outage}"
    );
    assert!(
        metrics(&rotator)
            .await
            .contains("source_up{source=\"bao\"} 0")
    );
    // Everything else goes on, and the ill one is left in peace.
    for round in 1..6 {
        rotator.put("beside", &format!("sk-beside-{round}"));
        arrives(&sandbox, "beside", &format!("sk-beside-{round}")).await;
    }
    eventually("it was asked again", || async {
        (calls(&rotator, "bao", "500").await > 8).then_some(())
    })
    .await;
    let (made, seconds) = (
        calls(&rotator, "bao", "500").await,
        began.elapsed().as_secs(),
    );
    assert!(made < 40 + 10 * seconds, "{made} calls in {seconds} s");
    assert_eq!(rotator.count("secret_missing"), 0, "nobody said so");
    let status = rotator.json(&["status"]).await;
    let rows = status["keys"].as_array().expect("rows");
    assert_eq!(rows.len(), KEYS + 1);
    assert!(rows.iter().all(|row| row["state"] != "missing"), "{status}");

    bao.fill_disk(false);
    rotator.event("source_recovered", of_bao).await;
    put(&bao, 7, "sk-7-2").await;
    arrives(&sandbox, "k7", "sk-7-2").await;
    assert_eq!(rotator.count("source_unavailable"), 1, "one outage");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotator_whose_only_source_does_nothing_is_not_ready() {
    let (bao, sandbox) = (audited().await, sandbox(Options::default()).await);
    bao.fill_disk(true);
    let mut rotator = rotator(&bao, &sandbox, "");
    rotator.start();
    let of_bao = |line: &serde_json::Value| line["source"] == "bao";
    rotator.event("source_unavailable", of_bao).await;
    let ready = format!("{}/readyz", rotator.http().await);
    eventually("only the source is missing", || async {
        let answer = get(&ready).await.ok()?;
        assert_eq!(answer.status().as_u16(), 503);
        let text = answer.text().await.ok()?;
        (text == "no source gives an answer that is of use\n").then_some(())
    })
    .await;
    assert_eq!(rotator.count("secret_missing"), 0, "nobody said so");
    bao.fill_disk(false);
    rotator.ready().await;
    arrives(&sandbox, "k29", "sk-29-1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flashback_that_takes_no_write_is_away_and_one_key_alone_is_not() {
    let sandbox = sandbox(Options::default()).await;
    let keys: Vec<String> = (0..8).map(|number| format!("k{number}")).collect();
    let config: String = keys.iter().map(|key| file_key(key)).collect();
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{config}"));
    for key in &keys {
        rotator.put(key, &format!("sk-{key}-1"));
    }
    rotator.start();
    for key in &keys {
        arrives(&sandbox, key, &format!("sk-{key}-1")).await;
    }
    let of_one = Rule {
        name: Some("k0".to_owned()),
        ..Rule::status(500).on(Operation::Update)
    };
    sandbox.fail(of_one);
    rotator.put("k0", "sk-k0-2");
    rotator
        .event("push_retrying", |line| line["attempt"] == 6)
        .await;
    rotator.put("k1", "sk-k1-2");
    arrives(&sandbox, "k1", "sk-k1-2").await;
    assert_eq!(rotator.count("source_unavailable"), 0, "that key's trouble");

    sandbox.fail(Rule::status(500));
    for key in &keys {
        rotator.put(key, &format!("sk-{key}-3"));
    }
    let of_flashback = |line: &serde_json::Value| line["source"] == "flashback";
    rotator.event("source_unavailable", of_flashback).await;
    assert!(metrics(&rotator).await.contains("flashback_up 0"));
    sandbox.heal();
    rotator.event("source_recovered", of_flashback).await;
    for key in &keys {
        arrives(&sandbox, key, &format!("sk-{key}-3")).await;
    }
}
