//! Whatever is wrong with signing in to Flashback: it is one trouble of the account, told once, and
//! sign-ins stay at the pace of a human being.

use std::time::Duration;

use flashback_rotator::flashback::totp;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::rotator::{QUICK, Rotator, file_key};
use crate::support::{eventually, place_file};

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn answer(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

fn refusal(status: u16, code: &str, message: &str) -> ResponseTemplate {
    let body = json!({"success": false, "error_code": code, "message": message});
    answer(status, &body)
}

fn tokens() -> ResponseTemplate {
    let body =
        json!({"success": true, "accessToken": "canary-access", "refreshToken": "canary-refresh"});
    answer(200, &body)
}

/// A Flashback where signing in and everything else is answered so.
async fn flashback(sign_in: ResponseTemplate, rest: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    for at in ["/user/login", "/user/refresh"] {
        let mock = Mock::given(method("POST")).and(path(at));
        let answered = mock.respond_with(sign_in.clone());
        answered.with_priority(1).mount(&server).await;
    }
    let any = Mock::given(wiremock::matchers::any());
    any.respond_with(rest).mount(&server).await;
    server
}

/// A rotator with ten keys, that logs in.
fn rotator(flashback: &str, more: &str) -> Rotator {
    let rotator = Rotator::new(flashback, "");
    place_file(rotator.path().join("password"), "canary-password");
    std::fs::write(rotator.path().join("seed"), SEED.to_lowercase()).expect("written");
    let keys: String = (0..10).map(|n| file_key(&format!("k{n}"))).collect();
    let auth = format!(
        r#"email = "me@example.com"
password = {{ file = "{{dir}}/password" }}
{more}"#
    );
    rotator.configure_signing_in(flashback, &auth, &format!("{QUICK}{keys}"));
    for n in 0..10 {
        rotator.put(&format!("k{n}"), &format!("sk-{n}"));
    }
    rotator
}

fn sign_ins(requests: &[Request]) -> usize {
    let paths = requests.iter().map(|request| request.url.path());
    paths
        .filter(|path| path.starts_with("/user/") && *path != "/user/profile")
        .count()
}

/// The window in which sign-ins are counted, which is a minute otherwise.
const WINDOW: Duration = Duration::from_secs(12);

/// Runs ten keys for a window, and holds what they did against what must hold.
async fn is_one_trouble(what: &str, server: MockServer, words: &str) {
    let mut rotator = rotator(&server.uri(), "");
    let window = WINDOW.as_millis().to_string();
    rotator.start_with(&[("FLASHBACK_ROTATOR_SIGN_IN_WINDOW_MS", &window)]);
    tokio::time::sleep(WINDOW).await;
    let requests = server.received_requests().await.expect("recorded");
    let tried = sign_ins(&requests);
    assert!((2..=8).contains(&tried), "{what}: {tried} sign-ins");
    let log = rotator.log();
    assert_eq!(rotator.count("sign_in_failed"), 1, "{what}: {log}");
    assert_eq!(rotator.count("source_unavailable"), 1, "{what}: {log}");
    for event in ["push_retrying", "push_failed", "source_recovered"] {
        assert_eq!(rotator.count(event), 0, "{what}: {event} in {log}");
    }
    assert!(!log.contains("canary"), "{what}: {log}");
    let failed = rotator.event("sign_in_failed", |_| true).await;
    let error = failed["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "{what}: {error}");
    let status = rotator.json(&["status"]).await;
    for row in status["keys"].as_array().expect("rows") {
        let error = row["error"].as_str().unwrap_or_default();
        assert!(error.contains(words), "{what}: {row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_keys_sign_in_at_a_human_pace_whatever_is_wrong() {
    let well = || answer(200, &json!({"success": true, "aiLlms": []}));
    let without_token = answer(200, &json!({"success": true, "user": {"id": "u"}}));
    let limited =
        json!({"success": true, "accessToken": "canary-limited", "user": {"mfaRequired": true}});
    let needs_factor = "the account needs a second factor (MFA)";
    tokio::join!(
        is_one_trouble(
            "a login without a token",
            flashback(without_token, well()).await,
            "lacks `accessToken`",
        ),
        is_one_trouble(
            "a token refused with 401",
            flashback(tokens(), refusal(401, "UNAUTHORIZED", "Invalid token")).await,
            "a fresh access token was refused (401)",
        ),
        is_one_trouble(
            "a token refused with 403",
            flashback(tokens(), refusal(403, "MFA_REQUIRED", "Not yet")).await,
            needs_factor,
        ),
        is_one_trouble(
            "a wrong password",
            flashback(refusal(401, "INVALID", "Invalid email or password"), well()).await,
            "login was refused (401)",
        ),
        is_one_trouble(
            "a second factor",
            flashback(answer(200, &limited), well()).await,
            needs_factor,
        ),
    );
}

/// Counts the sign-ins of ten keys in one window.
async fn sign_ins_in_a_window(server: &MockServer, auth: &str) -> usize {
    let mut rotator = rotator(&server.uri(), "");
    if !auth.is_empty() {
        place_file(rotator.path().join("refresh-token"), "canary-refresh-0");
        let keys: String = (0..10).map(|n| file_key(&format!("k{n}"))).collect();
        rotator.configure_signing_in(&server.uri(), auth, &format!("{QUICK}{keys}"));
    }
    let window = WINDOW.as_millis().to_string();
    rotator.start_with(&[("FLASHBACK_ROTATOR_SIGN_IN_WINDOW_MS", &window)]);
    tokio::time::sleep(WINDOW).await;
    assert!(!rotator.log().contains("canary"), "{}", rotator.log());
    sign_ins(&server.received_requests().await.expect("recorded"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_are_few_whatever_else_is_answered() {
    let well = || answer(200, &json!({"success": true, "aiLlms": []}));
    let page = ResponseTemplate::new(200).set_body_raw("<!doctype html><p>Sign in", "text/html");
    let redirect =
        ResponseTemplate::new(302).insert_header("location", "https://login.example.com");
    let forbidden = || refusal(403, "FORBIDDEN", "Not allowed");
    let unauthorized = || refusal(401, "UNAUTHORIZED", "Invalid token");
    let in_a_file = "refresh_token = { file = \"{dir}/refresh-token\" }";
    let cases = [
        ("each call refused with 403", tokens(), forbidden(), ""),
        (
            "a refresh token of a file",
            tokens(),
            unauthorized(),
            in_a_file,
        ),
        ("the same, refused", unauthorized(), well(), in_a_file),
        (
            "a login with 500",
            refusal(500, "INTERNAL", "Oops"),
            well(),
            "",
        ),
        ("a login with 503", refusal(503, "AWAY", "Oops"), well(), ""),
        (
            "a login with 429",
            refusal(429, "SLOWLY", "Oops"),
            well(),
            "",
        ),
        ("a login with a page", page, well(), ""),
        ("a login with a redirect", redirect, well(), ""),
        ("a login with 204", ResponseTemplate::new(204), well(), ""),
    ];
    let runs = cases.map(|(what, sign_in, rest, auth)| async move {
        let server = flashback(sign_in, rest).await;
        (what, sign_ins_in_a_window(&server, auth).await)
    });
    for (what, tried) in futures_util::future::join_all(runs).await {
        assert!((1..=8).contains(&tried), "{what}: {tried} sign-ins");
    }
}

/// A Flashback that enforces a second factor, as the reference has it, and takes any write after.
async fn enforcing() -> MockServer {
    let server = MockServer::start().await;
    let limited =
        json!({"success": true, "accessToken": "canary-limited", "user": {"mfaRequired": true}});
    Mock::given(method("POST"))
        .and(path("/user/login"))
        .respond_with(answer(200, &limited))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path("/mfa/verify-login"))
        .and(header("authorization", "Bearer canary-limited"))
        .respond_with(|request: &Request| {
            let body: Value = request.body_json().unwrap_or_default();
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = now.expect("after 1970").as_secs();
            let code = body["code"].as_str().unwrap_or_default();
            let good = matches!(totp::check(SEED, code, now), Ok(Some(_)));
            match good && body["mfaType"] == "GOOGLE_AUTH" {
                true => {
                    let body = json!({"success": true, "message": "verified",
                        "fullAccessToken": "canary-full", "refreshToken": "canary-refresh"});
                    answer(200, &body)
                }
                false => refusal(401, "INVALID_CODE", "Invalid code"),
            }
        })
        .mount(&server)
        .await;
    let created = json!({"success": true, "aiLlmId": "id-1"});
    let listed = json!({"success": true, "aiLlms": []});
    for (verb, at, body) in [
        ("GET", "/ai/llm", &listed),
        ("POST", "/ai/llm", &created),
        ("POST", "/ai/llm/id-1/validate", &json!({"success": true})),
        (
            "GET",
            "/user/profile",
            &json!({"success": true, "data": {"id": "u", "orgRole": 255}}),
        ),
        ("POST", "/systemevent", &json!({"events": [], "total": 0})),
    ] {
        Mock::given(method(verb))
            .and(path(at))
            .and(header("authorization", "Bearer canary-full"))
            .respond_with(answer(200, body))
            .mount(&server)
            .await;
    }
    Mock::given(wiremock::matchers::any())
        .respond_with(refusal(403, "MFA_REQUIRED", "A second factor is needed"))
        .with_priority(9)
        .mount(&server)
        .await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_factor_is_answered_and_its_secrets_stay_inside() {
    let server = enforcing().await;
    let mut rotator = rotator(&server.uri(), "totp = { file = \"{dir}/seed\" }");
    rotator.start();
    eventually("a key is created", || async {
        let requests = server.received_requests().await?;
        let created = |request: &&Request| {
            request.method.as_str() == "POST" && request.url.path() == "/ai/llm"
        };
        requests.iter().find(created).map(drop)
    })
    .await;
    rotator.event("push_succeeded", |_| true).await;
    assert_eq!(rotator.count("sign_in_failed"), 0, "{}", rotator.log());
    let requests = server.received_requests().await.expect("recorded");
    assert_eq!(sign_ins(&requests), 1);
    let log = rotator.log();
    for secret in ["canary", SEED, &SEED.to_lowercase()] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    for request in requests.iter().filter(|r| r.url.path().starts_with("/mfa")) {
        let body: Value = request.body_json().expect("JSON");
        let code = body["code"].as_str().expect("a code");
        assert!(!log.contains(&format!("\"{code}\"")), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_connect_knows_flashback_from_others_and_says_it_once() {
    let vault = ResponseTemplate::new(403).set_body_json(json!({"errors": ["permission denied"]}));
    let page = ResponseTemplate::new(200).set_body_raw("<!doctype html><p>Sign in", "text/html");
    let redirect =
        ResponseTemplate::new(302).insert_header("location", "https://login.example.com");
    let missing = ResponseTemplate::new(404).set_body_string("404 page not found");
    for (answered, words) in [
        (vault, "403 as Vault and OpenBao do"),
        (page, "200 with a page of HTML"),
        (redirect, "302, a redirect"),
        (missing, "404 with something that is not JSON"),
    ] {
        let server = MockServer::start().await;
        let any = Mock::given(wiremock::matchers::any());
        any.respond_with(answered).mount(&server).await;
        let with_token = Rotator::new(&server.uri(), &file_key("k0"));
        with_token.put("k0", "sk-0");
        for rotator in [with_token, rotator(&server.uri(), "")] {
            let check = rotator.command(&["check", "--connect"]).await;
            let errors = String::from_utf8_lossy(&check.stderr).into_owned();
            assert_eq!(check.status.code(), Some(1), "{errors}");
            let expected = format!(
                "{} is not a Flashback: it answered {words}; check base_url",
                server.uri()
            );
            assert_eq!(errors.matches(&expected).count(), 1, "{errors}");
            assert_eq!(errors.lines().count(), 1, "{errors}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_connect_shows_the_account_and_what_its_role_cannot_see() {
    for (profile, words) in [
        (
            answer(
                200,
                &json!({"success": true, "data": {"id": "u-1", "orgRole": 254}}),
            ),
            "signed in (login); user u-1; role ADMINISTRATOR",
        ),
        (
            answer(
                200,
                &json!({"success": true, "data": {"id": "u-1", "orgRole": 1}}),
            ),
            "cannot see edits by others: give it the role ADMINISTRATOR",
        ),
        (
            refusal(404, "NOT_FOUND", "No such endpoint"),
            "signed in (login)",
        ),
    ] {
        let server = flashback(
            tokens(),
            answer(200, &json!({"success": true, "aiLlms": []})),
        )
        .await;
        Mock::given(method("GET"))
            .and(path("/user/profile"))
            .respond_with(profile)
            .with_priority(1)
            .mount(&server)
            .await;
        let check = rotator(&server.uri(), "")
            .command(&["check", "--connect"])
            .await;
        let table = String::from_utf8_lossy(&check.stdout).into_owned();
        assert_eq!(check.status.code(), Some(0), "{table}");
        assert!(table.contains(words), "no {words} in {table}");
    }
}
