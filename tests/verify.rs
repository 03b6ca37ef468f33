//! Asking the providers, against local servers that answer as each of them documents, and against
//! two emulators of AWS.

use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::model::{AiType, Settings, Target, WorkspaceId};
use flashback_rotator::retry::Limits;
use flashback_rotator::secret::{Credentials, Secret};
use flashback_rotator::telemetry::metrics::Metrics;
use flashback_rotator::verify::{LiveProber, Probe, Prober};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::aws::{Aws, BOTH, REGION, loader_at};
use crate::support::upstreams::calls;
use crate::support::{eventually, free_port};

/// The key that is asked about. Nothing that is said of it may repeat it.
const CANARY: &str = "sk-canary-Zq8vXw3nL0aB";

struct Bench {
    prober: LiveProber,
    metrics: Arc<Metrics>,
}

impl Bench {
    fn new() -> Self {
        Self::at("http://127.0.0.1:9")
    }

    /// With AWS at `url`.
    fn at(url: &str) -> Self {
        let metrics = Arc::new(Metrics::new());
        let retry = Limits {
            initial: Duration::from_millis(10),
            max: Duration::from_millis(50),
            give_up_after: Duration::from_secs(300),
        };
        let url = url.to_owned();
        let region = Some(REGION.to_owned());
        let prober =
            LiveProber::with_loader(Arc::clone(&metrics), retry, region, move || loader_at(&url));
        Self {
            // Far more than any answer takes on a busy machine.
            prober: prober.timing_out_after(Duration::from_secs(60)),
            metrics,
        }
    }

    async fn probe(&self, ai_type: AiType, endpoint: &str) -> Probe {
        self.probe_pair(ai_type, endpoint, None, CANARY).await
    }

    async fn probe_pair(
        &self,
        ai_type: AiType,
        endpoint: &str,
        key: Option<&str>,
        secret: &str,
    ) -> Probe {
        let settings = Settings {
            workspace_id: WorkspaceId::new("w"),
            name: "n".to_owned(),
            ai_type,
            endpoint: endpoint.to_owned(),
            target: Target::Configuration,
        };
        let credentials = Credentials {
            key: key.map(|key| Secret::new(key.to_owned())),
            secret: Secret::new(secret.to_owned()),
        };
        let probe = self.prober.probe(&settings, &credentials).await;
        let shown = format!("{probe:?} {}", self.metrics.render());
        assert!(
            !shown.contains(secret) && !shown.contains("canary"),
            "{shown}"
        );
        probe
    }
}

/// A provider that gives `answer` to the request it documents, and 418 to any other.
async fn provider(ai_type: AiType, answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let ask = Mock::given(method("GET"));
    let ask = match ai_type {
        AiType::Openai | AiType::Other => ask
            .and(path("/v1/models"))
            .and(header("authorization", format!("Bearer {CANARY}"))),
        AiType::Anthropic => ask
            .and(path("/v1/models"))
            .and(header("x-api-key", CANARY))
            .and(header("anthropic-version", "2023-06-01")),
        AiType::Google => ask
            .and(path("/v1beta/models"))
            .and(header("x-goog-api-key", CANARY)),
        AiType::Aws => unreachable!("AWS is asked in another way"),
    };
    ask.respond_with(answer).mount(&server).await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(418))
        .with_priority(10)
        .mount(&server)
        .await;
    server
}

/// The endpoint of a server, in the form of the provider's default one.
fn endpoint(ai_type: AiType, server: &MockServer) -> String {
    match ai_type {
        AiType::Openai | AiType::Other => format!("{}/v1", server.uri()),
        AiType::Anthropic | AiType::Google | AiType::Aws => server.uri(),
    }
}

const OVER_HTTP: [AiType; 4] = [
    AiType::Openai,
    AiType::Anthropic,
    AiType::Google,
    AiType::Other,
];

