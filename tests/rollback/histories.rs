//! What else may happen in the middle of a trial: to the store, the configuration, Flashback, or by
//! somebody's hand.

use super::*;

impl Scene {
    /// A bad second version is live and on trial, with time to do something about it.
    async fn in_trial(mount: &'static str, grace: &str) -> Self {
        Self::in_trial_with(mount, &format!("grace = \"{grace}\"")).await
    }

    async fn in_trial_with(mount: &'static str, verify: &str) -> Self {
        let mut scene = Self::set(mount, verify, "").await;
        scene.rotate("sk-good").await;
        scene.rotator.start();
        scene.stands("in_sync", "1", Some("flashback")).await;
        scene.refuse(&["sk-bad"]);
        scene.rotate("sk-bad").await;
        eventually("a question about the bad key", || async {
            (scene.holds("sk-bad") && scene.asked(Operation::Validate).len() >= 2).then_some(())
        })
        .await;
        scene
    }

    /// The good key is back in, and nobody can say whether it works: since the bad one was
    /// rejected, Flashback's validation fails.
    async fn going_back(mount: &'static str) -> Self {
        let scene = Self::in_trial(mount, "4s").await;
        eventually("a verdict on the bad key", || async {
            (scene.asked(Operation::Validate).len() >= 3).then_some(())
        })
        .await;
        scene
            .sandbox
            .fail(Rule::status(500).on(Operation::Validate));
        arrives(&scene.sandbox, "k", "sk-good").await;
        scene
    }

    fn writes_of(&self, key: &str) -> usize {
        let digest = sha256_hex(key);
        let journal = self.sandbox.journal().into_iter();
        journal
            .filter(|entry| entry.secret_sha256.as_deref() == Some(&digest))
            .count()
    }

