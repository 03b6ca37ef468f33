//! What alerts go by: sign-ins, looks that are due, the configuration, the process. Each measure is
//! read from the real binary's `/metrics` while what it measures changes.

use std::time::{Instant, UNIX_EPOCH};

use flashback_rotator::flashback::sandbox::{Options, Sandbox};
use serde_json::json;

use crate::support::configuration::{app_role, key, vault};
use crate::support::openbao::OpenBao;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::sandbox::{TOKEN, secret};
use crate::support::{LONG, eventually, get};

async fn metrics(rotator: &Rotator) -> String {
    let url = format!("{}/metrics", rotator.http().await);
    let answer = get(&url).await.expect("an answer");
    answer.text().await.expect("text")
}

/// The value of a series, named without the prefix.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let own = format!("flashback_rotator_{series} ");
    let other = format!("{series} ");
    let value = |line: &str| {
        let value = line.strip_prefix(&own).or(line.strip_prefix(&other))?;
        Some(value.parse().expect("a number"))
    };
    metrics.lines().find_map(value)
}

/// Waits until a series has this value.
async fn becomes(rotator: &Rotator, series: &str, wanted: f64) {
    eventually(&format!("{series} is {wanted}"), || async {
        (value(&metrics(rotator).await, series) == Some(wanted)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_are_measured_at_each_service() {
    let bao = OpenBao::shared().await;
    let role = json!({ "token_ttl": "1m" });
    let (role_id, secret_id) = bao.app_role("measured", role).await;
    let sandbox = sandbox(Options {
        token: Some(secret(TOKEN)),
        ..Options::default()
    })
    .await;
    let source = vault("vault", &bao.address, "", &app_role("measured", &role_id));
    let keys = key("v", "vault", "v") + &file_key("a");
    let rest = format!("{QUICK}{source}{keys}");
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    std::fs::write(rotator.path().join("secret-id"), "another").expect("written");
    rotator.put("a", "sk-a");
    rotator.start();
    for service in ["vault", "flashback"] {
        becomes(
            &rotator,
            &format!("signed_in{{service=\"{service}\"}}"),
            0.0,
        )
        .await;
    }
    std::fs::write(rotator.path().join("secret-id"), secret_id).expect("written");
    std::fs::write(rotator.path().join("token"), TOKEN).expect("written");
    for service in ["vault", "flashback"] {
        becomes(
            &rotator,
            &format!("signed_in{{service=\"{service}\"}}"),
            1.0,
        )
        .await;
    }
    let text = metrics(&rotator).await;
    for service in ["vault", "flashback"] {
        for outcome in ["failed", "succeeded"] {
            let series = format!("sign_ins_total{{service=\"{service}\",outcome=\"{outcome}\"}}");
            assert!(value(&text, &series) >= Some(1.0), "{series} in\n{text}");
        }
    }

    // A source that is taken out leaves nothing behind that could alert for ever.
    rotator.configure(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    eventually("nothing of the vault", || async {
        let text = metrics(&rotator).await;
        let series = [
            "signed_in{service=\"vault\"}",
            "source_up{source=\"vault\"}",
        ];
        series
            .iter()
            .all(|series| value(&text, series).is_none())
            .then_some(())
    })
    .await;
}

/// A token in a file is read again now and then. One that was away for a while and is the same again
/// needs no answer of Flashback's to be good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_comes_back_as_it_was_ends_the_failure() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-0");
    rotator.start();
    arrives(&sandbox, "a", "sk-0").await;
    becomes(&rotator, "signed_in{service=\"flashback\"}", 1.0).await;
    let token = std::fs::read(rotator.path().join("token")).expect("a token");
    std::fs::remove_file(rotator.path().join("token")).expect("removed");
    rotates_until(&rotator, &sandbox, 0.0).await;
    std::fs::write(rotator.path().join("token"), token).expect("written");
    rotates_until(&rotator, &sandbox, 1.0).await;
    assert_eq!(rotator.count("sign_in_failed"), 1);
    assert_eq!(rotator.count("signed_in"), 2);
}

/// Rotates, and so calls Flashback, until the sign-in to it is measured so.
async fn rotates_until(rotator: &Rotator, sandbox: &Sandbox, wanted: f64) {
    let series = "signed_in{service=\"flashback\"}";
    let started = Instant::now();
    for number in 1.. {
        let secret = format!("sk-{wanted}-{number}");
        rotator.put("a", &secret);
        arrives(sandbox, "a", &secret).await;
        let measured = value(&metrics(rotator).await, series);
        if measured == Some(wanted) {
            return;
        }
        let elapsed = started.elapsed();
        assert!(elapsed < LONG, "{series} stays {measured:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_of_keys_and_due_times_follow_the_configuration() {
    let sandbox = sandbox(Options::default()).await;
    let daily = "check = \"30 6 * * *\"\n";
    let keys = format!("{QUICK}{}{}{daily}", file_key("a"), file_key("b"));
    let mut rotator = Rotator::new(&sandbox.url(), &keys);
    rotator.put("a", "sk-a");
    rotator.put("b", "sk-b");
    rotator.start();
    rotator.ready().await;
    becomes(&rotator, "config_last_reload_successful", 1.0).await;
    let info = |key: &str, source: &str| {
        format!("key_info{{key=\"{key}\",source=\"{source}\",workspace_id=\"w\"}}")
    };
    becomes(&rotator, &info("a", "files"), 1.0).await;
    becomes(&rotator, "key_check_interval_seconds{key=\"a\"}", 1.0).await;
    becomes(&rotator, "key_check_interval_seconds{key=\"b\"}", 86_400.0).await;
    becomes(&rotator, "key_in_sync{key=\"b\"}", 1.0).await;
    becomes(&rotator, "key_held{key=\"b\"}", 0.0).await;
    let due = "key_next_check_timestamp_seconds{key=\"a\"}";
    let first = value(&metrics(&rotator).await, due).expect("a time");
    eventually("the next look is put off by each look", || async {
        let now = value(&metrics(&rotator).await, due).expect("a time");
        (now > first + 2.0).then_some(())
    })
    .await;

    // One key from elsewhere, the other gone.
    let more = "[sources.more]\ntype = \"file\"\ndir = \"{dir}/secrets\"\n";
    let moved = file_key("a").replace("\"files\"", "\"more\"");
    rotator.configure(&sandbox.url(), &format!("{QUICK}{more}{moved}"));
    becomes(&rotator, &info("a", "more"), 1.0).await;
    eventually("nothing of what was", || async {
        let text = metrics(&rotator).await;
        let gone = !text.contains("key=\"b\"") && value(&text, &info("a", "files")).is_none();
        gone.then_some(())
    })
    .await;

    rotator.configure(&sandbox.url(), "surprise = 1\n");
    becomes(&rotator, "config_last_reload_successful", 0.0).await;
    becomes(&rotator, "config_reloads_total{outcome=\"rejected\"}", 1.0).await;
    rotator.configure(&sandbox.url(), &keys);
    becomes(&rotator, "config_last_reload_successful", 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_measures_itself() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), QUICK);
    rotator.start();
    rotator.http().await;
    let text = metrics(&rotator).await;
    let process = |name: &str| value(&text, name).unwrap_or_else(|| panic!("no {name} in {text}"));
    let file = |name: &str| {
        let path = format!("/proc/{}/{name}", rotator.pid());
        std::fs::read_to_string(path).expect("the process runs")
    };
    let status = file("status");
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = kibibytes.and_then(|rest| rest.split_whitespace().next());
    let bytes = kibibytes.expect("a size").parse::<f64>().expect("a number") * 1024.0;
    let ratio = process("process_resident_memory_bytes") / bytes;
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
    let now = UNIX_EPOCH.elapsed().expect("a clock").as_secs_f64();
    let age = now - process("process_start_time_seconds");
    assert!((0.0..120.0).contains(&age), "{age}");
    assert!(process("process_cpu_seconds_total") > 0.0);
    assert!((3.0..1_000.0).contains(&process("process_open_fds")));
    assert!(process("process_max_fds") >= process("process_open_fds"));
}
