//! The sandbox as a gateway in front of Flashback, and as a Flashback with odd entries.

use flashback_rotator::flashback::sandbox::{Fault, Operation, Rule, Sandbox, sha256_hex};
use reqwest::{Client, Method, Response, redirect};
use serde_json::{Value, json};

use super::sandbox::{ask, create};
use crate::support::sandbox::{TOKEN, start};

async fn put(sandbox: &Sandbox, id: &str, secret: &str) -> Response {
    let client = Client::builder().redirect(redirect::Policy::none());
    client
        .build()
        .expect("a client")
        .put(format!("{}/ai/llm/{id}", sandbox.url()))
        .bearer_auth(TOKEN)
        .json(&json!({"secret": secret}))
        .send()
        .await
        .expect("an answer")
}

#[tokio::test]
async fn a_page_comes_word_for_word_before_or_after_the_write() {
    let sandbox = start().await;
    let id = create(&sandbox, "one").await;
    for (number, (status, kind, body, location, carried_out)) in [
        (
            302,
            Some("text/html"),
            "<p>log in",
            Some("https://login.example/"),
            false,
        ),
        (404, Some("text/plain"), "no route", None, false),
        (502, None, "", None, false),
        (204, None, "", None, true),
        (200, None, "", None, true),
        (200, Some("text/plain"), "OK", None, true),
        (
            200,
            Some("application/json"),
            r#"{"aiLlmId":"x"}"#,
            None,
            true,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = json!({"fault": "page", "status": status, "content_type": kind, "body": body,
            "location": location, "carried_out": carried_out, "operations": ["update"], "next": 1});
        let turn = json!({"faults": [rule]});
        let (turned, _) = ask(&sandbox, Method::PATCH, "/_sandbox/switches", turn).await;
        assert_eq!(turned, 200);
        let secret = format!("secret-{number}");
        let answer = put(&sandbox, &id, &secret).await;
        assert_eq!(answer.status(), status);
        let header = |name| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        assert_eq!(
            (header("content-type"), header("location")),
            (kind, location),
            "{status}"
        );
        assert_eq!(answer.text().await.expect("a text"), body);
        let held = sandbox.configurations()[0].secret_sha256 == sha256_hex(&secret);
        assert_eq!(held, carried_out, "{status}");
        let entry = sandbox.journal().pop().expect("an entry");
        assert_eq!(
            (entry.status, entry.fault),
            (Some(status), Some(Fault::Page))
        );
    }
}

#[tokio::test]
async fn any_fault_can_meet_what_was_carried_out() {
    let sandbox = start().await;
    let id = create(&sandbox, "one").await;
    let rules = [
        Rule::status(503),
        Rule::new(Fault::Html),
        Rule::new(Fault::Unsuccessful),
        Rule::page(403, "text/html", "<p>firewall"),
    ];
    for (number, rule) in rules.into_iter().enumerate() {
        sandbox.fail(rule.carried_out().on(Operation::Update).times(1));
        let secret = format!("secret-{number}");
        put(&sandbox, &id, &secret).await;
        assert_eq!(
            sandbox.configurations()[0].secret_sha256,
            sha256_hex(&secret)
        );
    }
    let broken = json!({"faults": [{"fault": "page", "location": "a\nb"}]});
    let (status, _) = ask(&sandbox, Method::PATCH, "/_sandbox/switches", broken).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn entries_of_lists_are_as_odd_as_the_switch_says() {
    let sandbox = start().await;
    create(&sandbox, "one").await;
    sandbox.create_stored_key(
        "w",
        json!({"key": "k", "secret": "s", "provider": "OPENAI"}),
    );
    let turn = json!({"odd_entries": [
        {"at": 0, "make": {"set": {"endpoint": null, "id": 7}}},
        {"at": 0, "make": {"patch": {"workspaceId": null, "aiType": "MISTRAL"}}},
        {"at": 9, "make": {"insert": null}},
        {"at": 0, "make": {"insert": "a text"}},
        {"operation": "list_stored_keys", "make": {"patch": {"provider": null}}},
    ]});
    let (status, _) = ask(&sandbox, Method::PATCH, "/_sandbox/switches", turn).await;
    assert_eq!(status, 200);
    let (_, body) = ask(&sandbox, Method::GET, "/ai/llm?workspaceId=w", Value::Null).await;
    let entries = body["aiLlms"].as_array().expect("a list");
    assert_eq!(
        (entries.len(), &entries[0], &entries[2]),
        (3, &json!("a text"), &Value::Null)
    );
    let odd = entries[1].as_object().expect("an object");
    assert_eq!(
        (&odd["id"], &odd["endpoint"], &odd["aiType"]),
        (&json!(7), &Value::Null, &json!("MISTRAL"))
    );
    assert!(!odd.contains_key("workspaceId"));
    let (_, body) = ask(&sandbox, Method::GET, "/apikeys", Value::Null).await;
    assert!(body["apiKeys"][0].get("provider").is_none(), "{body}");
    let (_, body) = ask(&sandbox, Method::GET, "/ai/llm/stats", Value::Null).await;
    assert_eq!(
        body["stats"].as_array().map(Vec::len),
        Some(1),
        "other lists are not"
    );
    let wrong = json!({"odd_entries": [{"at": 0, "make": {"explode": 1}}]});
    let (status, _) = ask(&sandbox, Method::PATCH, "/_sandbox/switches", wrong).await;
    assert_eq!(status, 400);
}
