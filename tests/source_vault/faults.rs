//! A server that is away, sealed, busy, somewhere else, or no Vault at all.

use std::time::Instant;

use serde_json::json;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::support::{eventually, free_port};

const PATH: &str = "llm/openai";
const LOOKED_UP: &str = "/v1/auth/token/lookup-self";

/// A server that knows the token and answers everything else as told.
pub(super) async fn stub(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let about = json!({"data": {
        "ttl": 0, "creation_ttl": 0, "renewable": false, "policies": ["p"], "display_name": "d",
    }});
    Mock::given(method("GET"))
        .and(path(LOOKED_UP))
        .respond_with(ResponseTemplate::new(200).set_body_json(about))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

async fn error_of(answer: ResponseTemplate) -> SourceError {
    let server = stub(answer).await;
    let bench = Bench::new(config(&server.uri(), "secret"), token("canary-token"));
    let error = bench.source.observe(PATH).await.expect_err("refused");
    let text = shown(&error);
    assert!(!text.contains("canary"), "{text}");
    error
}

fn html(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw("<html>canary</html>", "text/html")
}

pub(super) fn body(status: u16, text: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(text.to_owned(), "application/json")
}

#[tokio::test]
async fn no_error_holds_what_the_server_said() {
    let metadata = |current: &str, time: &str| {
        body(
            200,
            &format!(
                r#"{{"data":{{"cas_required":false,"created_time":"","current_version":{current},
                "delete_version_after":"0s","max_versions":0,"oldest_version":0,"updated_time":"",
                "custom_metadata":{{"canary":"canary"}},"versions":{{"1":{{"created_time":"{time}",
                "deletion_time":"","destroyed":false}}}}}}}}"#
            ),
        )
    };
    for answer in [
        html(200),
        body(200, ""),
        body(200, r#"{"data":{"current_version":"canary"#),
        body(200, r#"{"data":{"current_version":"canary"}}"#),
        body(200, r#"{"data":null}"#),
        metadata("\"canary\"", ""),
        metadata("2", "canary"),
        metadata("1", "canary"),
        html(404),
        html(400),
        body(400, r#"{"errors":["canary is not valid"]}"#),
        body(405, r#"{"errors":["unsupported operation: canary"]}"#),
        html(500),
        body(500, r#"{"errors":["internal error: canary"]}"#),
        body(
            412,
            r#"{"errors":["required index state not present: canary"]}"#,
        ),
    ] {
        let error = error_of(answer).await;
        assert!(matches!(error, SourceError::Protocol { .. }), "{error:?}");
    }
    for status in [502, 503, 504, 429] {
        let error = error_of(html(status)).await;
        let SourceError::Unavailable { status: word, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*word, status.to_string());
    }
    for status in [401, 403] {
        let error = error_of(html(status)).await;
        assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn no_error_of_a_read_holds_a_value() {
    for (version, text) in [
        (
            KvVersion::V2,
            r#"{"data":{"data":{"key":"canary"},"metadata":{"version":"canary"}}}"#,
        ),
        (
            KvVersion::V2,
            r#"{"data":{"data":"canary","metadata":null}}"#,
        ),
        (KvVersion::V2, r#"{"data":{"data":{"key":"canary"}"#),
        (KvVersion::V1, r#"{"data":"canary"}"#),
        (KvVersion::V1, r#"{"data":{"key":"canary"}"#),
    ] {
        for status in [200, 404] {
            let server = stub(body(status, text)).await;
            let mut config = config(&server.uri(), "secret");
            config.kv_version = version;
            let bench = Bench::new(config, token("canary-token"));
            let version = Version::numbered(1, "x");
            let error = bench.source.read(PATH, &version).await.expect_err("broken");
            assert!(matches!(error, SourceError::Protocol { .. }), "{error:?}");
            assert!(!shown(&error).contains("canary"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_a_login_that_is_none_is_no_token() {
    for answer in [
        html(200),
        body(200, r#"{"auth":null,"data":"canary"}"#),
        body(
            200,
            r#"{"auth":{"client_token":"canary","lease_duration":"canary"}}"#,
        ),
        body(
            200,
            r#"{"auth":{"client_token":"","lease_duration":0,"renewable":false,"mfa_requirement":{"canary":1}}}"#,
        ),
        body(
            200,
            r#"{"auth":{"client_token":"canary\ncanary","lease_duration":0,"renewable":false}}"#,
        ),
        body(400, r#"{"errors":["secret canary is wrong"]}"#),
    ] {
        let server = stub(answer).await;
        let ids = ("canary-role".to_owned(), "canary-secret".to_owned());
        let bench = Bench::new(config(&server.uri(), "secret"), app_role("approle", &ids));
        let error = bench.source.observe(PATH).await.expect_err("no token");
        assert!(
            matches!(
                error,
                SourceError::SignIn { .. } | SourceError::Protocol { .. }
            ),
            "{error:?}"
        );
        assert!(!shown(&error).contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_token() {
    let elsewhere = stub(html(200)).await;
    let location = elsewhere.uri().replace("127.0.0.1", "localhost");
    let target = format!("{location}/v1/secret/metadata/{PATH}");
    let error = error_of(ResponseTemplate::new(307).insert_header("Location", target)).await;
    assert!(
        matches!(error, SourceError::Unavailable { .. }),
        "{error:?}"
    );
    for part in ["localhost", "`address`", "307"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let asked = elsewhere.received_requests().await.expect("recorded");
    assert!(asked.is_empty(), "{asked:?}");
}

#[tokio::test]
async fn a_redirect_within_the_host_is_followed_a_few_times() {
    let server = stub(ResponseTemplate::new(404).set_body_json(json!({"errors": []}))).await;
    let redirect = |from: &str, to: &str| {
        let to = format!("{}{to}", server.uri());
        Mock::given(path(from.to_owned()))
            .respond_with(ResponseTemplate::new(307).insert_header("Location", to))
            .with_priority(1)
            .mount(&server)
    };
    redirect("/v1/secret/metadata/once", "/v1/elsewhere").await;
    redirect("/v1/secret/metadata/round", "/v1/secret/metadata/round").await;
    let bench = Bench::new(config(&server.uri(), "secret"), token("t"));
    assert!(matches!(
        bench.observe("once").await,
        Observation::Missing(_)
    ));
    let error = bench.source.observe("round").await.expect_err("a circle");
    assert!(
        matches!(error, SourceError::Unavailable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn how_long_to_wait_is_handed_on() {
    let answer = body(429, r#"{"errors":["rate limited"]}"#).insert_header("Retry-After", "7");
    let SourceError::Unavailable { retry_after, .. } = error_of(answer).await else {
        panic!("429 is the whole server's");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_quota_holds_the_source_back() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-quota", 2).await;
    bao.put_kv2("kv-quota", PATH, json!({"key": "sk-1"})).await;
    let headers = json!({"enable_rate_limit_response_headers": true});
    bao.ok("POST", "sys/quotas/config", headers).await;
    let quota = json!({"path": "kv-quota", "rate": 1, "interval": "2s"});
    bao.ok("POST", "sys/quotas/rate-limit/kv-quota", quota)
        .await;
    let bench = Bench::root(bao, "kv-quota");
    let error = eventually("the quota is used up", || async {
        bench.source.observe(PATH).await.err()
    })
    .await;
    let SourceError::Unavailable {
        status,
        retry_after,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(status, "429");
    assert!(retry_after.is_some());
    let held = bench.source.observe(PATH).await.expect_err("held back");
    assert!(matches!(held, SourceError::CircuitOpen { .. }), "{held:?}");
    eventually("the quota is there again", || async {
        bench.source.observe(PATH).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_sealed_server_is_away_and_comes_back() {
    let bao = OpenBao::start().await;
    bao.put_kv2("secret", PATH, json!({"key": "sk-1"})).await;
    let bench = Bench::root(&bao, "secret");
    bench.observe(PATH).await;
    bao.ok("PUT", "sys/seal", json!({})).await;
    let error = eventually("it is sealed", || async {
        bench.source.observe(PATH).await.err()
    })
    .await;
    assert!(error.to_string().contains("sealed (503)"), "{error}");
    bao.unseal().await;
    assert_eq!(eventually_value(&bench, PATH).await, "sk-1");
    let seen = bench.outages.0.lock();
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_or_is_not_there_is_away() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = format!("http://{}", silent.local_addr().expect("an address"));
    let short = Duration::from_secs(1);
    let bench = Bench::with_timeout(config(&address, "secret"), token("t"), short);
    let started = Instant::now();
    let error = bench.source.observe(PATH).await.expect_err("silence");
    assert!(started.elapsed() >= short);
    let SourceError::Unavailable { status, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(status, "timeout");

    let address = format!("http://127.0.0.1:{}", free_port());
    let bench = Bench::new(config(&address, "secret"), token("t"));
    let error = bench.source.observe(PATH).await.expect_err("nobody");
    let said = error.to_string();
    assert!(
        said.contains(&address) && said.contains("refused"),
        "{said}"
    );
    let SourceError::Unavailable { status, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(status, "connect");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let make = |change: &dyn Fn(&mut VaultConfig)| {
        let mut config = config("https://vault.internal:8200", "secret");
        change(&mut config);
        let terms = Terms {
            permits: 16,
            max_rps: None,
            timeout: Duration::from_secs(1),
            retry: Limits {
                initial: Duration::from_secs(1),
                max: Duration::from_secs(1),
                give_up_after: Duration::from_secs(1),
            },
        };
        let upstream = Upstream::new(
            "v",
            terms,
            Arc::new(Metrics::new()),
            Arc::new(Seen::default()),
        );
        let id = SourceId::new("v");
        VaultSource::new(id, config, token("t"), Fingerprinter::ephemeral(), upstream)
    };
    assert!(make(&|_| {}).is_ok(), "outside a runtime too");
    for address in [
        "canary",
        "ftp://canary",
        "https://canary/path",
        "https://user:canary@host",
        "https://host?canary",
        "unix:/canary",
    ] {
        let result = make(&|config| config.address = address.to_owned());
        let error = result.err().unwrap_or_else(|| panic!("{address} is taken"));
        assert!(error.to_string().contains("`address`"), "{error}");
        assert!(!shown(&error).contains("canary"), "{error}");
    }
    assert!(make(&|config| config.mount = "../sys".to_owned()).is_err());
    assert!(make(&|config| config.namespace = Some("a\nb".to_owned())).is_err());
}
