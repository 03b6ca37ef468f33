//! Promises 3 and 4: create or adopt, never two configurations for one key; and what is gone is
//! made again.

use flashback_rotator::flashback::sandbox::{Fault, Operation, Options, Rule, Sandbox};

use crate::support::client;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox, writes};

/// Makes a configuration as somebody does in Flashback's console.
async fn make_by_hand(sandbox: &Sandbox, name: &str) -> String {
    let body = serde_json::json!({
        "name": name, "aiType": "OPENAI", "endpoint": "https://api.openai.com/v1",
        "secret": "by-hand", "workspaceId": "w",
    });
    let request = client().post(format!("{}/ai/llm", sandbox.url()));
    let answer = request
        .bearer_auth("x")
        .json(&body)
        .send()
        .await
        .expect("an answer");
    let answer: serde_json::Value = answer.json().await.expect("JSON");
    answer["aiLlmId"].as_str().expect("an id").to_owned()
}

fn creations(sandbox: &Sandbox) -> usize {
    sandbox
        .journal()
        .iter()
        .filter(|entry| entry.operation == Operation::Create)
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_existing_configuration_is_adopted() {
    let sandbox = sandbox(Options::default()).await;
    let id = make_by_hand(&sandbox, "a").await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-one");
    let plan = rotator.json(&["plan"]).await;
    assert_eq!(plan["keys"][0]["action"], "adopt", "{plan}");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    assert_eq!(
        rotator.event("config_adopted", |_| true).await["ai_llm_id"],
        id.as_str()
    );
    assert_eq!(sandbox.configurations().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_new_keys_share_a_list() {
    let sandbox = sandbox(Options::default()).await;
    make_by_hand(&sandbox, "k7").await;
    let keys: Vec<String> = (0..500).map(|number| format!("k{number}")).collect();
    let config: String = keys.iter().map(|key| file_key(key)).collect();
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{config}"));
    for key in &keys {
        rotator.put(key, &format!("sk-{key}"));
    }
    rotator.start();
    for key in &keys {
        arrives(&sandbox, key, &format!("sk-{key}")).await;
    }
    assert_eq!(sandbox.configurations().len(), 500);
    assert_eq!(creations(&sandbox), 499 + 1, "one was there, by hand");
    let journal = sandbox.journal();
    let lists = journal
        .iter()
        .filter(|entry| entry.operation == Operation::List);
    // One by which Flashback was signed in to, and one more where the first took half a minute.
    assert!(lists.count() <= 4, "a list for each key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_a_creation_ends_in_one_configuration() {
    let sandbox = sandbox(Options::default()).await;
    sandbox.fail(Rule::new(Fault::LoseAnswer).on(Operation::Create).times(1));
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    rotator.event("push_succeeded", |_| true).await;
    arrives(&sandbox, "a", "sk-one").await;
    assert_eq!(sandbox.configurations().len(), 1);
    assert_eq!(creations(&sandbox), 1, "the one that was there was adopted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_list_it_creates_and_a_taken_name_is_a_clear_error() {
    let sandbox = sandbox(Options::default()).await;
    make_by_hand(&sandbox, "taken").await;
    sandbox.fail(Rule::status(403).on(Operation::List));
    let config = format!("{QUICK}{}{}", file_key("free"), file_key("taken"));
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    rotator.put("free", "sk-free");
    rotator.put("taken", "sk-taken");
    rotator.start();
    arrives(&sandbox, "free", "sk-free").await;
    let failed = rotator
        .event("push_failed", |line| line["key"] == "taken")
        .await;
    let error = failed["error"].as_str().expect("an error");
    assert!(
        error.contains("`taken` exists already") && error.contains("list"),
        "{error}"
    );

    // It is not tried again by itself until something changes …
    let before = creations(&sandbox);
    rotator.put("free", "sk-free-2");
    arrives(&sandbox, "free", "sk-free-2").await;
    assert_eq!(creations(&sandbox), before);
    // … and works as soon as somebody puts it right and the key changes.
    sandbox.heal();
    rotator.put("taken", "sk-taken-2");
    arrives(&sandbox, "taken", "sk-taken-2").await;
    assert_eq!(sandbox.configurations().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_configuration_is_created_again_by_the_next_push() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    let id = sandbox.configurations()[0].ai_llm_id.clone();
    assert!(sandbox.remove(&id));
    let before = writes(&sandbox);
    rotator.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
    assert_eq!(
        rotator.event("config_missing", |_| true).await["ai_llm_id"],
        id.as_str()
    );
    assert_ne!(sandbox.configurations()[0].ai_llm_id, id);
    assert_eq!(
        writes(&sandbox),
        before + 2,
        "one PUT that met 404, one POST"
    );
    assert_eq!(rotator.count("push_retrying"), 0);
}
