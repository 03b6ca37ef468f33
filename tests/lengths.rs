//! Texts of a length that nothing has: each is refused where it comes in, and neither repeated in a loop nor kept.

use flashback_rotator::flashback::sandbox::{OddEntry, Oddity, Operation, Options, Rule, Sandbox};
use serde_json::{Value, json};
use wiremock::matchers::{any, header_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::configuration::{aws, key, token_in, vault};
use crate::support::eventually;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

/// No log and no state of these tests needs more.
const SMALL: u64 = 200_000;

/// What refuses a write is asked again soon, so that a loop would show.
const AGAIN: &str =
    "[schedule]\ncheck = \"1s\"\n[retry]\ninitial = \"100ms\"\nmax = \"500ms\"\nrefused = \"1s\"\n";

fn sizes(rotator: &Rotator) {
    for name in ["log", "state.db", "state.db-wal"] {
        let length = std::fs::metadata(rotator.path().join(name)).map_or(0, |file| file.len());
        // SQLite's write-ahead log grows to four megabytes before it begins anew.
        let most = if name == "state.db-wal" {
            5_000_000
        } else {
            SMALL
        };
        assert!(length < most, "{name} has {length} bytes");
    }
    let log = rotator.log();
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 4_000, "a line of {longest} bytes");
}

async fn stands(rotator: &Rotator, state: &str, error: &str) {
    eventually(&format!("{state}, {error}"), || async {
        let status = rotator.json(&["status"]).await;
        let row = &status["keys"][0];
        let said = row["error"].as_str().unwrap_or_default().contains(error);
        (row["state"] == state && said).then_some(())
    })
    .await;
}

/// Makes the id of the first entry of each list this text.
fn list_with_id(sandbox: &Sandbox, id: &str) {
    let id = json!({ "id": id });
    sandbox.change(|switches| {
        switches.odd_entries.push(OddEntry {
            operation: Operation::List,
            at: 0,
            make: Oddity::Set(id.as_object().expect("fields").clone()),
        });
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_flashback_is_not_taken_from_a_creation_or_a_list() {
    let sandbox = sandbox(Options::default()).await;
    let id = "i".repeat(70_000);
    list_with_id(&sandbox, &id);
    let made = json!({ "success": true, "aiLlmId": id }).to_string();
    let made = Rule::page(201, "application/json", &made).on(Operation::Create);
    sandbox.fail(made.carried_out().times(1));
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{AGAIN}{}", file_key("a")));
    rotator.put("a", "sk-a");
    rotator.start();
    // The second creation is refused: the name is taken, by an entry that cannot be read.
    rotator.event("push_failed", |_| true).await;
    stands(&rotator, "failing", "").await;
    assert_eq!(sandbox.configurations().len(), 1, "no second one is made");
    let journal = sandbox.journal();
    let creations = journal
        .iter()
        .filter(|entry| entry.operation == Operation::Create);
    assert!(creations.count() < 5, "and not tried in a loop");
    sizes(&rotator);
    // As soon as it can be read it is the key's.
    sandbox.heal();
    sandbox.change(|switches| switches.odd_entries.clear());
    stands(&rotator, "in_sync", "").await;
    assert_eq!(sandbox.configurations().len(), 1);
    sizes(&rotator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_built_is_refused_and_not_repeated() {
    let sandbox = sandbox(Options::default()).await;
    let source = vault("v", "http://127.0.0.1:1", "", &token_in("token"));
    let deep = key("deep", "v", &"p".repeat(70_000));
    let config = format!("{QUICK}{source}{deep}{}", file_key("b"));
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    rotator.put("b", "sk-b-0");
    rotator.start();
    let of_deep = |line: &Value| line["key"] == "deep";
    let unreadable = rotator.event("secret_unreadable", of_deep).await;
    let error = unreadable["error"].as_str().expect("an error");
    assert!(error.contains("the path is too long"), "{error}");
    for round in 1..5 {
        rotator.put("b", &format!("sk-b-{round}"));
        arrives(&sandbox, "b", &format!("sk-b-{round}")).await;
    }
    assert_eq!(rotator.count("secret_unreadable"), 1);
    assert_eq!(
        rotator.count("source_unavailable"),
        0,
        "it is not the source's fault"
    );
    sizes(&rotator);

    // What Flashback would not be able to show again is refused at the start.
    for setting in ["name", "workspace_id"] {
        let key = file_key("b").replace("name = \"b\"\n", "");
        let long = format!("{key}{setting} = \"{}\"\n", "w".repeat(70_000));
        rotator.configure(&sandbox.url(), &long);
        let checked = rotator.command(&["check"]).await;
        assert_eq!(checked.status.code(), Some(2));
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        let what = format!("`{setting}` has 70000 characters");
        assert!(said.contains(&what), "{}", &said[..said.len().min(2_000)]);
    }
}

/// Secrets Manager with one secret, whose current version has this id.
async fn describe(server: &MockServer, id: &str) {
    let described = json!({ "Name": "k", "VersionIdsToStages": { id: ["AWSCURRENT"] } });
    let value = json!({ "Name": "k", "VersionId": id, "SecretString": "sk-aws" });
    for (operation, body) in [("DescribeSecret", described), ("GetSecretValue", value)] {
        let answer =
            ResponseTemplate::new(200).set_body_raw(body.to_string(), "application/x-amz-json-1.1");
        Mock::given(any())
            .and(header_regex("x-amz-target", operation))
            .respond_with(answer)
            .mount(server)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_of_aws_is_not_taken() {
    let (server, sandbox) = (MockServer::start().await, sandbox(Options::default()).await);
    describe(&server, &"v".repeat(2 << 20)).await;
    let (source, key) = (aws("aws", &server.uri()), key("k", "aws", "k"));
    let config = format!("{QUICK}{source}{key}");
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        rotator
            .environment
            .push((name.to_owned(), "test".to_owned()));
    }
    rotator.start();
    stands(&rotator, "failing", "has 2097152 characters").await;
    eventually("it was looked at again", || async {
        let asked = server.received_requests().await?.len();
        (asked > 5).then_some(())
    })
    .await;
    assert_eq!(rotator.count("secret_unreadable"), 1, "said once");
    sizes(&rotator);
    server.reset().await;
    describe(&server, "11111111-1111-1111-1111-111111111111").await;
    arrives(&sandbox, "k", "sk-aws").await;
    sizes(&rotator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_without_number_are_not_listed() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    let mut fields: serde_json::Map<String, Value> = (0..60_000)
        .map(|number| (format!("{number:x}"), json!("s")))
        .collect();
    fields.insert("f".repeat(100_000), json!("sk-a"));
    rotator.put("a", &Value::Object(fields).to_string());
    rotator.start();
    let malformed = rotator.event("secret_malformed", |_| true).await;
    let error = malformed["error"].as_str().expect("an error");
    assert!(error.contains("more") && error.len() < 2_000, "{error}");
    stands(&rotator, "failing", "more").await;
    sizes(&rotator);
    rotator.put("a", "sk-a");
    arrives(&sandbox, "a", "sk-a").await;
}
