//! The sandbox's rules and switches, as somebody with an HTTP client meets them.

use flashback_rotator::flashback::sandbox::{Fault, Operation, Options, Rule, Sandbox, sha256_hex};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::sandbox::{EMAIL, PASSWORD, TOKEN, options, start, start_with};

pub async fn ask(sandbox: &Sandbox, method: Method, path: &str, body: Value) -> (u16, Value) {
    ask_as(sandbox, TOKEN, method, path, body).await
}

pub async fn ask_as(
    sandbox: &Sandbox,
    token: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (u16, Value) {
    let request = Client::new()
        .request(method, format!("{}{path}", sandbox.url()))
        .bearer_auth(token);
    let request = if body.is_null() {
        request
    } else {
        request.json(&body)
    };
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

pub fn new(name: &str) -> Value {
    json!({"name": name, "aiType": "AWS", "endpoint": "https://bedrock.example", "key": "AKIA-canary",
        "secret": "canary-secret", "workspaceId": "w"})
}

pub async fn create(sandbox: &Sandbox, name: &str) -> String {
    let (status, body) = ask(sandbox, Method::POST, "/ai/llm", new(name)).await;
    assert_eq!(status, 200, "{body}");
    body["aiLlmId"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn shows_no_credential_anywhere() {
    let sandbox = start().await;
    let id = create(&sandbox, "one").await;
    for path in [
        "/ai/llm?workspaceId=w",
        "/ai/llm",
        "/_sandbox/configurations",
        "/_sandbox/journal",
    ] {
        let (status, body) = ask(&sandbox, Method::GET, path, Value::Null).await;
        let text = body.to_string();
        assert!(status == 200 && text.contains(&id), "{path}: {text}");
        assert!(!text.contains("canary"), "{path}: {text}");
    }
    let (_, body) = ask(&sandbox, Method::GET, "/ai/llm", Value::Null).await;
    assert_eq!(body["aiLlms"][0]["key"], "********");
    assert!(body["aiLlms"][0].get("secret").is_none());
    let (_, held) = ask(
        &sandbox,
        Method::GET,
        "/_sandbox/configurations",
        Value::Null,
    )
    .await;
    assert_eq!(held[0]["secret_sha256"], sha256_hex("canary-secret"));
}

#[tokio::test]
async fn names_are_unique_in_their_workspace() {
    let sandbox = start().await;
    create(&sandbox, "one").await;
    let two = create(&sandbox, "two").await;
    let (status, body) = ask(&sandbox, Method::POST, "/ai/llm", new("one")).await;
    assert_eq!(
        (status, &body["error_code"]),
        (400, &json!("DUPLICATE_NAME"))
    );
    let path = format!("/ai/llm/{two}");
    let (status, _) = ask(&sandbox, Method::PUT, &path, json!({"name": "one"})).await;
    assert_eq!(status, 400);
    let (status, _) = ask(&sandbox, Method::PUT, &path, json!({"name": "two"})).await;
    assert_eq!(status, 200, "its own name is no duplicate");
    let mut elsewhere = new("one");
    elsewhere["workspaceId"] = json!("other");
    let (status, _) = ask(&sandbox, Method::POST, "/ai/llm", elsewhere).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn refuses_what_breaks_the_contract() {
    let sandbox = start().await;
    for (field, wrong) in [
        ("name", json!("")),
        ("name", json!(7)),
        ("aiType", json!("MISTRAL")),
        ("endpoint", json!("not a url")),
        ("secret", Value::Null),
        ("workspaceId", json!([])),
    ] {
        let mut body = new("one");
        body[field] = wrong;
        let (status, body) = ask(&sandbox, Method::POST, "/ai/llm", body).await;
        assert_eq!((status, &body["success"]), (400, &json!(false)), "{field}");
        let mut body = new("one");
        body.as_object_mut().expect("an object").remove(field);
        let (status, _) = ask(&sandbox, Method::POST, "/ai/llm", body).await;
        assert_eq!(status, 400, "without {field}");
    }
    assert!(sandbox.configurations().is_empty());
}

#[tokio::test]
async fn asks_for_a_token_and_for_a_known_workspace() {
    let mut options = options();
    options.workspaces = Some(["w".to_owned()].into());
    let sandbox = start_with(options).await;
    let (status, body) = ask_as(&sandbox, "wrong", Method::GET, "/ai/llm", Value::Null).await;
    assert_eq!((status, &body["error_code"]), (401, &json!("UNAUTHORIZED")));
    create(&sandbox, "one").await;
    let (status, _) = ask(&sandbox, Method::GET, "/ai/llm?workspaceId=x", Value::Null).await;
    assert_eq!(status, 403);
    let mut foreign = new("two");
    foreign["workspaceId"] = json!("x");
    let (status, _) = ask(&sandbox, Method::POST, "/ai/llm", foreign).await;
    assert_eq!(status, 403);

    let open = start_with(Options::default()).await;
    let (status, _) = ask_as(&open, "anything", Method::GET, "/ai/llm", Value::Null).await;
    assert_eq!(status, 200);
    let (status, _) = ask_as(&open, "", Method::GET, "/ai/llm", Value::Null).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn tokens_are_given_for_a_while_and_refreshed_once() {
    let sandbox = start().await;
    let login = json!({"email": EMAIL, "password": PASSWORD});
    let (status, tokens) = ask(&sandbox, Method::POST, "/user/login", login).await;
    assert_eq!(status, 200);
    let access = tokens["accessToken"].as_str().expect("a token");
    let (status, _) = ask_as(&sandbox, access, Method::GET, "/ai/llm", Value::Null).await;
    assert_eq!(status, 200);
    let spend = json!({"refresh_token": tokens["refreshToken"]});
    let (status, _) = ask(&sandbox, Method::POST, "/user/refresh", spend.clone()).await;
    assert_eq!(status, 200);
    let (status, _) = ask(&sandbox, Method::POST, "/user/refresh", spend).await;
    assert_eq!(status, 401, "it works once");
    let revoke = json!({"access": true});
    let (status, _) = ask(&sandbox, Method::POST, "/_sandbox/revoke", revoke).await;
    assert_eq!(status, 204);
    let (status, _) = ask_as(&sandbox, access, Method::GET, "/ai/llm", Value::Null).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn validates_and_lists_what_is_available_newest_first() {
    let sandbox = start().await;
    let (one, two) = (create(&sandbox, "one").await, create(&sandbox, "two").await);
    let validate = async |id: &str| {
        let path = format!("/ai/llm/{id}/validate");
        ask(&sandbox, Method::POST, &path, Value::Null).await
    };
    for id in [&one, &two] {
        assert_eq!(validate(id).await.1["success"], true);
    }
    let available = async || {
        let (_, body) = ask(&sandbox, Method::GET, "/ai/llm/available", Value::Null).await;
        let ids = body["aiLlms"].as_array().expect("a list").iter();
        ids.map(|entry| entry["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(available().await, [two.clone(), one.clone()]);

    let switches = json!({"refused_secrets": [sha256_hex("dead")], "refuse_writes": false});
    let (status, _) = ask(&sandbox, Method::PATCH, "/_sandbox/switches", switches).await;
    assert_eq!(status, 200);
    let path = format!("/ai/llm/{two}");
    ask(&sandbox, Method::PUT, &path, json!({"secret": "dead"})).await;
    let (status, body) = validate(&two).await;
    assert_eq!((status, &body["success"]), (200, &json!(false)));
    assert_eq!(available().await, [one]);
    ask(
        &sandbox,
        Method::PATCH,
        "/_sandbox/switches",
        json!({"refuse_writes": true}),
    )
    .await;
    let (status, _) = ask(&sandbox, Method::PUT, &path, json!({"secret": "dead"})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn deletes_unless_a_repository_uses_it() {
    let sandbox = start().await;
    let id = create(&sandbox, "one").await;
    let other = create(&sandbox, "two").await;
    let path = format!("/_sandbox/configurations/{id}/repositories");
    let (status, _) = ask(&sandbox, Method::POST, &path, json!({"name": "app"})).await;
    assert_eq!(status, 204);
    let delete = async |id: &str| {
        let path = format!("/ai/llm/{id}");
        ask(&sandbox, Method::DELETE, &path, Value::Null).await.0
    };
    assert_eq!(delete(&id).await, 403);
    assert_eq!(delete(&other).await, 200);
    assert_eq!(delete(&other).await, 404);
    let path = format!("/_sandbox/configurations/{id}");
    let (status, _) = ask(&sandbox, Method::DELETE, &path, Value::Null).await;
    assert_eq!(status, 204);
    assert!(sandbox.configurations().is_empty());
}

#[tokio::test]
async fn switches_are_turned_over_http_and_mistakes_named() {
    let sandbox = start().await;
    let turn =
        async |switches: Value| ask(&sandbox, Method::PATCH, "/_sandbox/switches", switches).await;
    let rule = json!({"fault": "status", "status": 429, "retry_after": "3", "next": 1, "operations": ["list"]});
    let (status, switches) = turn(json!({"faults": [rule], "latency_ms": 1})).await;
    assert_eq!((status, &switches["latency_ms"]), (200, &json!(1)));
    let url = format!("{}/ai/llm", sandbox.url());
    let answer = Client::new()
        .get(&url)
        .bearer_auth(TOKEN)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "3");
    let (status, _) = ask(&sandbox, Method::GET, "/ai/llm", Value::Null).await;
    assert_eq!(status, 200, "once");

    for (wrong, word) in [
        (json!({"latency": 1}), "latency"),
        (json!({"max_rps": 0}), "max_rps"),
        (json!({"faults": [{"fault": "close", "share": 2}]}), "share"),
        (json!({"faults": [{"fault": "explode"}]}), "explode"),
    ] {
        let (status, body) = turn(wrong).await;
        let message = body["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(word), "{message}");
    }
    let help = Client::new().get(format!("{}/_sandbox", sandbox.url()));
    let help = help.send().await.expect("help").text().await.expect("text");
    assert!(help.contains("lose_answer"), "{help}");
    let alive = Client::new().get(format!("{}/_sandbox/livez", sandbox.url()));
    let alive = alive.send().await.expect("an answer").status();
    assert_eq!(alive, 200);
}

#[tokio::test]
async fn a_rate_limit_answers_429() {
    let sandbox = start().await;
    sandbox.change(|switches| switches.max_rps = Some(0.01));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(ask(&sandbox, Method::GET, "/ai/llm", Value::Null).await.0);
    }
    assert_eq!(statuses, [200, 429, 429, 429, 429]);
}

#[tokio::test]
async fn cut_connections_are_cut_and_written_down() {
    let sandbox = start().await;
    sandbox.fail(Rule::new(Fault::LoseAnswer).on(Operation::Create).times(1));
    let lost = Client::new()
        .post(format!("{}/ai/llm", sandbox.url()))
        .bearer_auth(TOKEN)
        .json(&new("one"))
        .send()
        .await;
    assert!(lost.is_err(), "{lost:?}");
    let journal = sandbox.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(
        (journal[0].status, journal[0].fault),
        (None, Some(Fault::LoseAnswer))
    );
    assert_eq!(journal[0].name.as_deref(), Some("one"));
    let held = sandbox.configurations();
    assert_eq!(
        journal[0].ai_llm_id.as_deref(),
        Some(held[0].ai_llm_id.as_str())
    );
    let address = sandbox.address();
    sandbox.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
