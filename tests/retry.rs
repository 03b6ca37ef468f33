//! Promise 5: every fault of Flashback is survived, with the newest key delivered; a refusal is
//! not hammered; an outage holds back the target once and not key by key.

use flashback_rotator::flashback::sandbox::{Fault, Operation, Options, Rule};

use crate::support::eventually;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox, writes};

fn rule(fault: Fault) -> Rule {
    Rule::new(fault).on(Operation::Update)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_survived_and_the_newest_key_delivered() {
    let slow_down = Rule {
        retry_after: Some("1".into()),
        ..Rule::status(429)
    };
    let faults = [
        ("503", Rule::status(503)),
        ("500", Rule::status(500)),
        ("408", Rule::status(408)),
        ("425", Rule::status(425)),
        ("429", slow_down),
        ("closed", rule(Fault::Close)),
        ("lost", rule(Fault::LoseAnswer)),
        ("html", rule(Fault::Html)),
        ("false", rule(Fault::Unsuccessful)),
    ];
    for (name, rule) in faults {
        let sandbox = sandbox(Options::default()).await;
        let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
        rotator.put("a", "sk-one");
        rotator.start();
        arrives(&sandbox, "a", "sk-one").await;

        let before = writes(&sandbox);
        sandbox.fail(rule.on(Operation::Update));
        rotator.put("a", "sk-two");
        eventually(&format!("{name}: two tries"), || async {
            (writes(&sandbox) >= before + 2).then_some(())
        })
        .await;
        rotator.put("a", "sk-three");
        sandbox.heal();
        arrives(&sandbox, "a", "sk-three").await;
        assert_eq!(sandbox.configurations().len(), 1, "{name}");
        rotator.event("push_retrying", |_| true).await;
        rotator
            .event("push_succeeded", |line| line["attempt"].as_u64() > Some(1))
            .await;
        assert!(rotator.stop().await.success(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_not_hammered() {
    let sandbox = sandbox(Options::default()).await;
    let config = format!("{QUICK}{}{}", file_key("a"), file_key("b"));
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    sandbox.fail(Rule {
        name: Some("a".into()),
        ..Rule::status(400)
    });
    rotator.put("a", "sk-one");
    rotator.put("b", "sk-b-0");
    rotator.start();
    rotator
        .event("push_failed", |line| line["key"] == "a")
        .await;
    arrives(&sandbox, "b", "sk-b-0").await;

    // Three rotations of the neighbour are three looks at the refused key, and no write of it.
    let of_a = || {
        sandbox
            .journal()
            .iter()
            .filter(|e| e.name.as_deref() == Some("a"))
            .count()
    };
    let before = of_a();
    for round in 1..=3 {
        rotator.put("b", &format!("sk-b-{round}"));
        arrives(&sandbox, "b", &format!("sk-b-{round}")).await;
    }
    assert_eq!(of_a(), before);
    assert_eq!(rotator.count("push_failed"), 1);

    // `--force` tries at once, and so does another version.
    let output = rotator.command(&["sync", "a", "--force"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(of_a() > before);
    sandbox.heal();
    rotator.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_is_tried_again_after_its_time() {
    let sandbox = sandbox(Options::default()).await;
    let quick = QUICK.replace("[retry]", "[retry]\nrefused = \"2s\"");
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{quick}{}", file_key("a")));
    sandbox.fail(Rule::status(403).on(Operation::Create));
    rotator.put("a", "sk-one");
    rotator.start();
    rotator.event("push_failed", |_| true).await;
    sandbox.heal();
    arrives(&sandbox, "a", "sk-one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_holds_back_the_target_and_is_said_once() {
    let sandbox = sandbox(Options::default()).await;
    let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    let tables: String = keys.iter().map(|key| file_key(key)).collect();
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{tables}"));
    for key in &keys {
        rotator.put(key, &format!("{key}-one"));
    }
    rotator.start();
    for key in &keys {
        arrives(&sandbox, key, &format!("{key}-one")).await;
    }
    let before = writes(&sandbox);
    sandbox.fail(Rule::status(503));
    for key in &keys {
        rotator.put(key, &format!("{key}-two"));
    }
    eventually("the target is probed", || async {
        (writes(&sandbox) > before + 3).then_some(())
    })
    .await;
    for key in &keys {
        rotator.put(key, &format!("{key}-three"));
    }
    sandbox.heal();
    for key in &keys {
        arrives(&sandbox, key, &format!("{key}-three")).await;
    }
    rotator
        .event("source_recovered", |line| line["source"] == "flashback")
        .await;
    assert_eq!(rotator.count("source_unavailable"), 1);
    assert_eq!(rotator.count("source_recovered"), 1);
    assert_eq!(sandbox.configurations().len(), 20);
}

/// `refused` is a quarter of an hour: what comes sooner comes of this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_is_tried_at_once_after_a_start_and_a_reload() {
    for is_reload in [false, true] {
        let sandbox = sandbox(Options::default()).await;
        let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
        rotator.put("a", "sk-one");
        rotator.start();
        arrives(&sandbox, "a", "sk-one").await;
        sandbox.fail(Rule::status(403).on(Operation::Update));
        rotator.put("a", "sk-two");
        rotator.event("push_failed", |_| true).await;
        sandbox.heal();
        if is_reload {
            rotator.signal("HUP");
        } else {
            assert!(rotator.stop().await.success());
            rotator.start();
        }
        arrives(&sandbox, "a", "sk-two").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_over_and_over_does_not_hammer_a_refusal() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    sandbox.fail(Rule::status(403).on(Operation::Create));
    rotator.put("a", "sk-one");
    rotator.start();
    rotator.event("push_failed", |_| true).await;
    // The refusal is in the state: the check has ended.
    rotator.ready().await;
    let before = writes(&sandbox);
    for _ in 0..5 {
        rotator.kill();
        rotator.start();
        rotator.ready().await;
    }
    assert_eq!(writes(&sandbox), before + 1, "{}", rotator.log());
    assert_eq!(rotator.count("push_failed"), 2);
}
