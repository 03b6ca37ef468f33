//! Never a working key replaced by a broken one: the real binary between a real store with versions
//! and a Flashback that knows which keys work.

#[path = "rollback/acknowledge.rs"]
mod acknowledge;
#[path = "rollback/by_hand.rs"]
mod by_hand;
#[path = "rollback/crash.rs"]
mod crash;
#[path = "rollback/drift.rs"]
mod drift;
#[path = "rollback/histories.rs"]
mod histories;
#[path = "rollback/provider.rs"]
mod provider;

use std::time::Duration;

use flashback_rotator::flashback::sandbox::{
    Entry, Fault, Operation, Options, Rule, Sandbox, sha256_hex,
};
use serde_json::{Value, json};

use crate::support::configuration::{TOKEN_IN_VARIABLE, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{QUICK, Rotator, arrives, sandbox, writes};
use crate::support::{eventually, get};

const GRACE: Duration = Duration::from_secs(1);

/// A rotator between a mount of its own in OpenBao and a sandbox.
struct Scene {
    bao: &'static OpenBao,
    mount: &'static str,
    sandbox: Sandbox,
    rotator: Rotator,
}

impl Scene {
    /// With the key `k` at `llm/k`, and `rest` after it. Nothing is started yet.
    async fn set(mount: &'static str, verify: &str, rest: &str) -> Self {
        let bao = OpenBao::shared().await;
        bao.mount_kv(mount, 2).await;
        let sandbox = sandbox(Options::default()).await;
        let acknowledge = match rest.contains("# acknowledged") {
            true => "acknowledge = true",
            false => "",
        };
        let settings = format!("mount = \"{mount}\"\n{acknowledge}");
        let source = vault("bao", &bao.address, &settings, TOKEN_IN_VARIABLE);
        let mut config = format!(
            r#"{QUICK}
[verify]
{verify}
{source}
[keys.k]
ai_type = "OTHER"
endpoint = "https://llm.example.com/v1"
source = "bao"
path = "llm/k"
fields = {{ secret = "key" }}
{rest}"#
        );
        if !verify.contains("settle") {
            config = config.replacen("[verify]", "[verify]\nsettle = \"0s\"", 1);
        }
        let mut rotator = Rotator::new(&sandbox.url(), &config);
        let token = ("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned());
        rotator.environment.push(token);
        Self {
            bao,
            mount,
            sandbox,
            rotator,
        }
    }

    /// The usual one, with the first version live and verified.
    async fn with_a_good_key(mount: &'static str) -> Self {
        let mut scene = Self::set(mount, "grace = \"1s\"", "").await;
        scene.rotate("sk-good").await;
        scene.rotator.start();
        scene.stands("in_sync", "1", Some("flashback")).await;
        scene
    }

    /// Puts a new version into the store.
    async fn rotate(&self, key: &str) -> u64 {
        self.bao
            .put_kv2(self.mount, "llm/k", json!({ "key": key }))
            .await
    }

    /// From now on the provider does not take these.
    fn refuse(&self, keys: &[&str]) {
        self.sandbox.change(|switches| {
            switches.refused_secrets = keys.iter().map(|key| sha256_hex(key)).collect();
        });
    }

    async fn status(&self) -> Value {
        self.rotator.json(&["status"]).await["keys"][0].clone()
    }

    /// Waits until `status` says so of the key, and gives its row.
    async fn stands(&self, state: &str, version: &str, verified_by: Option<&str>) -> Value {
        let what = format!("{state} with version {version}");
        eventually(&what, || async {
            let row = self.status().await;
            let there = row["state"] == state
                && row["version"] == version
                && row["verified_by"].as_str() == verified_by;
            there.then_some(row)
        })
        .await
    }

    /// The requests of one kind, in order.
    fn asked(&self, operation: Operation) -> Vec<Entry> {
        let all = self.sandbox.journal().into_iter();
        all.filter(|entry| entry.operation == operation).collect()
    }

    /// Whether Flashback holds this key.
    fn holds(&self, key: &str) -> bool {
        let all = self.sandbox.configurations();
        all.len() == 1 && all[0].secret_sha256 == sha256_hex(key)
    }

    /// Nothing is written and nobody is asked while nothing changes.
    async fn is_at_rest(&self) {
        let calls = || (writes(&self.sandbox), self.asked(Operation::Validate).len());
        let before = calls();
        let looks = || async {
            self.metric("checks_total{source=\"bao\",outcome=\"unchanged\"}")
                .await
        };
        let first = eventually("a look", looks).await;
        eventually("more looks", || async {
            looks().await.filter(|now| *now >= first + 3.0)
        })
        .await;
        assert_eq!(calls(), before);
    }

    async fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("{}/metrics", self.rotator.http().await);
        let text = get(url).await.ok()?.text().await.ok()?;
        let line = format!("flashback_rotator_{name} ");
        let value = text.lines().find_map(|text| text.strip_prefix(&line))?;
        value.parse().ok()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log is\n{}", self.rotator.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_rotation_is_undone_and_the_next_good_one_goes_through() {
    let scene = Scene::with_a_good_key("rollback-undone").await;
    scene.refuse(&["sk-bad"]);
    scene.rotate("sk-bad").await;
    let back = scene.rotator.event("rolled_back", |_| true).await;
    assert_eq!(
        (&back["version"], &back["previous_version"]),
        (&json!("1"), &json!("2"))
    );
    assert!(scene.holds("sk-good"));
    let row = scene.stands("held", "1", Some("flashback")).await;
    assert_eq!(row["held_version"], "2");
    assert!(
        row["held_reason"]
            .as_str()
            .is_some_and(|why| why.contains("401")),
        "{row}"
    );

    // Not before the grace was over.
    let updates = scene.asked(Operation::Update);
    let [bad, good] = &updates[..] else {
        panic!("{updates:?}");
    };
    assert!((good.at - bad.at).to_std().is_ok_and(|gone| gone >= GRACE));
    scene.is_at_rest().await;
    assert_eq!(scene.metric("key_held{key=\"k\"}").await, Some(1.0));
    assert_eq!(scene.metric("key_verified{key=\"k\"}").await, Some(1.0));
    let history = scene.rotator.json(&["history", "k"]).await;
    let trail: Vec<_> = history["events"].as_array().expect("rows").iter().collect();
    let told = |row: &Value| {
        (
            row["version"].clone(),
            row["reason"].clone(),
            row["verified_by"].clone(),
        )
    };
    assert_eq!(
        told(trail[0]),
        (json!("1"), json!("first push"), json!("flashback"))
    );
    assert_eq!(told(trail[1]), (json!("2"), json!("rotated"), Value::Null));
    assert_eq!(
        told(trail[2]),
        (json!("1"), json!("rolled back"), json!("flashback"))
    );

    scene.rotate("sk-better").await;
    arrives(&scene.sandbox, "k", "sk-better").await;
    let row = scene.stands("in_sync", "3", Some("flashback")).await;
    assert_eq!(row["held_version"], Value::Null);
    for once in ["rolled_back", "verification_failed"] {
        assert_eq!(scene.rotator.count(once), 1, "{once}");
    }
    assert_eq!(scene.metric("key_held{key=\"k\"}").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_slow_to_work_is_waited_for() {
    let mut scene = Scene::set("rollback-slow", "grace = \"50s\"", "").await;
    scene.sandbox.change(|switches| {
        switches.slow_secrets.insert(sha256_hex("sk-slow"), 1_500);
    });
    scene.rotate("sk-good").await;
    scene.rotator.start();
    scene.stands("in_sync", "1", Some("flashback")).await;
    scene.rotate("sk-slow").await;
    scene.stands("in_sync", "2", Some("flashback")).await;
    assert_eq!(scene.rotator.count("verification_failed"), 0);
    assert!(scene.asked(Operation::Validate).len() >= 3);
    scene.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_neither_works_the_newest_is_the_best_guess() {
    let scene = Scene::with_a_good_key("rollback-neither").await;
    scene.refuse(&["sk-good", "sk-bad"]);
    scene.rotate("sk-bad").await;
    scene
        .rotator
        .event("push_started", |line| {
            line["reason"] == "the previous one does not work either"
        })
        .await;
    let row = scene.stands("failing", "2", None).await;
    assert!(
        row["error"]
            .as_str()
            .is_some_and(|error| error.contains("does not work")),
        "{row}"
    );
    assert_eq!(scene.metric("key_verified{key=\"k\"}").await, Some(0.0));
    scene.refuse(&[]);
    scene.stands("in_sync", "2", Some("flashback")).await;
    assert_eq!(scene.rotator.count("rolled_back"), 0);
    scene.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_previous_version_is_not_rolled_back_to() {
    let scene = Scene::with_a_good_key("rollback-gone").await;
    let destroy = format!("{}/destroy/llm/k", scene.mount);
    scene
        .bao
        .ok("PUT", &destroy, json!({"versions": [1]}))
        .await;
    scene.refuse(&["sk-bad"]);
    scene.rotate("sk-bad").await;
    let failed = scene.rotator.event("verification_failed", |_| true).await;
    let message = failed["message"].as_str().expect("a message");
    assert!(message.contains("destroyed"), "{message}");
    scene.stands("failing", "2", None).await;
    assert!(scene.holds("sk-bad"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_failure_hold_leaves_it_and_reports_it() {
    let verify = "grace = \"1s\"\non_failure = \"hold\"";
    let mut scene = Scene::set("rollback-hold", verify, "").await;
    scene.rotate("sk-good").await;
    scene.rotator.start();
    scene.stands("in_sync", "1", Some("flashback")).await;
    scene.refuse(&["sk-bad"]);
    scene.rotate("sk-bad").await;
    scene.rotator.event("version_held", |_| true).await;
    let row = scene.stands("held", "2", None).await;
    assert_eq!(row["held_version"], "2");
    assert!(scene.holds("sk-bad"));
    // It works after all.
    scene.refuse(&[]);
    scene.stands("in_sync", "2", Some("flashback")).await;
    assert_eq!(scene.rotator.count("verification_failed"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_verdict_nothing_is_taken_out() {
    let scene = Scene::with_a_good_key("rollback-silent").await;
    // Flashback's validation fails, and goes on failing past the grace.
    scene
        .sandbox
        .fail(Rule::status(500).on(Operation::Validate));
    scene.rotate("sk-two").await;
    let asked = || scene.asked(Operation::Validate);
    let first = eventually("a question", || async {
        asked().get(1).map(|entry| entry.at)
    })
    .await;
    eventually("a question after the grace", || async {
        let last = asked().last().map(|entry| entry.at)?;
        (last > first + GRACE).then_some(())
    })
    .await;
    scene.stands("in_sync", "2", None).await;
    scene.sandbox.heal();
    scene.stands("in_sync", "2", Some("flashback")).await;

    // And one that is not there at all is no error.
    scene
        .sandbox
        .fail(Rule::status(404).on(Operation::Validate));
    let before = asked().len();
    for (key, version) in [("sk-three", "3"), ("sk-four", "4")] {
        scene.rotate(key).await;
        scene.stands("in_sync", version, None).await;
    }
    scene.is_at_rest().await;
    assert_eq!(asked().len(), before + 2);
    let log = scene.rotator.log();
    let said = log.matches("Flashback does not validate keys").count();
    assert_eq!(said, 1, "{log}");
    for never in ["verification_failed", "rolled_back", "version_held"] {
        assert_eq!(scene.rotator.count(never), 0, "{never}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_version_supersedes_verification_and_rollback_restores_last_good() {
    let mut scene = Scene::set("rollback-newest", "grace = \"3s\"", "").await;
    scene.rotate("sk-good").await;
    scene.rotator.start();
    scene.stands("in_sync", "1", Some("flashback")).await;
    scene.refuse(&["sk-bad", "sk-worse"]);
    scene.rotate("sk-bad").await;
    arrives(&scene.sandbox, "k", "sk-bad").await;
    scene.rotate("sk-worse").await;
    arrives(&scene.sandbox, "k", "sk-worse").await;
    let back = scene.rotator.event("rolled_back", |_| true).await;
    assert_eq!(
        (&back["version"], &back["previous_version"]),
        (&json!("1"), &json!("3"))
    );
    assert!(scene.holds("sk-good"));
    assert_eq!(scene.rotator.count("verification_failed"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validation_that_hangs_delays_no_other_key() {
    let rest = r#"
[keys.other]
ai_type = "OTHER"
endpoint = "https://llm.example.com/v1"
source = "files"
path = "other"
"#;
    let mut scene = Scene::set("rollback-isolated", "grace = \"1s\"", rest).await;
    scene.sandbox.fail(Rule {
        next: Some(1),
        ..Rule::new(Fault::Hang).on(Operation::Validate)
    });
    scene.rotate("sk-good").await;
    scene.rotator.start();
    eventually("a validation that hangs", || async {
        (scene.asked(Operation::Validate).len() == 1).then_some(())
    })
    .await;
    scene.rotator.put("other", "sk-other");
    arrives(&scene.sandbox, "other", "sk-other").await;
    scene.rotator.put("other", "sk-another");
    arrives(&scene.sandbox, "other", "sk-another").await;
    let hung = &scene.asked(Operation::Validate)[0];
    assert_eq!(hung.status, None, "it still hangs");
}
