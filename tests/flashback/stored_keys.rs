//! Stored provider keys, the configurations that share them, and what writes tell of themselves.

use flashback_rotator::flashback::sandbox::{InlineOnStored, Sandbox, USER_ID, sha256_hex};
use reqwest::Method;
use serde_json::{Value, json};

use super::sandbox::{ask, create, new};
use crate::support::sandbox::start;

async fn get(sandbox: &Sandbox, path: &str) -> Value {
    let (status, body) = ask(sandbox, Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// Stores a key over HTTP.
async fn store(sandbox: &Sandbox, secret: &str) -> String {
    let body = json!({"workspaceId": "w", "key": "AKIA-canary", "secret": secret, "provider": "OPENAI",
        "description": "shared"});
    let (status, body) = ask(sandbox, Method::POST, "/apikeys", body).await;
    assert_eq!((status, &body["success"]), (200, &json!(true)), "{body}");
    body["apiKeyId"].as_str().expect("an id").to_owned()
}

/// Makes a configuration that takes its credentials from a stored key.
async fn create_with(sandbox: &Sandbox, name: &str, api_key_id: &str) -> (u16, Value) {
    let body = json!({"name": name, "aiType": "OPENAI", "endpoint": null, "key": null, "secret": null,
        "apiKeyUuid": api_key_id, "workspaceId": "w"});
    ask(sandbox, Method::POST, "/ai/llm", body).await
}

#[tokio::test]
async fn are_listed_masked_and_filtered() {
    let sandbox = start().await;
    let id = store(&sandbox, "canary-secret").await;
    let other =
        sandbox.create_stored_key("x", json!({"key": "k", "secret": "s", "provider": "S3"}));
    create_with(&sandbox, "one", &id).await;
    let all = get(&sandbox, "/apikeys").await;
    assert!(!all.to_string().contains("canary"), "{all}");
    let first = &all["apiKeys"][0];
    assert_eq!(
        (&first["id"], &first["key"]),
        (&json!(id), &json!("********"))
    );
    assert_eq!(
        (&first["description"], &first["aillm_count"]),
        (&json!("shared"), &json!(1))
    );
    assert!(
        first.get("secret").is_none() && first.get("region").is_none(),
        "{first}"
    );
    for (query, expected) in [
        ("workspaceId=w", &id),
        ("workspaceId=x", &other),
        ("provider=OPENAI", &id),
        ("capability=2", &id),
        ("capability=1", &other),
    ] {
        let some = get(&sandbox, &format!("/apikeys?{query}")).await;
        let ids: Vec<_> = some["apiKeys"].as_array().expect("a list").iter().collect();
        assert_eq!(ids.len(), 1, "{query}: {some}");
        assert_eq!(ids[0]["id"], json!(expected), "{query}");
    }
    let (status, _) = ask(&sandbox, Method::GET, "/apikeys?capability=x", Value::Null).await;
    assert_eq!(status, 400);
    let journal = serde_json::to_string(&sandbox.journal()).expect("JSON");
    assert!(
        journal.contains(&id) && !journal.contains("canary"),
        "{journal}"
    );
}

#[tokio::test]
async fn change_in_what_is_sent_and_stay_while_in_use() {
    let sandbox = start().await;
    let id = store(&sandbox, "old").await;
    let path = format!("/apikeys/{id}");
    let (status, body) = ask(&sandbox, Method::PUT, &path, json!({"secret": "new"})).await;
    assert_eq!((status, &body["success"]), (200, &json!(true)));
    assert!(body.get("apiKeyId").is_none(), "{body}");
    let held = &sandbox.stored_keys()[0];
    assert_eq!(held.secret_sha256, sha256_hex("new"));
    assert_eq!(held.key_sha256, sha256_hex("AKIA-canary"));
    assert_eq!((held.description(), held.writes), (Some("shared"), 2));

    let (_, made) = create_with(&sandbox, "one", &id).await;
    let delete = async |path: &str| ask(&sandbox, Method::DELETE, path, Value::Null).await.0;
    assert_eq!(delete(&path).await, 403);
    let configuration = format!("/ai/llm/{}", made["aiLlmId"].as_str().expect("an id"));
    assert_eq!(delete(&configuration).await, 200);
    assert_eq!(delete(&path).await, 200);
    assert_eq!(delete(&path).await, 404);
    for (field, wrong) in [
        ("key", json!(null)),
        ("provider", json!("")),
        ("region", json!(1)),
    ] {
        let (status, _) = ask(&sandbox, Method::PUT, &path, json!({field: wrong})).await;
        assert!([400, 404].contains(&status), "{field}: {status}");
    }
}

#[tokio::test]
async fn give_configurations_their_credentials() {
    let sandbox = start().await;
    let id = store(&sandbox, "shared-secret").await;
    let (status, made) = create_with(&sandbox, "one", &id).await;
    assert_eq!(status, 200, "{made}");
    let one = made["aiLlmId"].as_str().expect("an id");
    let own = create(&sandbox, "own").await;
    let listed = get(&sandbox, "/ai/llm").await;
    assert_eq!(listed["aiLlms"][0]["apiKeyId"], json!(id));
    assert_eq!(listed["aiLlms"][0]["endpoint"], Value::Null);
    assert_eq!(listed["aiLlms"][1]["apiKeyId"], Value::Null);

    let validate = async |id: &str| {
        let path = format!("/ai/llm/{id}/validate");
        let (_, body) = ask(&sandbox, Method::POST, &path, Value::Null).await;
        body["success"].as_bool().expect("a verdict")
    };
    assert!(validate(one).await);
    sandbox.change(|switches| {
        switches.refused_secrets.insert(sha256_hex("shared-secret"));
    });
    assert!(!validate(one).await, "the stored key is in effect");
    assert!(validate(&own).await);
    sandbox.change(|switches| {
        switches.refused_configurations.insert(own.clone());
    });
    assert!(!validate(&own).await, "whatever its key");

    let (status, body) = create_with(&sandbox, "two", "no-such-key").await;
    assert_eq!((status, &body["success"]), (400, &json!(false)));
    let foreign = json!({"key": "k", "secret": "s", "provider": "OPENAI"});
    let foreign = sandbox.create_stored_key("x", foreign);
    assert_eq!(create_with(&sandbox, "two", &foreign).await.0, 400);
    // An own configuration can move to a stored key.
    let path = format!("/ai/llm/{own}");
    let (status, _) = ask(&sandbox, Method::PUT, &path, json!({"apiKeyUuid": id})).await;
    assert_eq!(status, 200);
    assert_eq!(sandbox.stored_keys()[0].configurations, [one, &own]);
    let shown = &sandbox.configurations()[1];
    assert_eq!(shown.secret_sha256, sha256_hex("shared-secret"));
}

#[tokio::test]
async fn meet_a_secret_for_one_configuration_as_the_switch_says() {
    for (switch, kept, stored) in [
        (InlineOnStored::Ignore, true, "old"),
        (InlineOnStored::Detach, false, "old"),
        (InlineOnStored::Change, true, "new"),
    ] {
        let sandbox = start().await;
        sandbox.change(|switches| switches.inline_on_stored = switch);
        let id = store(&sandbox, "old").await;
        let (_, made) = create_with(&sandbox, "one", &id).await;
        create_with(&sandbox, "two", &id).await;
        let path = format!("/ai/llm/{}", made["aiLlmId"].as_str().expect("an id"));
        let write = json!({"endpoint": "https://api.openai.com/v1", "secret": "new", "key": null});
        let (status, body) = ask(&sandbox, Method::PUT, &path, write).await;
        assert_eq!(status, 200, "{switch:?}: {body}");
        let all = sandbox.configurations();
        assert_eq!(all[0].api_key_id.is_some(), kept, "{switch:?}");
        assert_eq!(
            sandbox.stored_keys()[0].secret_sha256,
            sha256_hex(stored),
            "{switch:?}"
        );
        assert_eq!(
            all[1].secret_sha256,
            sha256_hex(stored),
            "{switch:?}: the other one"
        );
        let own = if kept { stored } else { "new" };
        assert_eq!(all[0].secret_sha256, sha256_hex(own), "{switch:?}");
    }
}

#[tokio::test]
async fn null_takes_a_left_over_key_away_and_nothing_else() {
    let sandbox = start().await;
    let id = create(&sandbox, "one").await;
    let path = format!("/ai/llm/{id}");
    let put = async |body: Value| ask(&sandbox, Method::PUT, &path, body).await.0;
    assert_eq!(put(json!({"name": "one"})).await, 200);
    assert!(sandbox.configurations()[0].key_sha256.is_some());
    assert_eq!(put(json!({"key": null})).await, 200);
    assert_eq!(sandbox.configurations()[0].key_sha256, None);
    let listed = get(&sandbox, "/ai/llm").await;
    assert_eq!(listed["aiLlms"][0]["key"], Value::Null);
    for (field, wrong) in [
        ("secret", json!(null)),
        ("endpoint", json!(null)),
        ("name", json!(null)),
    ] {
        assert_eq!(put(json!({field: wrong})).await, 400, "{field}");
    }
    assert_eq!(
        sandbox.configurations()[0].secret_sha256,
        sha256_hex("canary-secret")
    );
    let mut body = new("two");
    body["key"] = Value::Null;
    assert_eq!(ask(&sandbox, Method::POST, "/ai/llm", body).await.0, 200);
}

#[tokio::test]
async fn statistics_are_there_for_each_configuration() {
    let sandbox = start().await;
    create(&sandbox, "one").await;
    let two = create(&sandbox, "two").await;
    let all = get(&sandbox, "/ai/llm/stats").await;
    assert_eq!(all["stats"].as_array().map(Vec::len), Some(2), "{all}");
    let one = get(&sandbox, &format!("/ai/llm/stats?aiLlmId={two}")).await;
    assert_eq!(one["stats"][0]["aiLlmId"], json!(two));
    assert_eq!(one["stats"][0]["totalTokensIn"], "0");
}

/// The events that a query finds: number, context, event, id, user.
async fn events(sandbox: &Sandbox, query: Value) -> Vec<(u64, String, String, String, String)> {
    let mut body = json!({"skip": 0, "take": 100});
    body.as_object_mut()
        .expect("an object")
        .extend(query.as_object().expect("an object").clone());
    let (status, body) = ask(sandbox, Method::POST, "/systemevent", body).await;
    assert_eq!(status, 200, "{body}");
    let text = |event: &Value, field| event[field].as_str().expect("a text").to_owned();
    let events = body["events"].as_array().expect("a list").iter();
    let row = |event: &Value| {
        let id = event["id"].as_u64().expect("a number");
        let (context, what) = (text(event, "context"), text(event, "event"));
        (
            id,
            context,
            what,
            text(event, "contextId"),
            text(event, "userId"),
        )
    };
    events.map(row).collect()
}

#[tokio::test]
async fn every_write_is_an_event_of_its_user() {
    let sandbox = start().await;
    let id = create(&sandbox, "one").await;
    let path = format!("/ai/llm/{id}");
    ask(&sandbox, Method::PUT, &path, json!({"secret": "new"})).await;
    ask(&sandbox, Method::PUT, &path, json!({"aiType": "NONE"})).await;
    let stored = store(&sandbox, "s").await;
    let edited = json!({"user": "user-7", "set": {"secret": "edited"}});
    let edit = format!("/_sandbox/api_keys/{stored}/edit");
    assert_eq!(
        ask(&sandbox, Method::POST, &edit, edited.clone()).await.0,
        200
    );
    let edit = format!("/_sandbox/configurations/{id}/edit");
    assert_eq!(ask(&sandbox, Method::POST, &edit, edited).await.0, 200);
    assert_eq!(
        sandbox.configurations()[0].secret_sha256,
        sha256_hex("edited")
    );
    ask(&sandbox, Method::DELETE, &path, Value::Null).await;
    assert!(
        !sandbox.edit(&id, "user-7", json!({"secret": "x"})),
        "it is gone"
    );

    let event = |number, context: &str, what: &str, id: &str, user: &str| {
        (
            number,
            context.to_owned(),
            what.to_owned(),
            id.to_owned(),
            user.to_owned(),
        )
    };
    let expected = [
        event(6, "aillm", "deleted", &id, USER_ID),
        event(5, "aillm", "updated", &id, "user-7"),
        event(4, "apikey", "updated", &stored, "user-7"),
        event(3, "apikey", "created", &stored, USER_ID),
        event(2, "aillm", "updated", &id, USER_ID),
        event(1, "aillm", "created", &id, USER_ID),
    ];
    assert_eq!(events(&sandbox, json!({})).await, expected);
    for (query, numbers) in [
        (json!({"context": 11}), vec![6, 5, 2, 1]),
        (json!({"context": 6, "event": 1}), vec![4]),
        (json!({"userId": "user-7"}), vec![5, 4]),
        (json!({"contextId": stored}), vec![4, 3]),
        (json!({"workspaceId": "elsewhere"}), vec![]),
        (json!({"from_timestamp": "2100-01-01T00:00:00Z"}), vec![]),
        (
            json!({"to_timestamp": "2100-01-01T00:00:00.000Z", "take": 2}),
            vec![6, 5],
        ),
        (json!({"skip": 4, "take": 1}), vec![2]),
    ] {
        let found = events(&sandbox, query.clone()).await;
        let found: Vec<u64> = found.into_iter().map(|event| event.0).collect();
        assert_eq!(found, numbers, "{query}");
    }
    for wrong in [
        json!({"take": 0}),
        json!({"take": 101}),
        json!({"context": 14}),
        json!({"from_timestamp": 1}),
    ] {
        let mut body = json!({"skip": 0, "take": 1});
        body.as_object_mut()
            .expect("an object")
            .extend(wrong.as_object().expect("one").clone());
        assert_eq!(
            ask(&sandbox, Method::POST, "/systemevent", body).await.0,
            400,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn an_ordinary_user_sees_its_own_events_only() {
    let sandbox = start().await;
    let id = sandbox.insert("w", new("theirs"));
    create(&sandbox, "ours").await;
    assert!(sandbox.edit(&id, "user-7", json!({"name": "renamed"})));
    let turn = json!({"org_role": 0xfd, "events_oldest_first": true});
    ask(&sandbox, Method::PATCH, "/_sandbox/switches", turn).await;
    let own = events(&sandbox, json!({})).await;
    assert_eq!(own.iter().map(|event| event.0).collect::<Vec<_>>(), [2]);
    assert_eq!(events(&sandbox, json!({"userId": "user-7"})).await, []);
    sandbox.change(|switches| switches.org_role = 0xfe);
    let all = events(&sandbox, json!({})).await;
    assert_eq!(
        all.iter().map(|event| event.0).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}
