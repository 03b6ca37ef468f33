//! The calls of the platform's official client, one after the other and as it makes them: what it leaves
//! out, what it sends as null, and which fields it reads from each answer.

use std::time::{SystemTime, UNIX_EPOCH};

use flashback_rotator::flashback::sandbox::Sandbox;
use flashback_rotator::flashback::totp;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::sandbox::{EMAIL, PASSWORD, start};

const SEED: &str = "JBSWY3DPEHPK3PXP";

/// The client: a base address, and a bearer once there is one.
struct Official<'a> {
    sandbox: &'a Sandbox,
    bearer: String,
}

impl Official<'_> {
    /// Makes a call, and returns the answer. There is a body, and a `Content-Type`, only where there is
    /// something to send.
    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/{path}", self.sandbox.url());
        let mut request = Client::new().request(method, url);
        if !self.bearer.is_empty() {
            request = request.header("Authorization", format!("Bearer {}", self.bearer));
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        (
            answer.status().as_u16(),
            answer.json().await.expect("JSON, as the client parses it"),
        )
    }

    /// Makes a call that works, and whose answer has these fields.
    async fn works(&self, method: Method, path: &str, body: Value, fields: &[&str]) -> Value {
        let (status, answer) = self.call(method.clone(), path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        for field in fields {
            let found = answer.pointer(field);
            assert!(found.is_some(), "{method} {path}: no {field} in {answer}");
        }
        assert_ne!(answer["success"], false, "{method} {path}: {answer}");
        answer
    }

    async fn get(&self, path: &str, fields: &[&str]) -> Value {
        self.works(Method::GET, path, Value::Null, fields).await
    }

    async fn post(&self, path: &str, body: Value, fields: &[&str]) -> Value {
        self.works(Method::POST, path, body, fields).await
    }

    async fn put(&self, path: &str, body: Value, fields: &[&str]) -> Value {
        self.works(Method::PUT, path, body, fields).await
    }

    async fn delete(&self, path: &str) -> u16 {
        self.call(Method::DELETE, path, Value::Null).await.0
    }
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().expect(field).to_owned()
}

#[tokio::test]
async fn the_sandbox_takes_each_call_of_the_official_client() {
    let sandbox = start().await;
    let mut client = Official {
        sandbox: &sandbox,
        bearer: String::new(),
    };
    let account = json!({"email": EMAIL, "password": PASSWORD});
    let signed_in = [
        "/accessToken",
        "/refreshToken",
        "/expiresAt",
        "/user/orgRole",
        "/tokenId",
    ];
    let tokens = client.post("user/login", account.clone(), &signed_in).await;
    client.bearer = text(&tokens, "accessToken");
    client
        .get(
            "user/profile",
            &[
                "/data/id",
                "/data/orgId",
                "/data/orgRole",
                "/data/mfaRequired",
            ],
        )
        .await;

    let new = json!({"workspaceId": "w", "key": "k", "secret": "s", "provider": "OPENAI"});
    let made = client.post("apikeys", new, &["/apiKeyId"]).await;
    let key = text(&made, "apiKeyId");
    let listed = [
        "/apiKeys/0/id",
        "/apiKeys/0/provider",
        "/apiKeys/0/createdAt",
    ];
    for query in [
        "",
        "workspaceId=w",
        "workspaceId=w&capability=2&provider=OPENAI",
    ] {
        client.get(&format!("apikeys?{query}"), &listed).await;
    }
    client
        .put(
            &format!("apikeys/{key}"),
            json!({"secret": "t"}),
            &["/success"],
        )
        .await;

    let own = json!({"name": "own", "aiType": "OPENAI", "endpoint": "https://api.openai.com/v1",
        "key": null, "secret": "x", "workspaceId": "w"});
    let own = text(&client.post("ai/llm", own, &["/aiLlmId"]).await, "aiLlmId");
    let nulls = json!({"name": "nulls", "aiType": "OPENAI", "endpoint": null, "key": null,
        "secret": null, "apiKeyUuid": key, "workspaceId": "w"});
    client.post("ai/llm", nulls, &["/aiLlmId"]).await;
    let bare = json!({"name": "bare", "aiType": "AWS", "apiKeyUuid": key, "workspaceId": "w"});
    client.post("ai/llm", bare, &["/aiLlmId"]).await;
    let listed = [
        "/aiLlms/2/id",
        "/aiLlms/2/userId",
        "/aiLlms/2/apiKeyId",
        "/aiLlms/0/repos",
    ];
    for path in ["ai/llm", "ai/llm?workspaceId=w"] {
        client.get(path, &listed).await;
    }
    client.get("ai/llm/stats", &["/stats/2/totalBlocks"]).await;
    client
        .get(
            &format!("ai/llm/stats?aiLlmId={own}"),
            &["/stats/0/totalApiCalls"],
        )
        .await;
    let path = format!("ai/llm/{own}");
    for change in [
        json!({"name": "renamed"}),
        json!({"secret": "y", "key": null}),
        json!({"apiKeyUuid": key, "endpoint": null, "key": null, "secret": null}),
    ] {
        client.put(&path, change, &["/aiLlmId"]).await;
    }
    client
        .post(
            &format!("{path}/validate"),
            Value::Null,
            &["/success", "/message"],
        )
        .await;
    client.get("ai/llm/available", &["/aiLlms/0/id"]).await;
    let event = [
        "/events/0/contextId",
        "/events/0/userEmail",
        "/total",
        "/skip",
        "/take",
    ];
    client
        .post("systemevent", json!({"skip": 0, "take": 20}), &event)
        .await;
    let some = json!({"from_timestamp": "2026-01-01T00:00:00.000Z", "context": 11, "event": 1,
        "workspaceId": "w", "contextId": own, "skip": 0, "take": 1});
    client.post("systemevent", some, &event).await;
    assert_eq!(client.delete(&path).await, 200);
    assert_eq!(
        client.delete(&format!("apikeys/{key}")).await,
        403,
        "in use"
    );

    let refresh = json!({"refresh_token": tokens["refreshToken"]});
    let tokens = client.post("user/refresh", refresh, &signed_in[..3]).await;
    client.bearer = text(&tokens, "accessToken");
    let logout = json!({"refresh_token": tokens["refreshToken"]});
    client.post("user/logout", logout, &["/success"]).await;
    assert_eq!(client.call(Method::GET, "ai/llm", Value::Null).await.0, 401);

    let turn = json!({"enforce_mfa": true, "totp": SEED});
    client
        .works(Method::PATCH, "_sandbox/switches", turn, &[])
        .await;
    let limited = client
        .post("user/login", account, &["/user/mfaRequired"])
        .await;
    client.bearer = text(&limited, "accessToken");
    assert_eq!(client.call(Method::GET, "ai/llm", Value::Null).await.0, 403);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let code = totp::code(SEED, now.as_secs()).expect("a code");
    let code = json!({"mfaType": "GOOGLE_AUTH", "code": code});
    let full = client
        .post(
            "mfa/verify-login",
            code,
            &["/message", "/fullAccessToken", "/refreshToken"],
        )
        .await;
    client.bearer = text(&full, "fullAccessToken");
    client.get("ai/llm?workspaceId=w", &["/aiLlms/0/id"]).await;
}
