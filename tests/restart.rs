//! Promises 8, 9 and 12: a restart pushes nothing, a kill loses and doubles nothing, a signal ends
//! it in order, and a second process on the same state is refused.

use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Fault, Operation, Options, Rule};
use rand::RngExt as _;

use crate::support::eventually;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox, writes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_pushed_again_because_of_a_restart() {
    let sandbox = sandbox(Options::default()).await;
    let config = format!("{QUICK}{}{}", file_key("a"), file_key("b"));
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    rotator.put("a", "sk-a");
    rotator.put("b", "sk-b");
    rotator.start();
    arrives(&sandbox, "a", "sk-a").await;
    arrives(&sandbox, "b", "sk-b").await;
    rotator
        .event("push_succeeded", |line| line["key"] == "a")
        .await;
    rotator
        .event("push_succeeded", |line| line["key"] == "b")
        .await;
    let before = writes(&sandbox);
    for ended_by in ["TERM", "INT", "KILL"] {
        if ended_by == "KILL" {
            rotator.kill();
        } else {
            rotator.signal(ended_by);
            assert!(rotator.ended().await.success(), "{ended_by}");
        }
        std::fs::remove_file(rotator.log_path()).expect("removed");
        rotator.start();
        rotator.ready().await;
    }
    assert_eq!(writes(&sandbox), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_push_loses_and_doubles_nothing() {
    // First pushes go through list and create; rotations through update; the last two rows through
    // a configuration that is gone and a creation that is refused.
    let points = [
        ("secret_read", None),
        ("list_answered", None),
        ("intent_recorded", None),
        ("answer_received", None),
        ("outcome_recorded", None),
        ("secret_read", Some("rotate")),
        ("intent_recorded", Some("rotate")),
        ("answer_received", Some("rotate")),
        ("outcome_recorded", Some("rotate")),
        ("version_noted", Some("note")),
        ("gone_forgotten", Some("remove")),
        ("list_answered", Some("remove")),
        ("refusal_recorded", Some("refuse")),
    ];
    for (point, first) in points {
        let what = format!("{point} {first:?}");
        let sandbox = sandbox(Options::default()).await;
        let quick = QUICK.replace("[retry]", "[retry]\nrefused = \"1s\"");
        let mut rotator = Rotator::new(&sandbox.url(), &format!("{quick}{}", file_key("a")));
        rotator.put("a", "sk-one");
        if let Some(first) = first {
            rotator.start();
            rotator.event("push_succeeded", |_| true).await;
            rotator.stop().await;
            match first {
                "note" => rotator.put("a", r#"{"same":"sk-one"}"#),
                "remove" => {
                    assert!(sandbox.remove(&sandbox.configurations()[0].ai_llm_id));
                    rotator.put("a", "sk-two");
                }
                "refuse" => {
                    sandbox.fail(Rule::status(400).on(Operation::Update));
                    rotator.put("a", "sk-two");
                }
                _ => rotator.put("a", "sk-two"),
            }
        }
        rotator.start_with(&[("FLASHBACK_ROTATOR_KILL_AT", point)]);
        let status = rotator.ended().await;
        assert!(!status.success(), "{what}: {status}");

        sandbox.heal();
        rotator.put("a", "sk-newest");
        rotator.start();
        arrives(&sandbox, "a", "sk-newest").await;
        assert_eq!(sandbox.configurations().len(), 1, "{what}");
        let before = writes(&sandbox);
        rotator.event("push_succeeded", |_| true).await;
        rotator.stop().await;
        rotator.start();
        rotator.ready().await;
        assert_eq!(
            writes(&sandbox),
            before,
            "{what}: pushed again after a restart"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_moments_while_keys_rotate() {
    let sandbox = sandbox(Options::default()).await;
    sandbox.change(|switches| switches.latency_ms = 20);
    sandbox.fail(Rule {
        share: 0.1,
        ..Rule::new(Fault::LoseAnswer)
    });
    let keys: Vec<String> = (0..8).map(|number| format!("k{number}")).collect();
    let tables: String = keys.iter().map(|key| file_key(key)).collect();
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{tables}"));
    for round in 0..25 {
        for key in &keys {
            rotator.put(key, &format!("{key}-{round}"));
        }
        rotator.start();
        let wait = rand::rng().random_range(20..1_500);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        rotator.kill();
    }
    sandbox.heal();
    for key in &keys {
        rotator.put(key, &format!("{key}-newest"));
    }
    rotator.start();
    for key in &keys {
        arrives(&sandbox, key, &format!("{key}-newest")).await;
    }
    assert_eq!(sandbox.configurations().len(), keys.len());
    rotator.ready().await;
    let rows = rotator.json(&["sync"]).await;
    for row in rows["keys"].as_array().expect("rows") {
        assert_eq!(row["action"], "none", "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_lets_the_push_in_flight_finish() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-one");
    sandbox.change(|switches| switches.latency_ms = 700);
    rotator.start();
    rotator.event("push_started", |_| true).await;
    assert!(rotator.stop().await.success());
    rotator.event("push_succeeded", |_| true).await;
    rotator.event("stopped", |_| true).await;
    let before = writes(&sandbox);
    sandbox.change(|switches| switches.latency_ms = 0);
    rotator.start();
    rotator.ready().await;
    assert_eq!(writes(&sandbox), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let sandbox = sandbox(Options::default()).await;
        let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
        rotator.put("a", "sk-one");
        sandbox.fail(Rule::new(Fault::Hang).on(Operation::Create));
        rotator.start();
        rotator.event("push_started", |_| true).await;
        rotator.signal(first);
        let stopping = rotator.event("stopping", |_| true).await;
        assert_eq!(stopping["signal"], format!("SIG{first}"));
        let says = stopping["message"].as_str().unwrap_or_default();
        assert!(says.contains("a second signal stops at once"), "{says}");
        assert!(rotator.exited().is_none(), "it waits for the push");
        rotator.signal(second);
        assert!(rotator.ended().await.success());
        assert!(rotator.log().contains("stopping at once"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_hangs_is_not_waited_for_to_its_end() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-one");
    sandbox.fail(Rule::new(Fault::Hang).on(Operation::Create));
    rotator.start_with(&[("FLASHBACK_ROTATOR_DRAIN_MS", "2000")]);
    rotator.event("push_started", |_| true).await;
    assert!(rotator.stop().await.success());
    let log = rotator.log();
    assert!(log.contains("did not finish in time"), "{log}");
    assert_eq!(rotator.count("push_retrying"), 0, "{log}");
    // The next start finds out what became of it.
    sandbox.heal();
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    assert_eq!(sandbox.configurations().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_state_is_refused() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    rotator.ready().await;
    let patience = ("FLASHBACK_ROTATOR_PREDECESSOR_MS".into(), "2000".into());
    rotator.environment.push(patience);
    let began = Instant::now();
    let output = rotator.command(&["run"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(began.elapsed() >= Duration::from_secs(2), "it has waited");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = error.lines().last().expect("words");
    assert!(
        last.starts_with("error: the state")
            && last.contains("in use")
            && last.contains(&rotator.pid().to_string()),
        "{error}"
    );
    rotator.kill();
    rotator.start();
    eventually("the lock of a killed process is free", || async {
        (rotator.count("started") == 2).then_some(())
    })
    .await;
}
