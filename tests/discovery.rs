//! Discovery: what a source has below a prefix becomes keys, with no change of the configuration.

use aws_sdk_secretsmanager::types::Tag;
use flashback_rotator::flashback::sandbox::{Options, Sandbox};
use flashback_rotator::model::AiType;
use serde_json::{Value, json};

use crate::support::aws::{Aws, Emulator};
use crate::support::configuration::{TOKEN_IN_VARIABLE, aws, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{QUICK, Rotator, arrives, sandbox};
use crate::support::{eventually, get};

/// Returns the table of a rule with these lines.
fn rule(id: &str, source: &str, lines: &str) -> String {
    format!(
        "[discover.{id}]\nsource = \"{source}\"\nai_type = \"OPENAI\"\nevery = \"1s\"\n{lines}\n"
    )
}

/// Returns the names of all configurations in Flashback.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let all = sandbox.configurations().into_iter();
    let mut names: Vec<String> = all.map(|one| one.name).collect();
    names.sort();
    names
}

async fn names_are(sandbox: &Sandbox, expected: &[&str]) {
    eventually(&format!("Flashback has {expected:?}"), async || {
        (names(sandbox) == expected).then_some(())
    })
    .await;
}

/// Returns a mount of the shared OpenBao, and the table of a source for it.
async fn mount(name: &str) -> (&'static OpenBao, String) {
    let bao = OpenBao::shared().await;
    bao.mount_kv(name, 2).await;
    let lines = format!("mount = \"{name}\"");
    (bao, vault("bao", &bao.address, &lines, TOKEN_IN_VARIABLE))
}

