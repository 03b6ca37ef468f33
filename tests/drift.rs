//! What somebody changes in Flashback is noticed and put right; what somebody else has taken over
//! is reported, and not fought over.

use flashback_rotator::flashback::sandbox::{Operation, Options, Rule, Sandbox, Shown};
use serde_json::{Value, json};

use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox, writes};
use crate::support::{client, eventually, get};

/// Lists are asked for this often, in place of every five minutes.
const OFTEN: (&str, &str) = ("FLASHBACK_ROTATOR_LIST_EVERY_MS", "300");

/// A rotator with the key `a` in Flashback.
async fn settled(sandbox: &Sandbox) -> Rotator {
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    // What the lists alone show.
    rotator.watch_edits("off");
    let (name, value) = OFTEN;
    rotator
        .environment
        .push((name.to_owned(), value.to_owned()));
    rotator.put("a", "sk-one");
    rotator.start();
    stands(&rotator, "in_sync").await;
    rotator
}

async fn status(rotator: &Rotator) -> Value {
    rotator.json(&["status"]).await["keys"][0].clone()
}

/// Waits until `status` says so of the key, and gives its row.
async fn stands(rotator: &Rotator, state: &str) -> Value {
    let what = format!("{state}; the log is\n{}", rotator.log());
    eventually(&what, || async {
        let row = status(rotator).await;
        (row["state"] == state).then_some(row)
    })
    .await
}

/// Waits until so many more lists were answered.
async fn listed(sandbox: &Sandbox, more: usize) {
    let before = lists(sandbox);
    eventually("more lists", || async {
        (lists(sandbox) >= before + more).then_some(())
    })
    .await;
}

/// The lists of a workspace; a token is tried on one of all.
fn lists(sandbox: &Sandbox) -> usize {
    let journal = sandbox.journal();
    let list = journal
        .iter()
        .filter(|entry| entry.operation == Operation::List && entry.path.contains("workspaceId="));
    list.count()
}

