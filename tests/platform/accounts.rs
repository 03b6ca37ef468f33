//! Whose writes are whose, where the rotator is given another account.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::rotator::{QUICK, Rotator, file_key};
use crate::support::{eventually, place_file};

/// Whether the second account makes a request.
fn is_of_the_second(request: &Request) -> bool {
    let token = request.headers.get("authorization");
    token.is_some_and(|token| token == "Bearer another-token")
}

/// A Flashback whose users are known by their tokens, with the one configuration `id-1`.
async fn with_users() -> (MockServer, Arc<Mutex<Vec<Value>>>) {
    let user = |request: &Request| match is_of_the_second(request) {
        true => "user-2",
        false => "user-1",
    };
    let updates: Arc<Mutex<Vec<Value>>> = Arc::default();
    let (written, told) = (Arc::clone(&updates), Arc::clone(&updates));
    let server = MockServer::start().await;
    let answer = |body: Value| ResponseTemplate::new(200).set_body_json(body);
    let profile = move |request: &Request| {
        answer(json!({"success": true, "data": {"id": user(request), "orgRole": 255}}))
    };
    let events = move |_: &Request| {
        let events = told.lock().clone();
        answer(json!({"total": events.len(), "events": events}))
    };
    let write = move |request: &Request| {
        let mut updates = written.lock();
        let update = json!({"id": updates.len(), "timestamp": chrono::Utc::now(), "contextId": "id-1",
            "context": "aillm", "event": "updated", "userId": user(request)});
        updates.push(update);
        answer(json!({"success": true, "aiLlmId": "id-1"}))
    };
    let list = json!({"success": true, "aiLlms": [{"id": "id-1", "name": "a", "aiType": "OPENAI",
        "endpoint": "https://api.openai.com/v1"}]});
    for mock in [
        Mock::given(path("/user/profile")).respond_with(profile),
        Mock::given(path("/systemevent")).respond_with(events),
        Mock::given(method("PUT")).respond_with(write),
        Mock::given(method("GET")).respond_with(answer(list)),
        Mock::given(any()).respond_with(answer(json!({"success": true}))),
    ] {
        mock.mount(&server).await;
    }
    (server, updates)
}

/// Waits until events were asked for so many times more.
async fn asked(server: &MockServer, more: usize) {
    let count = || async {
        let all = server.received_requests().await.expect("recorded");
        let events = |request: &&Request| request.url.path() == "/systemevent";
        all.iter().filter(events).count()
    };
    let before = count().await;
    eventually("events are asked for", || async {
        (count().await >= before + more).then_some(())
    })
    .await;
}

/// What the second account writes is the rotator's own, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_writes_are_no_edits_after_a_change_of_the_account() {
    let (server, updates) = with_users().await;
    let users = || -> Vec<Value> {
        let updates = updates.lock();
        updates.iter().map(|it| it["userId"].clone()).collect()
    };
    let mut rotator = Rotator::new(&server.uri(), &format!("{QUICK}{}", file_key("a")));
    rotator.watch_edits("1s");
    rotator.put("a", "sk-one");
    rotator.start();
    asked(&server, 3).await;
    assert_eq!(users().len(), 1, "{:?}", users());
    place_file(rotator.path().join("token"), "another-token");
    eventually("the new token is in use", || async {
        let all = server.received_requests().await.expect("recorded");
        all.iter().any(is_of_the_second).then_some(())
    })
    .await;
    rotator.put("a", "sk-two");
    eventually("it is written", || async { users().get(1).map(drop) }).await;
    asked(&server, 4).await;
    assert_eq!(users().len(), 2, "{:?}", users());
    assert_ne!(users()[0], users()[1]);
    assert_eq!(rotator.count("drift_repaired"), 0);
}
