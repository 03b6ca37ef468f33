//! What the `aws-secrets-manager` source makes of an AWS that fails.

use std::net::TcpListener;
use std::time::Duration;

use flashback_rotator::model::{Missing, Observation, SourceId, Version};
use flashback_rotator::retry::Class;
use flashback_rotator::source::aws::{AwsConfig, AwsSource};
use flashback_rotator::source::{Reading, Source, SourceError};
use flashback_rotator::upstream::Failure;
use wiremock::matchers::header;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::aws::{administrator, loader_at};
use crate::support::upstreams::{Bench, calls, upstream};

const CANARY: &str = "sk-canary-value";

fn source(url: &str) -> AwsSource {
    let url = url.to_owned();
    let config = AwsConfig::default();
    AwsSource::with_loader(SourceId::new("aws"), config, upstream("aws"), move || {
        loader_at(&url).credentials_provider(administrator())
    })
}

async fn answer(server: &MockServer, operation: &str, response: ResponseTemplate) {
    let target = format!("secretsmanager.{operation}");
    Mock::given(header("x-amz-target", target.as_str()))
        .respond_with(response)
        .mount(server)
        .await;
}

fn json(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .set_body_raw(body, "application/x-amz-json-1.1")
        .insert_header("x-amzn-requestid", "request-1")
}