    /// Writes the configuration with one text replaced.
    fn reconfigure(&self, from: &str, to: &str) {
        let config = std::fs::read_to_string(self.rotator.config()).expect("readable");
        assert!(config.contains(from), "{from}");
        self.rotator.write_config(&config.replace(from, to));
        self.rotator.signal("HUP");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restoring_the_old_value_in_the_source_ends_verification() {
    let scene = Scene::in_trial("history-store-back", "30s").await;
    // KV 2 makes a new version of the old value.
    scene.rotate("sk-good").await;
    scene.stands("in_sync", "3", Some("flashback")).await;
    assert!(scene.holds("sk-good"));
    scene.is_at_rest().await;
    for never in ["verification_failed", "rolled_back", "version_held"] {
        assert_eq!(scene.rotator.count(never), 0, "{never}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restoring_the_old_value_in_the_source_after_a_rollback_writes_nothing() {
    let scene = Scene::in_trial("history-store-follows", "1s").await;
    scene.stands("held", "1", Some("flashback")).await;
    let before = writes(&scene.sandbox);
    scene.rotate("sk-good").await;
    let row = scene.stands("in_sync", "3", Some("flashback")).await;
    assert_eq!(row["held_version"], Value::Null);
    scene.is_at_rest().await;
    assert_eq!(writes(&scene.sandbox), before);
    assert_eq!(scene.rotator.count("rolled_back"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_deleted_during_verification_is_still_rolled_back() {
    let scene = Scene::in_trial("history-deleted", "3s").await;
    let data = format!("{}/data/llm/k", scene.mount);
    scene.bao.ok("DELETE", &data, Value::Null).await;
    scene.rotator.event("rolled_back", |_| true).await;
    assert!(scene.holds("sk-good"));
    scene.is_at_rest_missing().await;
    // It comes back, and is as bad as it was.
    let undelete = format!("{}/undelete/llm/k", scene.mount);
    let body = json!({"versions": [2]});
    scene.bao.ok("PUT", &undelete, body).await;
    scene.stands("held", "1", Some("flashback")).await;
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 1);
    // All of it is deleted, and numbers begin again.
    let metadata = format!("{}/metadata/llm/k", scene.mount);
    scene.bao.ok("DELETE", &metadata, Value::Null).await;
    scene.rotate("sk-anew").await;
    scene.stands("in_sync", "1", Some("flashback")).await;
    assert!(scene.holds("sk-anew"));
    assert_eq!(scene.rotator.count("rolled_back"), 1);
}

impl Scene {
    /// Like [`is_at_rest`](Scene::is_at_rest), where the store has nothing.
    async fn is_at_rest_missing(&self) {
        let before = (writes(&self.sandbox), self.asked(Operation::Validate).len());
        let looks = || async {
            self.metric("checks_total{source=\"bao\",outcome=\"missing\"}")
                .await
        };
        let first = eventually("a look", looks).await;
        eventually("more looks", || async {
            looks().await.filter(|now| *now >= first + 3.0)
        })
        .await;
        let after = (writes(&self.sandbox), self.asked(Operation::Validate).len());
        assert_eq!(after, before, "{}", self.rotator.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_version_while_going_back_goes_through_if_it_works() {
    let scene = Scene::going_back("history-third-good").await;
    scene.rotate("sk-third").await;
    arrives(&scene.sandbox, "k", "sk-third").await;
    scene.sandbox.heal();
    let row = scene.stands("in_sync", "3", Some("flashback")).await;
    assert_eq!(row["held_version"], Value::Null);
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 1);
    assert_eq!(scene.rotator.count("rolled_back"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_version_while_going_back_goes_back_too_if_it_does_not() {
    let scene = Scene::going_back("history-third-bad").await;
    scene.refuse(&["sk-bad", "sk-worse"]);
    scene.rotate("sk-worse").await;
    arrives(&scene.sandbox, "k", "sk-worse").await;
    scene.sandbox.heal();
    let row = scene.stands("held", "1", Some("flashback")).await;
    assert_eq!(row["held_version"], "3");
    assert!(scene.holds("sk-good"));
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 1);
    assert_eq!(scene.writes_of("sk-worse"), 1);
    assert_eq!(scene.rotator.count("rolled_back"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_during_verification_only_delays_the_rollback() {
    let scene = Scene::in_trial("history-outage", "4s").await;
    eventually("a verdict on the bad key", || async {
        (scene.asked(Operation::Validate).len() >= 3).then_some(())
    })
    .await;
    scene.sandbox.fail(Rule::new(Fault::Close));
    // It was rejected, and nothing else was heard of it.
    eventually("tries to put the good one back", || async {
        (scene.writes_of("sk-good") >= 4).then_some(())
    })
    .await;
    let retrying = scene.rotator.event("push_retrying", |_| true).await;
    assert_eq!(retrying["version"], "1");
    scene.sandbox.heal();
    scene.stands("held", "1", Some("flashback")).await;
    assert!(scene.holds("sk-good"));
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 1);
    for once in ["verification_failed", "rolled_back"] {
        assert_eq!(scene.rotator.count(once), 1, "{once}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_back_that_flashback_does_not_take_is_tried_until_it_does() {
    let scene = Scene::in_trial("history-no-write", "3s").await;
    scene.sandbox.fail(Rule::status(503).on(Operation::Update));
    let good = || scene.writes_of("sk-good");
    eventually("tries to put it back", || async {
        (good() >= 4).then_some(())
    })
    .await;
    assert!(scene.holds("sk-bad"));
    scene.sandbox.heal();
    scene.stands("held", "1", Some("flashback")).await;
    assert!(scene.holds("sk-good"));
    for once in ["verification_failed", "rolled_back"] {
        assert_eq!(scene.rotator.count(once), 1, "{once}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_change_during_verification_restarts_it() {
    let scene = Scene::in_trial("history-endpoint", "4s").await;
    scene.reconfigure("https://llm.example.com/v1", "https://llm.example.com/v2");
    let changed = scene
        .rotator
        .event("push_started", |line| line["reason"] == "settings changed")
        .await;
    assert_eq!(changed["version"], "2");
    let row = scene.stands("held", "1", Some("flashback")).await;
    assert_eq!(row["held_version"], "2");
    assert!(scene.holds("sk-good"));
    let endpoint = scene.sandbox.configurations()[0].endpoint.clone();
    assert_eq!(endpoint, "https://llm.example.com/v2");
    scene.is_at_rest().await;
    assert_eq!(scene.rotator.count("rolled_back"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_change_during_verification_is_a_new_rotation() {
    let scene = Scene::in_trial("history-path", "3s").await;
    // It has a version 2 as well, with another value.
    for key in ["sk-elsewhere-1", "sk-elsewhere-2"] {
        let data = json!({ "key": key });
        scene.bao.put_kv2(scene.mount, "llm/elsewhere", data).await;
    }
    scene.reconfigure("\"llm/k\"", "\"llm/elsewhere\"");
    scene.stands("in_sync", "2", Some("flashback")).await;
    assert!(scene.holds("sk-elsewhere-2"));
    scene.is_at_rest().await;
    for never in ["verification_failed", "rolled_back", "version_held"] {
        assert_eq!(scene.rotator.count(never), 0, "{never}");
    }
    // And bad luck there: back to where the last good one came from.
    scene.refuse(&["sk-elsewhere-3"]);
    let data = json!({ "key": "sk-elsewhere-3" });
    scene.bao.put_kv2(scene.mount, "llm/elsewhere", data).await;
    scene.stands("held", "2", Some("flashback")).await;
    assert!(scene.holds("sk-elsewhere-2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_whose_first_value_is_bad_goes_back_to_the_other_path() {
    let mut scene = Scene::set("history-paths", "grace = \"1s\"", "").await;
    scene.rotate("sk-good").await;
    scene.rotator.start();
    scene.stands("in_sync", "1", Some("flashback")).await;
    scene.refuse(&["sk-bad"]);
    let data = json!({ "key": "sk-bad" });
    scene.bao.put_kv2(scene.mount, "llm/elsewhere", data).await;
    scene.reconfigure("\"llm/k\"", "\"llm/elsewhere\"");
    scene.rotator.event("rolled_back", |_| true).await;
    assert!(scene.holds("sk-good"));
    scene.stands("held", "1", Some("flashback")).await;
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_switched_off_ends_and_resumes_with_the_next_version() {
    let verify = "grace = \"30s\"\nafter = \"flashback\"";
    let scene = Scene::in_trial_with("history-off", verify).await;
    scene.reconfigure("after = \"flashback\"", "after = \"none\"");
    scene.rotator.event("config_reloaded", |_| true).await;
    scene.stands("in_sync", "2", None).await;
    scene.is_at_rest().await;
    assert!(scene.holds("sk-bad"));
    scene.reconfigure(
        "grace = \"30s\"\nafter = \"none\"",
        "grace = \"1s\"\nafter = \"flashback\"",
    );
    scene.refuse(&["sk-bad", "sk-worse"]);
    scene.rotate("sk-worse").await;
    // The second was never verified, and was live when nobody asked: what can be said against it?
    let row = scene.stands("failing", "3", None).await;
    assert!(row["error"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollback_by_hand_during_verification_does_not_wait_for_the_grace() {
    let scene = Scene::in_trial("history-hand", "30s").await;
    scene.rotator.json(&["rollback", "k"]).await;
    assert!(scene.holds("sk-good"));
    let row = scene.stands("held", "1", Some("flashback")).await;
    assert_eq!(row["held_reason"], "rolled back by hand");
    scene.is_at_rest().await;
    assert_eq!(scene.rotator.count("rolled_back"), 1);
    assert_eq!(scene.rotator.count("verification_failed"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_sync_during_rollback_verifies_the_same_version_again() {
    let scene = Scene::going_back("history-forced").await;
    scene.rotator.json(&["sync", "k", "--force"]).await;
    arrives(&scene.sandbox, "k", "sk-bad").await;
    scene.sandbox.heal();
    scene.stands("held", "1", Some("flashback")).await;
    assert!(scene.holds("sk-good"));
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_sync_during_verification_still_allows_rollback() {
    let scene = Scene::in_trial("history-forced-early", "3s").await;
    scene.rotator.json(&["sync", "k", "--force"]).await;
    scene.stands("held", "1", Some("flashback")).await;
    assert!(scene.holds("sk-good"));
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 2);
    assert_eq!(scene.rotator.count("rolled_back"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_is_deleted_while_going_back_comes_back_with_the_good_key() {
    let scene = Scene::in_trial("history-removed", "3s").await;
    scene.sandbox.fail(Rule::status(503).on(Operation::Update));
    scene.rotator.event("verification_failed", |_| true).await;
    let id = scene.sandbox.configurations()[0].ai_llm_id.clone();
    assert!(scene.sandbox.remove(&id));
    scene.sandbox.heal();
    scene.stands("held", "1", Some("flashback")).await;
    assert!(scene.holds("sk-good"));
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 1);
    assert_eq!(scene.rotator.count("config_missing"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_whose_answer_is_lost_is_retried_and_logged_once() {
    let scene = Scene::in_trial("history-lost", "3s").await;
    scene
        .sandbox
        .fail(Rule::new(Fault::LoseAnswer).on(Operation::Update).times(1));
    scene.stands("held", "1", Some("flashback")).await;
    assert!(scene.holds("sk-good"));
    scene.is_at_rest().await;
    // Its first one, the one whose answer was lost, and that one again.
    assert_eq!(scene.writes_of("sk-good"), 3);
    for once in ["verification_failed", "rolled_back"] {
        assert_eq!(scene.rotator.count(once), 1, "{once}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_endpoint_moves_the_good_key_and_releases_no_held_one() {
    let scene = Scene::in_trial("history-held-endpoint", "1s").await;
    scene.stands("held", "1", Some("flashback")).await;
    scene.reconfigure("https://llm.example.com/v1", "https://llm.example.com/v2");
    eventually("the new endpoint", || async {
        (scene.sandbox.configurations()[0].endpoint == "https://llm.example.com/v2").then_some(())
    })
    .await;
    let row = scene.stands("held", "1", Some("flashback")).await;
    assert_eq!(row["held_version"], "2");
    assert!(scene.holds("sk-good"));
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_back_that_flashback_refuses_is_tried_again_until_it_takes_it() {
    let mut scene = Scene::set("history-refused", "grace = \"2s\"", "").await;
    let config = std::fs::read_to_string(scene.rotator.config()).expect("readable");
    let config = config.replace("[retry]", "[retry]\nrefused = \"1s\"");
    scene.rotator.write_config(&config);
    scene.rotate("sk-good").await;
    scene.rotator.start();
    scene.stands("in_sync", "1", Some("flashback")).await;
    scene.refuse(&["sk-bad"]);
    scene.rotate("sk-bad").await;
    arrives(&scene.sandbox, "k", "sk-bad").await;
    scene.sandbox.fail(Rule::status(403).on(Operation::Update));
    eventually("tries to put the good one back", || async {
        (scene.writes_of("sk-good") >= 4).then_some(())
    })
    .await;
    assert!(scene.holds("sk-bad"));
    let left = |line: &Value| {
        let message = line["message"].as_str();
        message.is_some_and(|text| text.contains("it is left in place for now"))
    };
    let failed = scene.rotator.event("verification_failed", left).await;
    assert_eq!(failed["version"], "2");
    scene.sandbox.heal();
    let row = scene.stands("held", "1", Some("flashback")).await;
    assert_eq!(row["held_version"], "2");
    assert!(scene.holds("sk-good"));
    scene.is_at_rest().await;
    assert_eq!(scene.writes_of("sk-bad"), 1);
    assert_eq!(scene.rotator.count("rolled_back"), 1);
}
