//! Older versions, with a token that may read and no more.

use flashback_rotator::source::{Exact, GoneVersion, Previous};
use serde_json::{Value, json};

use super::*;
use crate::support::policies::{policy, without};

const PATH: &str = "llm/openai";

async fn exact(bench: &Bench, version: &Version) -> Result<String, GoneVersion> {
    match bench
        .source
        .read_exact(PATH, version)
        .await
        .expect("an answer")
    {
        Exact::Present {
            document,
            written_at,
        } => {
            assert!(written_at.is_some());
            Ok(document.field("key").expect("a key").expose().to_owned())
        }
        Exact::Gone(why) => Err(why),
    }
}

async fn previous(bench: &Bench, version: &Version) -> Result<Version, GoneVersion> {
    match bench
        .source
        .previous(PATH, version)
        .await
        .expect("an answer")
    {
        Previous::Version(version) => Ok(version),
        Previous::Gone(why) => Err(why),
    }
}

/// A source at a mount with the policy that the documentation gives, but for the mount and for
/// what is taken out of it.
async fn limited(bao: &OpenBao, mount: &str, lacking: &[&str]) -> Bench {
    let mut rules = policy("vault.hcl").replace("\"secret/", &format!("\"{mount}/"));
    for path in lacking {
        rules = without(&rules, &format!("{mount}/{path}/"));
    }
    let name = format!("{mount}-{}", lacking.concat());
    bao.write_policy(&name, &rules).await;
    let given = bao
        .create_token(json!({"policies": [name], "no_default_policy": true}))
        .await;
    Bench::new(config(&bao.address, mount), token(&given))
}

async fn versions(bao: &OpenBao, mount: &str, number: u64) -> Vec<Version> {
    let bench = Bench::root(bao, mount);
    let mut all = Vec::new();
    for number in 1..=number {
        bao.put_kv2(mount, PATH, json!({"key": format!("sk-{number}")}))
            .await;
        all.push(bench.version(PATH).await);
    }
    all
}

#[tokio::test]
async fn each_kept_version_is_read_and_each_other_is_said_to_be_what_it_is() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-older", 2).await;
    let v = versions(bao, "kv-older", 3).await;
    let api = async |operation: &str, number: u64| {
        let path = format!("kv-older/{operation}/{PATH}");
        bao.ok("POST", &path, json!({"versions": [number]})).await;
    };
    for lacking in [&[][..], &["metadata"][..]] {
        let bench = limited(bao, "kv-older", lacking).await;
        assert_eq!(exact(&bench, &v[0]).await, Ok("sk-1".to_owned()));
        assert_eq!(exact(&bench, &v[2]).await, Ok("sk-3".to_owned()));
        assert_eq!(previous(&bench, &v[2]).await, Ok(v[1].clone()));
        assert_eq!(previous(&bench, &v[1]).await, Ok(v[0].clone()));
        let nothing = previous(&bench, &v[0]).await;
        assert_eq!(nothing, Err(GoneVersion::NoSuchVersion));

        api("delete", 2).await;
        assert_eq!(exact(&bench, &v[1]).await, Err(GoneVersion::Deleted));
        assert_eq!(previous(&bench, &v[2]).await, Err(GoneVersion::Deleted));
        api("undelete", 2).await;
        assert_eq!(exact(&bench, &v[1]).await, Ok("sk-2".to_owned()));

        for version in [
            Version::numbered(9, "2026-01-01T00:00:00Z"),
            Version::numbered(2, "2026-01-01T00:00:00Z"),
            Version::new("not-of-this-store"),
        ] {
            let found = exact(&bench, &version).await;
            assert_eq!(found, Err(GoneVersion::NoSuchVersion), "{version:?}");
        }
    }
    api("destroy", 2).await;
    for lacking in [&[][..], &["metadata"][..]] {
        let bench = limited(bao, "kv-older", lacking).await;
        assert_eq!(exact(&bench, &v[1]).await, Err(GoneVersion::Destroyed));
        assert_eq!(previous(&bench, &v[2]).await, Err(GoneVersion::Destroyed));
    }

    let denied = limited(bao, "kv-older", &["metadata", "data"]).await;
    for error in [
        denied.source.read_exact(PATH, &v[0]).await.map(drop),
        denied.source.previous(PATH, &v[2]).await.map(drop),
    ] {
        let error = error.expect_err("denied");
        let needs = format!("`read` on `kv-older/data/{PATH}`");
        assert!(error.to_string().contains(&needs), "{error}");
    }
}

#[tokio::test]
async fn distinguishes_pruned_versions_from_those_that_never_existed() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-dropped", 2).await;
    let v = versions(bao, "kv-dropped", 2).await;
    let settings = json!({"max_versions": 2});
    bao.ok("POST", &format!("kv-dropped/metadata/{PATH}"), settings)
        .await;
    let newest = versions(bao, "kv-dropped", 2).await.remove(1);
    let bench = limited(bao, "kv-dropped", &[]).await;
    assert_eq!(exact(&bench, &v[0]).await, Err(GoneVersion::Pruned));
    assert_eq!(exact(&bench, &v[1]).await, Err(GoneVersion::Pruned));
    assert!(previous(&bench, &newest).await.is_ok());
    let oldest = previous(&bench, &newest).await.expect("kept");
    assert_eq!(previous(&bench, &oldest).await, Err(GoneVersion::Pruned));

    let path = format!("kv-dropped/metadata/{PATH}");
    bao.ok("DELETE", &path, Value::Null).await;
    assert_eq!(
        exact(&bench, &newest).await,
        Err(GoneVersion::NoSuchVersion)
    );
    let again = versions(bao, "kv-dropped", 2).await;
    for old in &v {
        let found = exact(&bench, old).await;
        assert_eq!(
            found,
            Err(GoneVersion::NoSuchVersion),
            "the same number, another life"
        );
    }
    assert_eq!(
        previous(&bench, &v[1]).await,
        Err(GoneVersion::NoSuchVersion)
    );
    assert_eq!(exact(&bench, &again[0]).await, Ok("sk-1".to_owned()));
}

#[tokio::test]
async fn kv_1_has_no_previous_versions_and_cannot_acknowledge() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-plain", 1).await;
    let mut config = config(&bao.address, "kv-plain");
    config.kv_version = KvVersion::V1;
    let mut bench = Bench::new(config, token(ROOT));
    bench.source = bench.source.acknowledging(true);
    bao.ok("POST", &format!("kv-plain/{PATH}"), json!({"key": "sk-1"}))
        .await;
    let version = bench.version(PATH).await;
    assert_eq!(exact(&bench, &version).await, Err(GoneVersion::NoVersions));
    assert_eq!(
        previous(&bench, &version).await,
        Err(GoneVersion::NoVersions)
    );
    assert!(!bench.source.acknowledges());
}
