//! docs/logs.md says what is logged: each event, with exactly the fields that the program prints.

use std::collections::{BTreeMap, BTreeSet};

use flashback_rotator::flashback::sandbox::{Operation, Options, Rule, Sandbox};
use flashback_rotator::telemetry::event;
use serde_json::Value;

use crate::support::client;
use crate::support::page::{Page, blocks};
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::sandbox::{TOKEN, secret};

/// What every line with an event has.
const COMMON: [&str; 5] = ["timestamp", "level", "message", "event", "target"];

/// An event as the page describes it.
#[derive(Debug)]
struct Described {
    level: String,
    /// Each field, and whether it may be missing.
    fields: BTreeMap<String, bool>,
    examples: Vec<Value>,
}

/// The sections of the page. Its second line is `**LEVEL** · fields: ` and the fields, where a
/// question mark follows one that may be missing.
fn described() -> BTreeMap<String, Described> {
    let page = Page::read("docs/logs.md");
    let sections = page.sections("###").into_iter();
    let events = sections.filter_map(|(heading, text)| {
        let name = heading.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        let facts = text.lines().find(|line| line.starts_with("**"));
        let facts = facts.unwrap_or_else(|| panic!("no level for {name}"));
        let level = facts.split("**").nth(1).expect("a level").to_owned();
        let mut fields = BTreeMap::new();
        let parts: Vec<&str> = facts.split('`').collect();
        for pair in parts[1..].chunks(2) {
            let optional = pair.get(1).is_some_and(|after| after.starts_with('?'));
            fields.insert(pair[0].to_owned(), optional);
        }
        let examples = blocks(&text, "json");
        let examples = examples.iter().flat_map(|block| block.lines());
        let examples = examples.map(|line| serde_json::from_str(line).expect(line));
        let described = Described {
            level,
            fields,
            examples: examples.collect(),
        };
        Some((name, described))
    });
    events.collect()
}

/// The fields of a line, without those that every line has.
fn fields(line: &Value) -> BTreeSet<String> {
    let names = line.as_object().expect("an object").keys();
    let own = names.filter(|name| !COMMON.contains(&name.as_str()));
    own.cloned().collect()
}

/// Fails where a line is not what the page says of its event.
fn conforms(line: &Value, all: &BTreeMap<String, Described>) {
    let name = line["event"].as_str().expect("an event");
    let described = all.get(name).unwrap_or_else(|| panic!("{name}: {line}"));
    for common in COMMON {
        assert!(line[common].is_string(), "no {common} in {line}");
    }
    let levels = described.level.split(" or ");
    let level = line["level"].as_str().expect("a level");
    assert!(levels.into_iter().any(|one| one == level), "{line}");
    let mut targets = described.examples.iter().map(|example| &example["target"]);
    let shown = targets.any(|target| *target == line["target"]);
    assert!(shown, "no example in docs/logs.md has the target of {line}");
    let printed = fields(line);
    for field in &printed {
        let known = described.fields.contains_key(field);
        assert!(known, "`{field}` of {name} is not in docs/logs.md: {line}");
    }
    for (field, optional) in &described.fields {
        let there = *optional || printed.contains(field);
        assert!(there, "{name} is said to have `{field}` always: {line}");
    }
}

/// Fails where a line with an event is not what the page says of it.
pub fn all_conform(lines: &[Value]) {
    let all = described();
    lines.iter().for_each(|line| conforms(line, &all));
}

#[test]
fn each_event_is_described_with_an_example() {
    let all = described();
    let named: Vec<&str> = all.keys().map(String::as_str).collect();
    let mut known = event::ALL.to_vec();
    known.sort_unstable();
    assert_eq!(named, known);
    for (name, described) in &all {
        assert!(!described.examples.is_empty(), "no example of {name}");
        for line in &described.examples {
            assert_eq!(line["event"], name.as_str());
            conforms(line, &all);
        }
    }
}

#[test]
fn each_field_is_explained() {
    let page = Page::read("docs/logs.md");
    let sections = page.sections("##");
    let table = sections.iter().find(|(heading, _)| heading == "Fields");
    let (_, table) = table.expect("a section on the fields");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let explained: BTreeSet<String> = rows
        .flat_map(|row| {
            let names = row.split('|').nth(1).expect("a cell").to_owned();
            let names: Vec<String> = names.split('`').map(str::to_owned).collect();
            names.into_iter().skip(1).step_by(2)
        })
        .collect();
    let all = described();
    let own = all.values().flat_map(|one| one.fields.keys().cloned());
    let used: BTreeSet<String> = own.chain(COMMON.map(str::to_owned)).collect();
    assert_eq!(explained, used);
}

