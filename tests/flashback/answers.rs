//! The table of answers: what each means, for each call. docs/flashback.md shows it.

use flashback_rotator::flashback::client::Client;
use flashback_rotator::flashback::sandbox::{Operation, Rule, Sandbox};
use flashback_rotator::flashback::{Flashback, FlashbackError, Validation};
use flashback_rotator::model::{AiLlmId, TargetKind, Verdict, WorkspaceId};
use flashback_rotator::retry::Class;
use flashback_rotator::upstream::Failure as _;

use crate::support::sandbox::{client, credentials, settings, start, token};

/// One kind of answer.
struct Answer {
    status: u16,
    kind: &'static str,
    body: &'static str,
    /// How the documentation calls the body.
    called: &'static str,
}

const fn answer(
    status: u16,
    kind: &'static str,
    body: &'static str,
    called: &'static str,
) -> Answer {
    Answer {
        status,
        kind,
        body,
        called,
    }
}

const JSON: &str = "application/json";
const HTML: &str = "text/html";
const TEXT: &str = "text/plain";
const PAGE: &str = "<!doctype html><title>Sign in</title>";
const REFUSAL: &str = r#"{"success":false,"message":"Invalid API key"}"#;
const NO_SUCCESS: &str = "`success: false`";
const APIS: &str = "the API's JSON";
const MESSAGE: &str = r#"{"message":"Forbidden"}"#;
const BARE: &str = "`message` alone";

/// The calls, as the columns of the table have them.
const CALLS: [(&str, Operation); 4] = [
    ("`GET /ai/llm`", Operation::List),
    ("`POST /ai/llm`", Operation::Create),
    ("`PUT /ai/llm/{id}`", Operation::Update),
    ("`POST …/validate`", Operation::Validate),
];

/// What each answer is taken for, call by call. That a call is carried out or not is not known to
/// whoever gets the answer, so the sandbox carries none out.
const TABLE: [(Answer, [&str; 4]); 24] = [
    (
        answer(
            200,
            JSON,
            r#"{"success":true,"aiLlms":[],"aiLlmId":"id","message":"m"}"#,
            "the contract's",
        ),
        ["done", "done", "done", "works"],
    ),
    (
        answer(
            200,
            JSON,
            r#"{"aiLlms":[],"aiLlmId":"id"}"#,
            "the contract's without `success`",
        ),
        ["done", "done", "done", "unclear"],
    ),
    (
        answer(200, JSON, REFUSAL, NO_SUCCESS),
        ["repeated", "repeated", "repeated", "rejected"],
    ),
    (
        answer(200, JSON, "{}", "`{}`"),
        ["repeated", "looked up", "done", "unclear"],
    ),
    (
        answer(204, JSON, "", "empty"),
        ["repeated", "looked up", "done", "unclear"],
    ),
    (
        answer(200, TEXT, "OK", "text"),
        ["repeated", "looked up", "done", "unclear"],
    ),
    (answer(200, HTML, PAGE, "a page"), REPEATED),
    (answer(302, HTML, PAGE, "a page"), REPEATED),
    (
        answer(400, JSON, REFUSAL, APIS),
        ["refused", "refused", "refused", "rejected"],
    ),
    (answer(400, HTML, PAGE, "a page"), REPEATED),
    (answer(401, JSON, REFUSAL, APIS), ["sign-in"; 4]),
    (answer(401, HTML, PAGE, "a page"), REPEATED),
    (
        answer(403, JSON, REFUSAL, APIS),
        ["refused", "refused", "refused", "unverified"],
    ),
    (answer(403, JSON, MESSAGE, BARE), REPEATED),
    (answer(403, HTML, PAGE, "a page"), REPEATED),
    (
        answer(404, JSON, REFUSAL, APIS),
        ["none there", "none there", "gone", "unverified"],
    ),
    (answer(404, JSON, MESSAGE, BARE), REPEATED),
    (answer(404, TEXT, "404 page not found", "text"), REPEATED),
    (
        answer(409, JSON, REFUSAL, APIS),
        ["refused", "refused", "refused", "unclear"],
    ),
    (
        answer(422, JSON, REFUSAL, APIS),
        ["refused", "refused", "refused", "rejected"],
    ),
    (answer(408, HTML, PAGE, "any"), REPEATED),
    (
        answer(429, JSON, REFUSAL, "any"),
        ["outage", "outage", "outage", "unclear"],
    ),
    (answer(500, JSON, REFUSAL, "any"), REPEATED),
    (
        answer(503, HTML, PAGE, "any"),
        ["outage", "outage", "outage", "unclear"],
    ),
];

