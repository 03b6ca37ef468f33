//! What a provider makes of an IAM that fails.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_iam::config::Credentials as Pair;
use flashback_rotator::model::{LastUse, ProviderKeyId};
use flashback_rotator::provider::aws_iam::AccessKeys;
use flashback_rotator::provider::{Provider, ProviderError};
use parking_lot::Mutex;
use wiremock::matchers::{body_string_contains, header_regex, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::aws::{access_keys, iam};
use crate::support::aws::administrator;
use crate::support::free_port;
use crate::support::upstreams::{Bench, calls, upstream};

const CANARY: &str = "sk-canary-value";

fn xml(status: u16, body: &str) -> ResponseTemplate {
    let response = ResponseTemplate::new(status).set_body_raw(body, "text/xml");
    response.insert_header("x-amzn-requestid", "request-1")
}

fn coded(status: u16, code: &str) -> ResponseTemplate {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{CANARY}</Message></Error><RequestId>request-1</RequestId></ErrorResponse>"
    );
    xml(status, &body)
}

async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let mock = Mock::given(method("POST")).respond_with(response);
    mock.mount(&server).await;
    server
}

/// What a key cannot be made for, where IAM answers like this.
async fn mint_fails(response: ResponseTemplate) -> ProviderError {
    let server = answering(response).await;
    let provider = access_keys(&server.uri(), "u", administrator());
    let error = provider.mint("one", None).await.expect_err("failed");
    assert!(!format!("{error:?} {error}").contains(CANARY), "{error:?}");
    let requests = server.received_requests().await.expect("recorded");
    assert_eq!(requests.len(), 1, "a call is not repeated");
    error
}

/// Returns the kind of an error, and if the call has certainly changed nothing.
fn kind(error: &ProviderError) -> (&'static str, bool) {
    let kind = match error {
        ProviderError::Unavailable { .. } => "unavailable",
        ProviderError::SignIn { .. } => "sign-in",
        ProviderError::Denied { .. } => "denied",
        ProviderError::LimitReached { .. } => "limit",
        ProviderError::Refused { .. } => "refused",
        ProviderError::Protocol { .. } => "protocol",
        ProviderError::CircuitOpen { .. } => "circuit",
    };
    (kind, error.is_certain())
}

#[tokio::test]
async fn codes_decide_what_a_failure_means() {
    for (status, code, expected) in [
        (400, "Throttling", ("unavailable", true)),
        (503, "RequestLimitExceeded", ("unavailable", true)),
        (429, "Unheard", ("unavailable", true)),
        (403, "InvalidClientTokenId", ("sign-in", true)),
        (403, "SignatureDoesNotMatch", ("sign-in", true)),
        (403, "ExpiredToken", ("sign-in", true)),
        (403, "AccessDenied", ("denied", true)),
        (409, "LimitExceeded", ("limit", true)),
        (404, "NoSuchEntity", ("refused", true)),
        (400, "ValidationError", ("refused", true)),
        (409, "ConcurrentModification", ("protocol", false)),
        (500, "ServiceFailure", ("unavailable", false)),
        (503, "ServiceUnavailable", ("unavailable", false)),
        (400, CANARY, ("protocol", false)),
    ] {
        let error = mint_fails(coded(status, code)).await;
        assert_eq!(kind(&error), expected, "{code}: {error:?}");
    }
}

#[tokio::test]
async fn answers_that_are_not_iams_are_told_from_its_own() {
    let made = |key: &str| {
        let response = format!(
            "<CreateAccessKeyResponse><CreateAccessKeyResult>{key}</CreateAccessKeyResult></CreateAccessKeyResponse>"
        );
        xml(200, &response)
    };
    let key = |id: &str, secret: &str| {
        made(&format!(
            "<AccessKey><UserName>u</UserName><AccessKeyId>{id}</AccessKeyId><Status>Active</Status><SecretAccessKey>{secret}</SecretAccessKey></AccessKey>"
        ))
    };
    for response in [
        ResponseTemplate::new(200).set_body_raw("<html>sign in</html>", "text/html"),
        ResponseTemplate::new(404).set_body_raw("<html>not here</html>", "text/html"),
        ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:9/"),
        xml(200, "<CreateAccessKeyResponse><CreateAccessKeyResult>"),
        made(""),
        key("AKIAEXAMPLE", ""),
        key("", CANARY),
        key("../../canary", CANARY),
        key(&"A".repeat(129), CANARY),
    ] {
        let error = mint_fails(response).await;
        assert_eq!(kind(&error), ("protocol", false), "{error:?}");
    }
    let error = mint_fails(ResponseTemplate::new(403)).await;
    assert_eq!(kind(&error), ("denied", true), "{error:?}");
}