fn rotator(sandbox: &Sandbox, tables: &str) -> Rotator {
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{tables}"));
    let token = ("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned());
    rotator.environment.push(token);
    rotator
}

fn files(tables: &str) -> String {
    format!("{QUICK}{tables}")
}

async fn metric(rotator: &Rotator, line: &str) {
    eventually(line, async || {
        let url = format!("{}/metrics", rotator.http().await);
        let text = get(url).await.ok()?.text().await.ok()?;
        text.lines().any(|it| it.ends_with(line)).then_some(())
    })
    .await;
}

fn report(status: &Value, rule: &str) -> Value {
    let all = status["discovery"].as_array().expect("the rules").iter();
    let mut of_rule = all.filter(|it| it["rule"] == rule);
    of_rule.next().expect("the rule").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_secrets_are_keys_and_more_come_and_go_without_a_restart() {
    let (bao, source) = mount("discovered").await;
    for number in 0..50 {
        let (path, value) = (format!("llm/k{number:02}"), format!("sk-{number}"));
        bao.put_kv2("discovered", &path, json!({ "key": value }))
            .await;
    }
    let metadata = json!({"custom_metadata": {"flashback_name": "Named", "owner": "ada"}});
    bao.ok("POST", "discovered/metadata/llm/k00", metadata)
        .await;
    let sandbox = sandbox(Options::default()).await;
    let rules = rule("llm", "bao", "path = \"llm/**\"\nexclude = [\"llm/tmp/*\"]");
    let mut rotator = rotator(&sandbox, &format!("{source}{rules}"));
    let planned = rotator.json(&["plan"]).await;
    let keys = planned["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 50);
    assert!(
        keys.iter()
            .all(|key| key["action"] == "create" && key["rule"] == "llm")
    );
    rotator.start();
    arrives(&sandbox, "Named", "sk-0").await;
    arrives(&sandbox, "k49", "sk-49").await;
    bao.put_kv2("discovered", "llm/team/new", json!({"key": "sk-new"}))
        .await;
    bao.put_kv2("discovered", "llm/tmp/none", json!({"key": "sk-none"}))
        .await;
    arrives(&sandbox, "new", "sk-new").await;
    bao.put_kv2("discovered", "llm/team/new", json!({"key": "sk-newer"}))
        .await;
    arrives(&sandbox, "new", "sk-newer").await;
    bao.ok("DELETE", "discovered/metadata/llm/k01", Value::Null)
        .await;
    rotator
        .event("keys_discovered", |line| line["removed"] == 1)
        .await;
    metric(&rotator, "discovered_keys{rule=\"llm\"} 50").await;
    assert_eq!(
        names(&sandbox).len(),
        51,
        "what is there is kept, and nothing is doubled"
    );
    let status = rotator.json(&["status"]).await;
    let of = |name: &str| {
        status["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .find(|key| key["name"] == name)
            .cloned()
    };
    assert_eq!(of("Named").expect("it")["rule"], "llm");
    assert_eq!(of("k01"), None);
    assert_eq!(report(&status, "llm")["error"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_the_keys_while_the_source_cannot_be_listed() {
    let sandbox = sandbox(Options::default()).await;
    let tables = rule("all", "files", "path = \"*\"");
    let mut rotator = Rotator::new(&sandbox.url(), &files(&tables));
    rotator.put("a", "sk-a");
    rotator.put("b", "sk-b");
    rotator.start();
    names_are(&sandbox, &["a", "b"]).await;
    rotator.stop().await;
    let secrets = rotator.path().join("secrets");
    let away = rotator.path().join("away");
    std::fs::rename(&secrets, &away).expect("the directory is away");
    rotator.start();
    rotator.event("discovery_failed", |_| true).await;
    metric(&rotator, "discovery_up{rule=\"all\"} 0").await;
    let status = rotator.json(&["status"]).await;
    assert_eq!(status["keys"].as_array().expect("keys").len(), 2);
    std::fs::rename(&away, &secrets).expect("the directory is back");
    rotator.put("a", "sk-a-2");
    arrives(&sandbox, "a", "sk-a-2").await;
    rotator.event("discovery_recovered", |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_created_is_deleted_after_its_time_and_what_was_adopted_stays() {
    let sandbox = sandbox(Options::default()).await;
    let tables = rule("all", "files", "path = \"*\"\non_removed = \"delete\"");
    let mut rotator = Rotator::new(&sandbox.url(), &files(&tables));
    let mut other = Rotator::new(
        &sandbox.url(),
        &files(&rule("all", "files", "path = \"*\"")),
    );
    other.put("adopted", "sk-old");
    other.start();
    names_are(&sandbox, &["adopted"]).await;
    other.stop().await;
    for name in ["adopted", "created", "stays"] {
        rotator.put(name, &format!("sk-{name}"));
    }
    rotator.start_with(&[("FLASHBACK_ROTATOR_DELETE_AFTER_MS", "3000")]);
    arrives(&sandbox, "adopted", "sk-adopted").await;
    names_are(&sandbox, &["adopted", "created", "stays"]).await;
    for name in ["adopted", "created"] {
        std::fs::remove_file(rotator.path().join("secrets").join(name)).expect("removed");
    }
    let deleted = rotator.event("config_deleted", |_| true).await;
    assert_eq!(deleted["key"], "all.created");
    names_are(&sandbox, &["adopted", "stays"]).await;
    let history = rotator.json(&["history"]).await;
    let events = history["events"].as_array().expect("events");
    assert!(
        events
            .iter()
            .any(|row| row["action"] == "delete" && row["name"] == "created")
    );
    // It comes back as a new one.
    rotator.put("created", "sk-again");
    arrives(&sandbox, "created", "sk-again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_and_too_many_secrets_are_errors_of_the_rule_alone() {
    let sandbox = sandbox(Options::default()).await;
    let written =
        "[keys.mine]\nname = \"a\"\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"mine\"\n";
    let all = rule("all", "files", "path = \"?\"\nlimit = 2");
    let mut rotator = Rotator::new(&sandbox.url(), &files(&format!("{written}{all}")));
    rotator.put("mine", "sk-mine");
    rotator.put("a", "sk-a");
    rotator.put("b", "sk-b");
    rotator.start();
    names_are(&sandbox, &["a", "b"]).await;
    arrives(&sandbox, "a", "sk-mine").await;
    let problem = rotator.event("discovery_problem", |_| true).await;
    assert_eq!(problem["path"], "a");
    metric(&rotator, "discovery_problems{rule=\"all\"} 1").await;
    rotator.put("c", "sk-c");
    let failed = rotator.event("discovery_failed", |_| true).await;
    assert!(
        failed["error"]
            .as_str()
            .expect("words")
            .contains("`limit` is 2")
    );
    rotator.put("b", "sk-b-2");
    arrives(&sandbox, "b", "sk-b-2").await;
    assert_eq!(names(&sandbox), ["a", "b"]);
    let checked = rotator.command(&["check", "--connect"]).await;
    let errors = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        !checked.status.success() && errors.contains("rule all: 3 secrets fit"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_choose_secrets_of_aws_and_say_what_they_are() {
    let aws_server = Aws::shared(Emulator::Moto).await;
    let client = aws_server.client();
    for (name, team) in [("disc/one", "ai"), ("disc/two", "web")] {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let created = client
            .create_secret()
            .name(name)
            .secret_string("sk-aws")
            .tags(tag("team", team))
            .tags(tag("flashback_ai_type", "ANTHROPIC"));
        created.send().await.expect("created");
    }
    let sandbox = sandbox(Options::default()).await;
    let lines = "path = \"disc/*\"\ntags = { team = \"ai\" }\nname = \"{tag.team}-{last}\"";
    let tables = format!(
        "{}{}",
        aws("aws", aws_server.url()),
        rule("tagged", "aws", lines)
    );
    let mut rotator = rotator(&sandbox, &tables);
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ] {
        rotator
            .environment
            .push((name.to_owned(), value.to_owned()));
    }
    rotator.start();
    arrives(&sandbox, "ai-one", "sk-aws").await;
    assert_eq!(names(&sandbox), ["ai-one"]);
    assert_eq!(sandbox.configurations()[0].ai_type, AiType::Anthropic);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_an_event_tells_of_is_a_key_without_a_listing() {
    let sandbox = sandbox(Options::default()).await;
    let rule = rule("llm", "watched", "path = \"llm/*\"").replace("\"1s\"", "\"24h\"");
    let tables = format!(
        "[schedule]\ncheck = \"24h\"\n[sources.watched]\ntype = \"file\"\ndir = \"{{dir}}/secrets\"\n{rule}"
    );
    let mut rotator = Rotator::new(&sandbox.url(), &tables);
    std::fs::create_dir(rotator.path().join("secrets/llm")).expect("a directory");
    rotator.put("llm/first", "sk-first");
    rotator.start();
    names_are(&sandbox, &["first"]).await;
    rotator.event("events_up", |_| true).await;
    rotator.put("llm/second", "sk-second-0");
    arrives(&sandbox, "second", "sk-second-0").await;
    rotator.put("llm/second", "sk-second-1");
    arrives(&sandbox, "second", "sk-second-1").await;
}
