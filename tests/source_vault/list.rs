//! Lists of secrets.

use flashback_rotator::source::{Listed, Scope};

use serde_json::json;

use super::faults::{body, stub};
use super::*;

fn scope(prefix: &str, deep: bool) -> Scope {
    Scope {
        prefix: prefix.to_owned(),
        deep,
        ..Scope::default()
    }
}

fn paths(listed: &[Listed]) -> Vec<&str> {
    listed.iter().map(|listed| &*listed.path).collect()
}

/// Writes secrets in every state below `llm/`.
async fn fill(bao: &OpenBao, mount: &str) {
    bao.mount_kv(mount, 2).await;
    for path in ["a", "sub", "sub/b", "sub/deep/c", "deleted", "other/x"] {
        let path = match path.starts_with("other") {
            true => path.to_owned(),
            false => format!("llm/{path}"),
        };
        bao.put_kv2(mount, &path, json!({"key": "sk-one"})).await;
    }
    let metadata = json!({"custom_metadata": {"team": "ai", "flashback_ai_type": "OPENAI"}});
    bao.ok("POST", &format!("{mount}/metadata/llm/a"), metadata)
        .await;
    bao.put_kv2(mount, "llm/a", json!({"key": "sk-two"})).await;
    bao.ok("DELETE", &format!("{mount}/data/llm/deleted"), json!(null))
        .await;
    let metadata = json!({"custom_metadata": {"team": "none"}});
    bao.ok("POST", &format!("{mount}/metadata/llm/empty"), metadata)
        .await;
}

#[tokio::test]
async fn a_list_of_openbao_has_versions_and_custom_metadata_in_one_call() {
    let bao = OpenBao::shared().await;
    fill(bao, "listed").await;
    let bench = Bench::root(bao, "listed");
    let all = bench
        .source
        .list(&scope("llm/", true))
        .await
        .expect("a list");
    let expected = [
        "llm/a",
        "llm/deleted",
        "llm/empty",
        "llm/sub",
        "llm/sub/b",
        "llm/sub/deep/c",
    ];
    assert_eq!(paths(&all), expected);
    assert_eq!(bench.calls("scan_details"), 1);
    for listed in &all {
        let observed = bench.observe(&listed.path).await;
        let entry = bench.source.entry(&listed.path).await.expect("an entry");
        let entry = entry.expect("it is there");
        assert_eq!(entry.observed.as_ref(), Some(&observed), "{}", listed.path);
        assert_eq!(entry.metadata, listed.metadata);
        match &listed.observed {
            Some(said) => assert_eq!(*said, observed, "{}", listed.path),
            // Whether it is deleted depends on the server's clock.
            None => assert_eq!(listed.path, "llm/deleted"),
        }
    }
    let metadata = all[0].metadata.as_ref().expect("metadata");
    assert_eq!(metadata["team"], "ai");

    let one = bench
        .source
        .list(&scope("llm/", false))
        .await
        .expect("a list");
    assert_eq!(
        paths(&one),
        ["llm/a", "llm/deleted", "llm/empty", "llm/sub"]
    );
    let part = bench
        .source
        .list(&scope("llm/su", true))
        .await
        .expect("a list");
    assert_eq!(paths(&part), ["llm/sub", "llm/sub/b", "llm/sub/deep/c"]);
    let mut tagged = scope("", true);
    tagged.tags.insert("team".to_owned(), "ai".to_owned());
    let tagged = bench.source.list(&tagged).await.expect("a list");
    assert_eq!(paths(&tagged), ["llm/a"]);
    let nothing = bench.source.list(&scope("nothing/", true)).await;
    assert_eq!(nothing, Ok(Vec::new()));
    assert_eq!(bench.source.entry("llm/none").await, Ok(None));
}

#[tokio::test]
async fn names_alone_are_listed_where_the_policy_has_no_more_and_each_way_is_tried_once() {
    let bao = OpenBao::shared().await;
    fill(bao, "names").await;
    let rules = r#"path "names/metadata/*" { capabilities = ["list", "read"] }"#;
    bao.write_policy("names", rules).await;
    let narrow = bao.create_token(json!({"policies": ["names"]})).await;
    let bench = Bench::new(config(&bao.address, "names"), token(&narrow));
    for _ in 0..2 {
        let all = bench
            .source
            .list(&scope("llm/", true))
            .await
            .expect("a list");
        assert_eq!(all.len(), 6);
        let known = |listed: &Listed| listed.observed.is_some() || listed.metadata.is_some();
        assert!(!all.iter().any(known), "{all:?}");
    }
    assert_eq!(bench.calls("scan_details"), 1);
    assert_eq!(bench.calls("list_details"), 1);
    let entry = bench.source.entry("llm/a").await.expect("an entry");
    let metadata = entry.and_then(|entry| entry.metadata).expect("metadata");
    assert_eq!(metadata["flashback_ai_type"], "OPENAI");

    let nothing = bao.create_token(json!({"policies": ["default"]})).await;
    let bench = Bench::new(config(&bao.address, "names"), token(&nothing));
    let error = bench.source.list(&scope("llm/", true)).await;
    let error = error.expect_err("denied").to_string();
    assert!(error.contains("`list` on `names/metadata/llm/`"), "{error}");
}

#[tokio::test]
async fn a_list_that_is_cut_off_is_an_error() {
    let whole = r#"{"data":{"keys":["a","b"],"key_info":{"a":{},"b":{}}}}"#;
    for (page, is_list) in [
        (whole, true),
        (r#"{"data":{"keys":["a","a"]}}"#, false),
        (r#"{"data":{"keys":["a"#, false),
        (r#"{"data":{}}"#, false),
        (r#"{"data":null}"#, false),
        ("{}", false),
    ] {
        let server = stub(body(200, page)).await;
        let bench = Bench::new(config(&server.uri(), "secret"), token(ROOT));
        for deep in [true, false] {
            let listed = bench.source.list(&scope("llm/", deep)).await;
            match listed {
                Ok(_) => assert!(is_list, "{page}"),
                Err(SourceError::Protocol { .. }) => assert!(!is_list, "{page}"),
                Err(error) => panic!("{page}: {error:?}"),
            }
        }
    }
}

#[tokio::test]
async fn kv_1_lists_names_and_a_wrong_engine_is_named() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("listed-1", 1).await;
    for path in ["llm/a", "llm/sub/b"] {
        bao.ok("POST", &format!("listed-1/{path}"), json!({"key": "sk"}))
            .await;
    }
    let mut v1 = config(&bao.address, "listed-1");
    v1.kv_version = KvVersion::V1;
    let bench = Bench::new(v1, token(ROOT));
    let all = bench
        .source
        .list(&scope("llm/", true))
        .await
        .expect("a list");
    assert_eq!(paths(&all), ["llm/a", "llm/sub/b"]);
    let wrong = Bench::root(bao, "listed-1");
    let error = wrong.source.list(&scope("llm/", true)).await;
    let error = error.expect_err("another engine").to_string();
    assert!(error.contains("kv_version = 1"), "{error}");
}
