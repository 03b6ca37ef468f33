//! Versions that are or will be deleted.

use flashback_rotator::model::Missing;
use flashback_rotator::source::{GoneVersion, Previous};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::support::eventually;

const PATH: &str = "llm/openai";
const CREATED: &str = "2026-01-01T00:00:00Z";

/// A server whose version 1 has this deletion time and these data, and whose latest version is `latest`.
async fn with_deletion_time(latest: u64, deletion_time: &str, data: Option<Value>) -> MockServer {
    let server = MockServer::start().await;
    let version = |number: u64, deletion_time: &str| {
        json!({
            "created_time": CREATED, "deletion_time": deletion_time, "destroyed": false,
            "version": number, "custom_metadata": null,
        })
    };
    let metadata = json!({"data": {
        "cas_required": false, "created_time": CREATED, "current_version": latest,
        "custom_metadata": null, "delete_version_after": "0s", "max_versions": 0,
        "oldest_version": 0, "updated_time": CREATED,
        "versions": {"1": version(1, deletion_time), "2": version(2, "")},
    }});
    let about = json!({"data": {
        "ttl": 0, "creation_ttl": 0, "renewable": false, "policies": ["p"], "display_name": "d",
    }});
    let status = if data.is_some() { 200 } else { 404 };
    let version = json!({"data": {"data": data, "metadata": version(1, deletion_time)}});
    for (at, status, body) in [
        ("/v1/auth/token/lookup-self".to_owned(), 200, about),
        (format!("/v1/secret/metadata/{PATH}"), 200, metadata),
        (format!("/v1/secret/data/{PATH}"), status, version),
    ] {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        Mock::given(path(at))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    server
}

/// The server's clock is what counts, and it may be hours or years from this machine's.
#[tokio::test]
async fn the_server_says_whether_a_version_is_deleted_and_no_clock_does() {
    let [first, second] = [1, 2].map(|number| Version::numbered(number, CREATED));
    let there = || Some(json!({"key": "sk-1"}));
    for deletion_time in ["2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let bench = async |latest, data| {
            let server = with_deletion_time(latest, deletion_time, data).await;
            let bench = Bench::new(config(&server.uri(), "secret"), token("t"));
            (server, bench)
        };
        let (_server, lives) = bench(1, there()).await;
        assert_eq!(lives.value(PATH).await, "sk-1", "{deletion_time}");
        for _ in 0..5 {
            assert_eq!(lives.version(PATH).await, first);
        }
        let reads = lives.calls("read_data");
        assert_eq!(reads, 2, "once to know, and once for the value");

        let (_server, deleted) = bench(1, None).await;
        for _ in 0..2 {
            let missing = Observation::Missing(Missing::Deleted);
            assert_eq!(deleted.observe(PATH).await, missing, "{deletion_time}");
        }

        for (data, expected) in [
            (there(), Previous::Version(first.clone())),
            (None, Previous::Gone(GoneVersion::Deleted)),
        ] {
            let (_server, bench) = bench(2, data).await;
            let previous = bench.source.previous(PATH, &second).await;
            assert_eq!(previous.as_ref(), Ok(&expected), "{deletion_time}");
        }
    }
}

#[tokio::test]
async fn a_version_that_will_be_deleted_is_there_until_then() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-later", 2).await;
    let bench = Bench::root(bao, "kv-later");
    bao.put_kv2("kv-later", "other", json!({})).await;
    let settings = json!({"delete_version_after": "1h"});
    bao.ok("POST", &format!("kv-later/metadata/{PATH}"), settings)
        .await;
    bao.put_kv2("kv-later", PATH, json!({"key": "sk-1"})).await;
    assert_eq!(bench.value(PATH).await, "sk-1");
    let settings = json!({"delete_version_after": "1s"});
    bao.ok("POST", &format!("kv-later/metadata/{PATH}"), settings)
        .await;
    bao.put_kv2("kv-later", PATH, json!({"key": "sk-2"})).await;
    eventually("the version is deleted", || async {
        let found = bench.observe(PATH).await;
        (found == Observation::Missing(Missing::Deleted)).then_some(())
    })
    .await;
}