fn coded(status: u16, code: &str) -> ResponseTemplate {
    json(
        status,
        &format!(r#"{{"__type":"{code}","message":"{CANARY}"}}"#),
    )
}

/// What a read fails with, where AWS answers like this.
async fn read_fails(response: ResponseTemplate) -> SourceError {
    let server = MockServer::start().await;
    answer(&server, "GetSecretValue", response).await;
    let read = source(&server.uri()).read("k", &Version::new("v")).await;
    let error = read.expect_err("failed");
    assert!(!format!("{error:?} {error}").contains(CANARY), "{error:?}");
    error
}

#[tokio::test]
async fn codes_decide_what_a_failure_means() {
    type Means = fn(&SourceError) -> bool;
    let throttled: Means = |error| error.status() == "throttled";
    let sign_in: Means = |error| matches!(error, SourceError::SignIn { .. });
    let denied: Means = |error| matches!(error, SourceError::Denied { .. });
    let invalid: Means = |error| matches!(error, SourceError::Invalid { .. });
    let away: Means = |error| matches!(error, SourceError::Unavailable { .. });
    let protocol: Means = |error| matches!(error, SourceError::Protocol { .. });
    let cases: &[(u16, &str, Means)] = &[
        (400, "ThrottlingException", throttled),
        (400, "TooManyRequestsException", throttled),
        (503, "RequestLimitExceeded", throttled),
        (429, "Unheard", throttled),
        (400, "ExpiredTokenException", sign_in),
        (400, "UnrecognizedClientException", sign_in),
        (400, "InvalidSignatureException", sign_in),
        (403, "InvalidClientTokenId", sign_in),
        (400, "AccessDeniedException", denied),
        (400, "com.amazonaws.x#AccessDeniedException", denied),
        (400, "DecryptionFailure", denied),
        (400, "InvalidParameterException", invalid),
        (400, "ValidationException", invalid),
        (500, "InternalServiceError", protocol),
        (502, "InternalServiceError", away),
        (503, "ServiceUnavailable", away),
        (400, "SomethingNew", protocol),
        (400, "not a code at all", protocol),
    ];
    for (status, code, means) in cases {
        let error = read_fails(coded(*status, code)).await;
        assert!(means(&error), "{status} {code}: {error:?}");
    }
}

#[tokio::test]
async fn a_throttle_keeps_its_retry_after_and_an_outage_its_request_id() {
    let throttle = coded(400, "ThrottlingException").insert_header("retry-after", "7");
    let error = read_fails(throttle).await;
    let retry_after = Some(Duration::from_secs(7));
    assert_eq!(error.class(), Class::Outage { retry_after });
    let error = read_fails(json(500, "")).await;
    assert!(error.to_string().contains("request-1"), "{error}");
    assert_eq!(error.status(), "500");
    let html = ResponseTemplate::new(503).set_body_raw(CANARY, "text/html");
    let error = read_fails(html).await;
    assert_eq!(error.class(), Class::Outage { retry_after: None });
}

#[tokio::test]
async fn an_answer_that_is_not_the_protocols_shows_nothing_of_itself() {
    let bodies = [
        format!(r#"{{"SecretString":"{CANARY}""#),
        format!(r#"{{"SecretString":["{CANARY}"]}}"#),
        format!(r#"{{"SecretString":"{CANARY}","CreatedDate":"{CANARY}"}}"#),
        format!(r#"{{"SecretString":"{CANARY}\u12"}}"#),
        format!(r#"{{"SecretBinary":"{CANARY}"}}"#),
        format!("<html>{CANARY}</html>"),
    ];
    for body in bodies {
        let error = read_fails(json(200, &body)).await;
        assert!(
            matches!(error, SourceError::Protocol { .. }),
            "{body}: {error:?}"
        );
    }
    let error = read_fails(json(302, CANARY).insert_header("location", "/x")).await;
    assert!(matches!(error, SourceError::Protocol { .. }), "{error:?}");
}

/// `RotateSecret` can leave the label on a version that holds nothing for a while.
#[tokio::test]
async fn a_current_version_without_a_value_is_not_there_yet() {
    let server = MockServer::start().await;
    let described = r#"{"Name":"k","VersionIdsToStages":{"v":["AWSCURRENT","AWSPENDING"]}}"#;
    answer(&server, "DescribeSecret", json(200, described)).await;
    answer(
        &server,
        "GetSecretValue",
        coded(400, "ResourceNotFoundException"),
    )
    .await;
    let source = source(&server.uri());
    let looked = source.observe("k").await.expect("looked");
    assert!(matches!(looked, Observation::Present { .. }));
    let read = source.read("k", &Version::new("v")).await;
    assert!(
        matches!(read, Ok(Reading::Missing(Missing::NoValueYet))),
        "{read:?}"
    );
}

#[tokio::test]
async fn a_label_that_is_nowhere_is_no_value_yet() {
    for described in [
        r#"{"Name":"k"}"#,
        r#"{"Name":"k","VersionIdsToStages":{"v":["AWSPENDING"],"u":[]}}"#,
    ] {
        let server = MockServer::start().await;
        answer(&server, "DescribeSecret", json(200, described)).await;
        let looked = source(&server.uri()).observe("k").await;
        assert_eq!(looked, Ok(Observation::Missing(Missing::NoValueYet)));
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_an_outage() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let bench = Bench::new("aws", Duration::from_millis(300));
    let config = AwsConfig::default();
    let source = AwsSource::with_loader(SourceId::new("aws"), config, bench.upstream, move || {
        loader_at(&url).credentials_provider(administrator())
    });
    let error = source.observe("k").await.expect_err("no answer");
    assert_eq!(error.status(), "timeout");
    assert_eq!(error.class(), Class::Outage { retry_after: None });
    assert_eq!(calls(&bench.metrics, "DescribeSecret", "timeout"), 1);
    assert_eq!(bench.reports.all().len(), 1, "one outage");
    drop(listener);
}

/// The SDK's own limit, which also holds where the upstream's is longer.
#[tokio::test]
async fn the_sdk_gives_up_by_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let error = source(&url).observe("k").await.expect_err("no answer");
    assert_eq!(error.status(), "timeout");
    drop(listener);
}

#[tokio::test]
async fn a_closed_port_is_named_for_what_it_is() {
    let error = source("http://127.0.0.1:1").observe("k").await;
    let error = error.expect_err("nobody there");
    assert_eq!(error.status(), "connect");
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_said_so() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::aws_lc_rs::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_no_client_auth()
    .with_single_cert(vec![made.cert.der().clone()], key)
    .expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        let mut session = rustls::ServerConnection::new(config.into()).expect("a session");
        while session.complete_io(&mut stream).is_ok() {}
    });
    let error = source(&format!("https://localhost:{port}"))
        .observe("k")
        .await;
    let error = error.expect_err("not trusted").to_string();
    assert!(error.contains("certificate"), "{error}");
}