/// Makes a configuration as somebody does in Flashback's console.
async fn make_by_hand(sandbox: &Sandbox, name: &str) {
    let body = serde_json::json!({
        "name": name, "aiType": "OPENAI", "endpoint": "https://api.openai.com/v1",
        "secret": "by-hand", "workspaceId": "w",
    });
    let request = client().post(format!("{}/ai/llm", sandbox.url()));
    let answer = request.bearer_auth(TOKEN).json(&body).send().await;
    assert!(answer.expect("an answer").status().is_success());
}

/// A life with everything in it that the log has a name for.
async fn live(rotator: &mut Rotator, sandbox: &Sandbox, keys: &str) {
    // Signed in to only when the token is right.
    rotator.start();
    rotator.event("sign_in_failed", |_| true).await;
    std::fs::write(rotator.path().join("token"), TOKEN).expect("written");
    rotator.event("signed_in", |_| true).await;
    rotator.event("config_created", |_| true).await;
    rotator.event("config_adopted", |_| true).await;
    rotator.event("secret_missing", |_| true).await;
    rotator.event("secret_malformed", |_| true).await;

    // An outage, a refusal, and a configuration that is gone.
    sandbox.fail(Rule::status(503).on(Operation::Update));
    rotator.put("a", "sk-a-2");
    rotator.event("push_retrying", |_| true).await;
    let ours = |line: &Value| line["source"] == "flashback";
    rotator.event("source_unavailable", ours).await;
    sandbox.heal();
    rotator.event("source_recovered", ours).await;
    arrives(sandbox, "a", "sk-a-2").await;
    sandbox.fail(Rule::status(400).on(Operation::Update));
    rotator.put("a", "sk-a-3");
    rotator.event("push_failed", |_| true).await;
    sandbox.heal();
    let adopted = sandbox.configurations();
    let adopted = adopted.iter().find(|one| one.name == "b").expect("b");
    assert!(sandbox.remove(&adopted.ai_llm_id));
    rotator.put("b", "sk-b-2");
    rotator.event("config_missing", |_| true).await;

    // Another configuration, good and bad.
    rotator.configure(&sandbox.url(), &format!("{keys}surprise = 1\n"));
    rotator.event("config_rejected", |_| true).await;
    rotator.configure(&sandbox.url(), &format!("{keys}{}", file_key("e")));
    rotator.event("config_reloaded", |_| true).await;

    // What was a key once is none any more.
    std::fs::remove_file(rotator.path().join("secrets/a")).expect("removed");
    let of_a = |line: &Value| line["key"] == "a";
    rotator.event("secret_missing", of_a).await;
    rotator.put("b", "");
    let of_b = |line: &Value| line["key"] == "b";
    rotator.event("secret_malformed", of_b).await;
    let end = rotator.stop().await;
    assert!(end.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logged_events_and_fields_match_their_documentation() {
    let options = Options {
        token: Some(secret(TOKEN)),
        ..Options::default()
    };
    let sandbox = sandbox(options).await;
    make_by_hand(&sandbox, "b").await;
    let keys: String = ["a", "b", "c", "d"].map(file_key).concat();
    let keys = format!("{QUICK}{keys}");
    let mut rotator = Rotator::new(&sandbox.url(), &keys);
    rotator.put("a", "sk-a-1");
    rotator.put("b", "sk-b-1");
    rotator.put("d", "");
    live(&mut rotator, &sandbox, &keys).await;

    let all = described();
    let lines = rotator.events();
    for line in &lines {
        conforms(line, &all);
    }
    // A field that is never there is as wrong as one that is not described.
    let examples = all.values().flat_map(|one| &one.examples);
    let lines: Vec<&Value> = lines.iter().chain(examples).collect();
    for (name, described) in &all {
        let of_it = lines.iter().filter(|line| line["event"] == name.as_str());
        let printed: BTreeSet<String> = of_it.flat_map(|line| fields(line)).collect();
        let said: BTreeSet<String> = described.fields.keys().cloned().collect();
        assert_eq!(printed, said, "{name}");
    }
}