/// The configuration of the key, in Flashback.
fn there(sandbox: &Sandbox) -> Shown {
    let mut all = sandbox.configurations();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Does as somebody in Flashback's console does.
async fn by_hand(sandbox: &Sandbox, method: reqwest::Method, path: &str, body: Value) -> Value {
    let url = format!("{}/ai/llm{path}", sandbox.url());
    let request = client().request(method, url);
    let request = request.bearer_auth("somebody's token").json(&body);
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    answer.json().await.expect("JSON")
}

async fn edit(sandbox: &Sandbox, id: &str, change: Value) {
    by_hand(sandbox, reqwest::Method::PUT, &format!("/{id}"), change).await;
}

async fn make(sandbox: &Sandbox, name: &str) -> String {
    let body = json!({
        "name": name, "aiType": "OPENAI", "endpoint": "https://api.openai.com/v1",
        "secret": "by-hand", "workspaceId": "w",
    });
    let answer = by_hand(sandbox, reqwest::Method::POST, "", body).await;
    answer["aiLlmId"].as_str().expect("an id").to_owned()
}

/// What the audit trail says of the last push.
async fn last_push(rotator: &Rotator) -> Value {
    let history = rotator.json(&["history"]).await;
    history["events"]
        .as_array()
        .expect("rows")
        .last()
        .cloned()
        .expect("a row")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_configuration_is_repaired_once() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = settled(&sandbox).await;
    let gone = there(&sandbox).ai_llm_id;
    let before = writes(&sandbox);
    assert!(sandbox.remove(&gone));

    let repaired = rotator.event("drift_repaired", |_| true).await;
    let new = there(&sandbox).ai_llm_id;
    assert_ne!(new, gone);
    assert_eq!(repaired["ai_llm_id"], new.as_str());
    assert_eq!(repaired["action"], "create");
    let why = "it was missing from Flashback's list";
    assert_eq!(repaired["reason"], why);
    arrives(&sandbox, "a", "sk-one").await;
    let missing = rotator.event("config_missing", |_| true).await;
    assert_eq!(missing["ai_llm_id"], gone.as_str());
    let row = last_push(&rotator).await;
    assert_eq!(
        (&row["action"], &row["reason"]),
        (&json!("create"), &json!(why))
    );
    stands(&rotator, "in_sync").await;

    // Once.
    listed(&sandbox, 4).await;
    assert_eq!(
        writes(&sandbox),
        before + 2,
        "one PUT that met 404, one POST"
    );
    assert_eq!(rotator.count("drift_repaired"), 1);
    assert_eq!(rotator.count("config_missing"), 1);
    assert_eq!(
        rotator.count("push_failed") + rotator.count("push_retrying"),
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_configuration_is_restored() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = settled(&sandbox).await;
    let written = there(&sandbox);
    let id = &written.ai_llm_id;
    let edits = [
        (
            json!({ "name": "renamed" }),
            "name was `renamed` in Flashback",
        ),
        (
            json!({ "aiType": "OTHER" }),
            "ai_type was OTHER in Flashback",
        ),
        (
            json!({ "endpoint": "https://u:canary-password@evil.example.com/v1?key=canary-query" }),
            "endpoint was https://…/v1 in Flashback",
        ),
        (
            json!({ "name": "b", "endpoint": "https://other.example.com", "secret": "sk-wrong" }),
            "name was `b`, endpoint was https://other.example.com in Flashback",
        ),
    ];
    for (number, (change, expected)) in edits.into_iter().enumerate() {
        let before = writes(&sandbox);
        edit(&sandbox, id, change).await;
        let repaired = rotator
            .event("drift_repaired", |line| line["reason"] == expected)
            .await;
        assert_eq!(repaired["ai_llm_id"], id.as_str());
        assert_eq!(
            (&repaired["action"], &repaired["source"]),
            (&json!("update"), &json!("files"))
        );
        arrives(&sandbox, "a", "sk-one").await;
        let now = there(&sandbox);
        assert_eq!(
            (&now.ai_llm_id, &now.name, now.ai_type, &now.endpoint),
            (id, &written.name, written.ai_type, &written.endpoint)
        );
        listed(&sandbox, 3).await;
        assert_eq!(
            writes(&sandbox),
            before + 2,
            "somebody's PUT and its repair"
        );
        assert_eq!(rotator.count("drift_repaired"), number + 1);
        let row = last_push(&rotator).await;
        assert_eq!(
            (&row["action"], &row["reason"]),
            (&json!("update"), &json!(expected))
        );
    }
    stands(&rotator, "in_sync").await;
    assert_eq!(rotator.count("push_failed"), 0);

    // The credentials are in no list: those are written again with the next resync, or by force.
    edit(&sandbox, id, json!({ "secret": "sk-wrong" })).await;
    let before = writes(&sandbox);
    listed(&sandbox, 3).await;
    assert_eq!(writes(&sandbox), before);
    rotator.json(&["sync", "--force"]).await;
    arrives(&sandbox, "a", "sk-one").await;

    // A restart pushes nothing.
    assert!(rotator.stop().await.success());
    let before = writes(&sandbox);
    rotator.start();
    rotator.ready().await;
    listed(&sandbox, 3).await;
    assert_eq!(writes(&sandbox), before);
    let history = rotator.json(&["history"]).await.to_string();
    for text in [rotator.log(), history] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_configuration_whose_name_is_taken_is_reported() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = settled(&sandbox).await;
    let ours = there(&sandbox).ai_llm_id;
    // At one go for the rotator: the other one is there first, under another name.
    let other = make(&sandbox, "b").await;
    sandbox.fail(Rule::status(403).on(Operation::List));
    listed(&sandbox, 1).await;
    assert!(sandbox.remove(&ours));
    edit(&sandbox, &other, json!({ "name": "a" })).await;
    sandbox.heal();
    let before = writes(&sandbox);

    let failed = rotator.event("push_failed", |_| true).await;
    let error = failed["error"].as_str().expect("an error");
    for word in [
        &*ours,
        &other,
        "is gone",
        "`a` in workspace `w`",
        "sync --force",
    ] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let row = stands(&rotator, "failing").await;
    assert_eq!(row["error"], error);
    listed(&sandbox, 4).await;
    assert_eq!(rotator.count("push_failed"), 1, "it is said once");
    assert_eq!(writes(&sandbox), before, "nothing is written");
    assert_eq!(rotator.count("config_missing"), 0);

    // It heals by itself when it is put right.
    edit(&sandbox, &other, json!({ "name": "somebody else's" })).await;
    rotator.event("drift_repaired", |_| true).await;
    arrives(&sandbox, "a", "sk-one").await;
    stands(&rotator, "in_sync").await;
    let all = sandbox.configurations();
    let other = all
        .iter()
        .find(|one| one.ai_llm_id == other)
        .expect("it is there");
    assert_eq!((all.len(), &*other.name), (2, "somebody else's"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_configuration_whose_name_is_taken_is_reported() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = settled(&sandbox).await;
    let ours = there(&sandbox).ai_llm_id;
    sandbox.fail(Rule::status(403).on(Operation::List));
    listed(&sandbox, 1).await;
    edit(&sandbox, &ours, json!({ "name": "previous" })).await;
    let other = make(&sandbox, "a").await;
    sandbox.heal();
    let before = writes(&sandbox);

    let failed = rotator.event("push_failed", |_| true).await;
    let error = failed["error"].as_str().expect("an error");
    assert!(
        error.contains("renamed to `previous`") && error.contains(&other),
        "{error}"
    );
    stands(&rotator, "failing").await;
    let plan = rotator.json(&["plan"]).await;
    assert_eq!(plan["keys"][0]["action"], "error", "{plan}");
    listed(&sandbox, 4).await;
    assert_eq!(writes(&sandbox), before);
    assert_eq!(rotator.count("push_failed"), 1);

    assert!(sandbox.remove(&other));
    let repaired = rotator.event("drift_repaired", |_| true).await;
    assert_eq!(repaired["reason"], "name was `previous` in Flashback");
    stands(&rotator, "in_sync").await;
    assert_eq!(there(&sandbox).ai_llm_id, ours);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_refused_is_no_error_and_keeps_nothing_from_being_pushed() {
    for rule in [Rule::status(403), Rule::status(404), Rule::status(500)] {
        let sandbox = sandbox(Options::default()).await;
        let rotator = settled(&sandbox).await;
        sandbox.fail(rule.on(Operation::List));
        listed(&sandbox, 1).await;
        let endpoint = "https://other.example.com";
        let id = there(&sandbox).ai_llm_id;
        edit(&sandbox, &id, json!({ "endpoint": endpoint })).await;
        let before = writes(&sandbox);
        listed(&sandbox, 3).await;
        assert_eq!(writes(&sandbox), before);
        assert_eq!(status(&rotator).await["state"], "in_sync");

        rotator.put("a", "sk-two");
        arrives(&sandbox, "a", "sk-two").await;
        edit(&sandbox, &id, json!({ "endpoint": endpoint })).await;
        sandbox.heal();
        rotator.event("drift_repaired", |_| true).await;
        arrives(&sandbox, "a", "sk-two").await;
        for event in [
            "push_failed",
            "push_retrying",
            "source_unavailable",
            "config_missing",
        ] {
            assert_eq!(rotator.count(event), 0, "{event}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_that_takes_several_tries_is_one() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = settled(&sandbox).await;
    let id = there(&sandbox).ai_llm_id;
    // The rotator's writes, and not the one by hand.
    let twice = Rule::status(503).on(Operation::Update).times(2);
    sandbox.fail(Rule {
        name: Some("a".to_owned()),
        ..twice
    });
    edit(&sandbox, &id, json!({ "name": "b" })).await;
    let repaired = rotator.event("drift_repaired", |_| true).await;
    let why = "name was `b` in Flashback";
    assert_eq!(repaired["reason"], why);
    arrives(&sandbox, "a", "sk-one").await;
    assert!(rotator.count("push_retrying") > 0);
    assert_eq!(last_push(&rotator).await["reason"], why);
    stands(&rotator, "in_sync").await;
    assert_eq!(rotator.count("drift_repaired"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_a_workspace_share_one_list() {
    const KEYS: usize = 200;
    let sandbox = sandbox(Options::default()).await;
    let key = |number: usize| format!("k{number}");
    let keys: String = (0..KEYS).map(|number| file_key(&key(number))).collect();
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{keys}"));
    for number in 0..KEYS {
        rotator.put(&key(number), &format!("sk-{number}"));
    }
    rotator.start();
    eventually("all keys in Flashback", || async {
        let rows = rotator.json(&["status"]).await;
        let rows = rows["keys"].as_array().expect("rows").clone();
        rows.iter()
            .all(|row| row["state"] == "in_sync")
            .then_some(())
    })
    .await;
    assert!(rotator.stop().await.success());

    let before = (lists(&sandbox), writes(&sandbox));
    rotator.start();
    rotator.ready().await;
    let looks = || async {
        let url = format!("{}/metrics", rotator.http().await);
        let text = get(&url).await.ok()?.text().await.ok()?;
        let line = "flashback_rotator_checks_total{source=\"files\",outcome=\"unchanged\"} ";
        let count = text.lines().find_map(|found| found.strip_prefix(line))?;
        (count.parse::<usize>().ok()? >= 3 * KEYS).then_some(())
    };
    eventually("three looks at each key", looks).await;
    assert_eq!(
        (lists(&sandbox), writes(&sandbox)),
        (before.0 + 1, before.1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_shows_it_and_a_sync_puts_it_right() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = settled(&sandbox).await;
    assert!(rotator.stop().await.success());
    let id = there(&sandbox).ai_llm_id;
    let plan = rotator.json(&["plan"]).await;
    assert_eq!(plan["keys"][0]["action"], "none", "{plan}");

    let endpoint = "https://other.example.com";
    edit(&sandbox, &id, json!({ "endpoint": endpoint })).await;
    let before = writes(&sandbox);
    let plan = rotator.json(&["plan"]).await;
    let row = &plan["keys"][0];
    let why = json!(format!("endpoint was {endpoint} in Flashback"));
    assert_eq!((&row["action"], &row["reason"]), (&json!("update"), &why));
    assert_eq!(writes(&sandbox), before);
    let synced = rotator.json(&["sync"]).await;
    let row = &synced["keys"][0];
    assert_eq!((&row["action"], &row["reason"]), (&json!("update"), &why));
    assert_eq!(writes(&sandbox), before + 1);

    assert!(sandbox.remove(&id));
    let plan = rotator.json(&["plan"]).await;
    let row = &plan["keys"][0];
    let why = json!("it was missing from Flashback's list");
    assert_eq!((&row["action"], &row["reason"]), (&json!("create"), &why));
    let synced = rotator.json(&["sync"]).await;
    let row = &synced["keys"][0];
    assert_eq!((&row["action"], &row["reason"]), (&json!("create"), &why));
    arrives(&sandbox, "a", "sk-one").await;
}