/// As each provider documents its list, and its refusal of a key it does not know.
fn documented(ai_type: AiType) -> (Value, (u16, Value)) {
    match ai_type {
        AiType::Openai | AiType::Other => (
            json!({"object": "list", "data": [{"id": "m", "object": "model"}]}),
            (
                401,
                json!({"error": {"message": format!("Incorrect API key provided: {CANARY}."),
                    "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}}),
            ),
        ),
        AiType::Anthropic => (
            json!({"data": [{"type": "model", "id": "m"}], "has_more": true}),
            (
                401,
                json!({"type": "error", "error": {"type": "authentication_error",
                    "message": "invalid x-api-key"}, "request_id": CANARY}),
            ),
        ),
        AiType::Google => (
            json!({"models": [{"name": "models/m"}], "nextPageToken": "t"}),
            (
                400,
                json!({"error": {"code": 400, "message": "API key not valid.",
                    "status": "INVALID_ARGUMENT", "details": [
                        {"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                         "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]}}),
            ),
        ),
        AiType::Aws => unreachable!("AWS is asked in another way"),
    }
}

#[tokio::test]
async fn each_provider_is_asked_as_it_documents() {
    let bench = Bench::new();
    for ai_type in OVER_HTTP {
        let (list, (status, refusal)) = documented(ai_type);
        let good = provider(ai_type, ResponseTemplate::new(200).set_body_json(list)).await;
        let found = bench.probe(ai_type, &endpoint(ai_type, &good)).await;
        assert_eq!(found, Probe::Works, "{ai_type:?}");

        let answer = ResponseTemplate::new(status).set_body_json(refusal);
        let bad = provider(ai_type, answer).await;
        let found = bench.probe(ai_type, &endpoint(ai_type, &bad)).await;
        let said = format!("{status} from {}", bad.address());
        assert_eq!(found, Probe::Rejected(said), "{ai_type:?}");
        let asked = bad.received_requests().await.expect("recorded").len();
        assert_eq!(asked, 1, "one call for one answer");
    }
    assert_eq!(calls(&bench.metrics, "GET /models", "ok"), 4);
    assert_eq!(calls(&bench.metrics, "GET /models", "401"), 3);
    let text = bench.metrics.render();
    assert!(text.contains("service=\"provider\""), "{text}");
    assert!(
        !text.contains("source_up"),
        "a provider is no source: {text}"
    );
}

#[tokio::test]
async fn a_forbidden_key_is_rejected_and_any_other_status_leaves_it_open() {
    let bench = Bench::new();
    for ai_type in OVER_HTTP {
        let answer =
            ResponseTemplate::new(403).set_body_json(json!({"error": {"message": CANARY}}));
        let server = provider(ai_type, answer).await;
        let found = bench.probe(ai_type, &endpoint(ai_type, &server)).await;
        assert!(
            matches!(found, Probe::Rejected(_)),
            "{ai_type:?}: {found:?}"
        );
        for status in [400, 402, 404, 408, 418, 429, 500, 502, 503, 529] {
            let answer = ResponseTemplate::new(status)
                .set_body_string(CANARY)
                .insert_header("retry-after", "3600");
            let server = provider(ai_type, answer).await;
            let endpoint = endpoint(ai_type, &server);
            // Twice: what is said to one key holds no other back.
            for _ in 0..2 {
                let found = bench.probe(ai_type, &endpoint).await;
                let Probe::Inconclusive(said) = &found else {
                    panic!("{ai_type:?}, {status}: {found:?}");
                };
                assert!(said.starts_with(&status.to_string()), "{said}");
            }
            assert_eq!(server.received_requests().await.expect("recorded").len(), 2);
        }
    }
}

#[tokio::test]
async fn a_redirect_takes_the_key_nowhere() {
    let bench = Bench::new();
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = MockServer::start().await;
        let to = format!("{}/v1/models", elsewhere.uri());
        let answer = ResponseTemplate::new(status).insert_header("location", to);
        let server = provider(AiType::Openai, answer).await;
        let found = bench
            .probe(AiType::Openai, &endpoint(AiType::Openai, &server))
            .await;
        let Probe::Inconclusive(said) = found else {
            panic!("{status}: {found:?}");
        };
        assert!(said.contains("the key is not sent"), "{said}");
        let followed = elsewhere.received_requests().await.expect("recorded");
        assert!(followed.is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_success_that_is_no_list_of_models_proves_nothing() {
    let bench = Bench::new();
    for body in ["", "<html>sign in</html>", "{\"error\":{}}", CANARY] {
        let answer = ResponseTemplate::new(200).set_body_string(body);
        let server = provider(AiType::Openai, answer).await;
        let found = bench
            .probe(AiType::Openai, &endpoint(AiType::Openai, &server))
            .await;
        assert!(matches!(found, Probe::Inconclusive(_)), "{body}: {found:?}");
    }
    let endless =
        ResponseTemplate::new(200).set_body_string("[1,".to_owned() + &"1,".repeat(5 << 20));
    let server = provider(AiType::Openai, endless).await;
    let found = bench
        .probe(AiType::Openai, &endpoint(AiType::Openai, &server))
        .await;
    assert!(matches!(found, Probe::Inconclusive(_)), "{found:?}");
}

#[tokio::test]
async fn silence_ends_in_time_and_is_not_waited_for_again_and_again() {
    let Bench { prober, metrics } = Bench::new();
    let bench = Bench {
        prober: prober.timing_out_after(Duration::from_millis(300)),
        metrics,
    };
    let answer = ResponseTemplate::new(200)
        .set_body_json(json!([]))
        .set_delay(Duration::from_secs(600));
    let server = provider(AiType::Openai, answer).await;
    let endpoint = endpoint(AiType::Openai, &server);
    let found = bench.probe(AiType::Openai, &endpoint).await;
    let Probe::Inconclusive(said) = &found else {
        panic!("{found:?}");
    };
    let who = format!("no answer within 300ms from {}", server.address());
    assert_eq!(*said, who);
    eventually("another is spared the wait", || async {
        bench.probe(AiType::Openai, &endpoint).await;
        (calls(&bench.metrics, "GET /models", "timeout") > 1).then_some(())
    })
    .await;

    server.reset().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([])))
        .mount(&server)
        .await;
    eventually("it is asked again", || async {
        let found = bench.probe(AiType::Openai, &endpoint).await;
        (found == Probe::Works).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_server_or_one_that_speaks_something_else_is_inconclusive() {
    let bench = Bench::new();
    let nobody = format!("http://127.0.0.1:{}/v1", free_port());
    let found = bench.probe(AiType::Openai, &nobody).await;
    let Probe::Inconclusive(said) = &found else {
        panic!("{found:?}");
    };
    assert!(said.contains("no connection: connection refused"), "{said}");
    let found = bench.probe(AiType::Openai, "https://provider.invalid/v1");
    let Probe::Inconclusive(said) = &found.await else {
        panic!("a host that is unknown");
    };
    assert!(said.contains("cannot resolve provider.invalid ("), "{said}");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(format!("{CANARY} {CANARY}\r\n\r\n").as_bytes())
                .await;
        }
    });
    for scheme in ["http", "https"] {
        let found = bench
            .probe(AiType::Other, &format!("{scheme}://{address}/"))
            .await;
        assert!(
            matches!(found, Probe::Inconclusive(_)),
            "{scheme}: {found:?}"
        );
    }

    let server = provider(AiType::Openai, ResponseTemplate::new(200)).await;
    let endpoint = endpoint(AiType::Openai, &server);
    let found = bench
        .probe_pair(AiType::Openai, &endpoint, None, "sk-ü")
        .await;
    assert!(matches!(found, Probe::Inconclusive(_)), "{found:?}");
}

#[tokio::test]
async fn a_gateway_is_asked_below_its_own_path() {
    let bench = Bench::new();
    let server = MockServer::start().await;
    for at in [
        "/team/openai/v1/models",
        "/team/anthropic/v1/models",
        "/team/gemini/v1beta/models",
    ] {
        Mock::given(method("GET"))
            .and(path(at))
            .respond_with(
                ResponseTemplate::new(200).set_body_json(json!({"data": [], "models": []})),
            )
            .mount(&server)
            .await;
    }
    for (ai_type, below) in [
        (AiType::Other, "/team/openai/v1/"),
        (AiType::Anthropic, "/team/anthropic"),
        (AiType::Anthropic, "/team/anthropic/v1"),
        (AiType::Google, "/team/gemini/"),
        (AiType::Google, "/team/gemini/v1beta"),
    ] {
        let endpoint = format!("{}{below}", server.uri());
        assert_eq!(
            bench.probe(ai_type, &endpoint).await,
            Probe::Works,
            "{below}"
        );
    }
}

#[tokio::test]
async fn aws_keys_are_known_to_sts_or_not() {
    for emulator in BOTH {
        let aws = Aws::start_strict(emulator).await;
        let nothing = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
        let user = aws.user("probed", nothing).await;
        aws.enforce_policies().await;
        let bench = Bench::at(aws.url());
        let endpoint = format!("https://bedrock-runtime.{REGION}.amazonaws.com");
        let (id, secret) = (user.access_key_id(), user.secret_access_key());
        let found = bench
            .probe_pair(AiType::Aws, &endpoint, Some(id), secret)
            .await;
        assert_eq!(found, Probe::Works, "{emulator:?}");

        for (id, secret) in [
            (id, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYcanaryKeyy"),
            ("AKIAZZZZZZZZZZZZZZZZ", secret),
        ] {
            let found = bench
                .probe_pair(AiType::Aws, &endpoint, Some(id), secret)
                .await;
            let Probe::Rejected(said) = &found else {
                panic!("{emulator:?}: {found:?}");
            };
            // The code behind it differs between the emulators.
            let who = format!("403 from STS in {REGION}");
            assert!(said.starts_with(&who), "{said}");
            assert!(!said.contains(id), "{said}");
        }
        assert_eq!(calls(&bench.metrics, "GetCallerIdentity", "ok"), 1);
    }
    let bench = Bench::at(&format!("http://127.0.0.1:{}", free_port()));
    let found = bench
        .probe_pair(
            AiType::Aws,
            "https://bedrock.example.com",
            Some("AKIA"),
            CANARY,
        )
        .await;
    let Probe::Inconclusive(said) = &found else {
        panic!("{found:?}");
    };
    assert!(
        said.starts_with(&format!("STS in {REGION}: no connection")),
        "{said}"
    );
}