#[tokio::test]
async fn each_call_is_counted_and_an_absent_service_is_not_an_answer() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let bench = Bench::new("iam", Duration::from_secs(30));
    let way = iam(&url, "u", bench.upstream, administrator);
    let error = AccessKeys::new(way).list().await.expect_err("nobody");
    assert!(
        matches!(&error, ProviderError::Unavailable { status, .. } if status == "connect"),
        "{error:?}"
    );
    assert_eq!(calls(&bench.metrics, "ListAccessKeys", "connect"), 1);

    let server = answering(xml(200, "").set_delay(Duration::from_secs(30))).await;
    let bench = Bench::new("iam", Duration::from_millis(200));
    let way = iam(&server.uri(), "u", bench.upstream, administrator);
    let error = AccessKeys::new(way)
        .mint("one", None)
        .await
        .expect_err("late");
    assert_eq!(kind(&error), ("unavailable", false), "{error:?}");
    assert_eq!(calls(&bench.metrics, "CreateAccessKey", "timeout"), 1);
}

fn page(id: &str, rest: &str) -> ResponseTemplate {
    xml(
        200,
        &format!(
            "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata><member><UserName>u</UserName><AccessKeyId>{id}</AccessKeyId><Status>Inactive</Status><CreateDate>2026-11-01T00:00:00Z</CreateDate></member></AccessKeyMetadata>{rest}</ListAccessKeysResult></ListAccessKeysResponse>"
        ),
    )
}

#[tokio::test]
async fn a_list_is_whole_or_an_error() {
    let server = MockServer::start().await;
    let more = "<IsTruncated>true</IsTruncated><Marker>two</Marker>";
    for (marker, response) in [
        (
            "Marker=two",
            page("AKIATWO", "<IsTruncated>false</IsTruncated>"),
        ),
        ("Action=ListAccessKeys", page("AKIAONE", more)),
    ] {
        let mock = Mock::given(body_string_contains(marker)).respond_with(response);
        mock.mount(&server).await;
    }
    let provider = access_keys(&server.uri(), "u", administrator());
    let keys = provider.list().await.expect("a list");
    let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["AKIAONE", "AKIATWO"]);
    assert!(keys.iter().all(|key| !key.active && key.name.is_none()));
    assert!(keys.iter().all(|key| key.last_use == LastUse::Unknown));
    for rest in [
        "<IsTruncated>true</IsTruncated>",
        "<IsTruncated>true</IsTruncated><Marker>again</Marker>",
    ] {
        let server = answering(page("AKIAONE", rest)).await;
        let provider = access_keys(&server.uri(), "u", administrator());
        let error = provider.list().await.expect_err("not the end");
        assert_eq!(kind(&error).0, "protocol", "{error:?}");
    }
}

/// IAM is eventually consistent: what it does not find may be there.
#[tokio::test]
async fn a_key_that_is_still_listed_does_not_count_as_gone() {
    let server = MockServer::start().await;
    for (part, response) in [
        (
            "Action=ListAccessKeys",
            page("AKIAONE", "<IsTruncated>false</IsTruncated>"),
        ),
        ("AccessKeyId=AKIA", coded(404, "NoSuchEntity")),
    ] {
        let mock = Mock::given(body_string_contains(part)).respond_with(response);
        mock.mount(&server).await;
    }
    let provider = access_keys(&server.uri(), "u", administrator());
    let one = ProviderKeyId::new("AKIAONE");
    for error in [
        provider.delete(&one).await.err(),
        provider.disable(&one).await.err(),
        provider.enable(&one).await.err(),
    ] {
        let error = error.expect("it is listed");
        assert_eq!(kind(&error), ("protocol", false), "{error:?}");
    }
    let two = ProviderKeyId::new("AKIATWO");
    provider.delete(&two).await.expect("it is gone");
}

/// The chain remembers the files it has read: a provider must not.
#[tokio::test]
async fn rotated_credentials_of_its_own_are_picked_up() {
    let server = MockServer::start().await;
    let whole = page("AKIAONE", "<IsTruncated>false</IsTruncated>");
    let accepted = Mock::given(method("POST")).respond_with(whole.clone());
    accepted.mount(&server).await;
    let current = Arc::new(Mutex::new("AKIANEW"));
    let given = Arc::clone(&current);
    let way = iam(&server.uri(), "u", upstream("iam"), move || {
        Pair::new(*given.lock(), "canary", None, None, "test")
    });
    let provider = AccessKeys::new(way);
    provider.list().await.expect("a list");
    server.reset().await;
    for (id, response) in [
        ("AKIANEW", coded(403, "InvalidClientTokenId")),
        ("AKIANEWER", whole),
    ] {
        let signed = header_regex("authorization", &format!("Credential={id}/"));
        let mock = Mock::given(signed).respond_with(response);
        mock.mount(&server).await;
    }
    *current.lock() = "AKIANEWER";
    provider.list().await.expect("a list with the new pair");
    server.reset().await;
    let refused = Mock::given(method("POST")).respond_with(coded(403, "ExpiredToken"));
    refused.mount(&server).await;
    let error = provider.list().await.expect_err("refused twice");
    assert_eq!(kind(&error), ("sign-in", true), "{error:?}");
}