const REPEATED: [&str; 4] = ["repeated", "repeated", "repeated", "unclear"];

/// What a call that ended so is taken for.
fn meaning<T>(result: Result<T, FlashbackError>, done: impl Fn(T) -> &'static str) -> &'static str {
    match result {
        Ok(value) => done(value),
        Err(FlashbackError::SignIn { .. }) => "sign-in",
        Err(FlashbackError::NotFound { .. }) => "gone",
        Err(error) => match error.class() {
            Class::Outage { .. } => "outage",
            Class::Transient { .. } => "repeated",
            Class::Refused => "refused",
        },
    }
}

/// What a validation that ended so says of the key.
fn verdict(result: Result<Validation, FlashbackError>) -> &'static str {
    match result {
        Ok(Validation::Valid) => "works",
        Ok(Validation::Invalid(_)) => "rejected",
        Err(FlashbackError::SignIn { .. }) => "sign-in",
        Err(error) => match error.verdict() {
            Verdict::Works => "works",
            Verdict::Rejected(_) => "rejected",
            Verdict::Inconclusive(_) => "unclear",
            Verdict::Unsupported(_) => "unverified",
        },
    }
}

async fn call(
    sandbox: &Sandbox,
    client: &Client,
    id: &AiLlmId,
    operation: Operation,
) -> &'static str {
    let workspace = WorkspaceId::new("workspace-123");
    match operation {
        Operation::List => match client.list(&workspace, TargetKind::Configuration).await {
            Err(FlashbackError::NotFound { .. }) => "none there",
            other => meaning(other, |_| "done"),
        },
        Operation::Create => {
            let lists = || {
                sandbox
                    .journal()
                    .iter()
                    .filter(|entry| entry.operation == Operation::List)
                    .count()
            };
            let before = lists();
            let created = client
                .create(&settings("new"), &credentials("sk-new"))
                .await;
            match created {
                Err(FlashbackError::NotFound { .. }) => "none there",
                _ if lists() > before => "looked up",
                other => meaning(other, |_| "done"),
            }
        }
        Operation::Update => {
            let updated = client
                .update(id, &settings("one"), &credentials("sk-new"))
                .await;
            meaning(updated, |()| "done")
        }
        _ => verdict(client.validate(id).await),
    }
}

#[tokio::test]
async fn every_answer_means_what_the_table_says() {
    let mut wrong = Vec::new();
    for (answer, expected) in &TABLE {
        for ((name, operation), expected) in CALLS.iter().zip(expected) {
            let sandbox = start().await;
            // Of a client of its own each, so that no outage of one call stands before another.
            let client = client(&sandbox.url(), token());
            let id = client
                .create(&settings("one"), &credentials("sk-one"))
                .await
                .expect("made");
            sandbox.fail(Rule::page(answer.status, answer.kind, answer.body).on(*operation));
            let found = call(&sandbox, &client, &id, *operation).await;
            if found != *expected {
                wrong.push(format!(
                    "{name} {} {} {}: {found}, not {expected}",
                    answer.status, answer.kind, answer.called
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A configuration that somebody deleted is gone, whatever the words of the 404, where the list says so.
#[tokio::test]
async fn a_404_in_other_words_is_checked_against_the_list() {
    let sandbox = start().await;
    let client = client(&sandbox.url(), token());
    let id = client
        .create(&settings("one"), &credentials("sk-one"))
        .await
        .expect("made");
    for (body, kind) in [(MESSAGE, JSON), (PAGE, HTML)] {
        sandbox.fail(Rule::page(404, kind, body).on(Operation::Update));
        let found = call(&sandbox, &client, &id, Operation::Update).await;
        assert_eq!(found, "repeated", "{body}");
        let deleted = AiLlmId::new("deleted");
        let found = call(&sandbox, &client, &deleted, Operation::Update).await;
        assert_eq!(found, "gone", "{body}");
        sandbox.heal();
    }
}

#[test]
fn the_documentation_shows_the_table() {
    let mut lines = vec![
        format!(
            "| answer | body | {} |",
            CALLS.map(|(name, _)| name).join(" | ")
        ),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for (answer, meanings) in &TABLE {
        lines.push(format!(
            "| {} | {} | {} |",
            answer.status,
            answer.called,
            meanings.join(" | ")
        ));
    }
    let table = lines.join("\n");
    let page = include_str!("../../docs/flashback.md");
    assert!(
        page.contains(&table),
        "docs/flashback.md should have this table:\n{table}"
    );
}
