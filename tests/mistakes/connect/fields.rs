//! Fields that are not in what is stored: `--read` says so, with the names of those that are.

use serde_json::json;

use super::{checked, key};
use crate::support::openbao::{OpenBao, ROOT};

const ENVIRONMENT: [(&str, &str); 1] = [("TEST_ROOT", ROOT)];

/// Keys in a mount of their own, each with a stored secret, the setting `fields` and what is said of it.
async fn prepared(mount: &str) -> (String, Vec<(&'static str, Vec<&'static str>)>) {
    let bao = OpenBao::shared().await;
    bao.mount_kv(mount, 2).await;
    let mut rest = format!(
        "[sources.vault]\ntype = \"vault\"\naddress = \"{}\"\nmount = \"{mount}\"\n\
         [sources.vault.auth]\nmethod = \"token\"\ntoken = {{ env = \"TEST_ROOT\" }}\n",
        bao.address
    );
    let cases = [
        (
            "right",
            json!({"api_key": "sk-canary", "note": "n"}),
            "secret = \"api_key\"",
            vec![],
        ),
        (
            "misspelt",
            json!({"api_key": "sk-canary", "token": "canary"}),
            "secret = \"apikey\"",
            vec!["no field `apikey`", "its fields are: `api_key`, `token`"],
        ),
        (
            "unnamed",
            json!({"api_key": "sk-canary", "token": "canary"}),
            "",
            vec!["which field is the secret?", "`api_key`, `token`"],
        ),
        (
            "number",
            json!({"api_key": 7}),
            "secret = \"api_key\"",
            vec!["the field `api_key` is a number, not a text"],
        ),
        (
            "empty",
            json!({"api_key": ""}),
            "secret = \"api_key\"",
            vec!["the field `api_key` is empty"],
        ),
        (
            "pointer",
            json!({"openai": {"key": "sk-canary"}}),
            "secret = \"/openai/secret\"",
            vec!["no field `/openai/secret`", "`openai`"],
        ),
        (
            "assignment",
            json!({"api_key": "OPENAI_API_KEY=sk-canary"}),
            "secret = \"api_key\"",
            vec!["assignment"],
        ),
    ];
    let mut expected = Vec::new();
    for (id, stored, fields, words) in cases {
        bao.put_kv2(mount, id, stored).await;
        rest += &key(id, "vault", id);
        if !fields.is_empty() {
            rest += &format!("fields = {{ {fields} }}\n");
        }
        expected.push((id, words));
    }
    (rest, expected)
}

#[tokio::test]
async fn a_field_that_is_not_there_is_seen_by_reading_alone() {
    let (rest, expected) = prepared("mistakes-fields").await;
    let said = checked(&rest, &[], &ENVIRONMENT).await;
    assert_eq!((said.code, &*said.failures), (Some(0), &[][..]));

    let said = checked(&rest, &["--read"], &ENVIRONMENT).await;
    assert_eq!(said.code, Some(1));
    for (id, words) in &expected[1..] {
        said.says(&format!("key {id}"), words);
    }
    assert_eq!(
        said.failures.len(),
        expected.len() - 1,
        "{:#?}",
        said.failures
    );
    let row = said.row("key right");
    assert!(row.contains("its value can be read"), "{row}");
}

#[tokio::test]
async fn check_prints_one_json_document_of_sources_flashback_and_keys() {
    let (rest, expected) = prepared("mistakes-document").await;
    let away = "[sources.away]\ntype = \"vault\"\naddress = \"https://vault.invalid\"\n\
                [sources.away.auth]\nmethod = \"token\"\ntoken = { env = \"TEST_ROOT\" }\n";
    let rest = format!("{rest}{away}{}", key("unasked", "away", "unasked"));
    let said = checked(&rest, &["--read", "--json"], &ENVIRONMENT).await;
    assert_eq!(said.code, Some(1));
    let document = said.document();
    let sources = document["sources"].as_array().expect("sources");
    let source = |id: &str| {
        let found = sources.iter().find(|source| source["source"] == id);
        found.unwrap_or_else(|| panic!("no {id} in {document:#}"))
    };
    assert_eq!(source("vault")["ok"], true);
    assert_eq!(source("vault")["error"], json!(null));
    assert_eq!(source("away")["ok"], false);
    assert_eq!(source("away")["detail"], json!(null));
    let flashback = &document["flashback"];
    assert_eq!(flashback["ok"], true, "{document:#}");
    assert!(
        flashback["base_url"]
            .as_str()
            .is_some_and(|url| url.starts_with("http://"))
    );
    assert_eq!(flashback["workspaces"][0]["workspace_id"], "w");
    let keys = document["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), expected.len() + 1);
    let columns = ["ai_llm_id", "error", "key", "name", "source", "version"];
    for row in keys {
        let found: Vec<_> = row.as_object().expect("a row").keys().collect();
        assert_eq!(found, columns);
    }
    let row = |id: &str| keys.iter().find(|row| row["key"] == id).expect("a row");
    assert_eq!(row("right")["version"], "1");
    assert_eq!(row("right")["error"], json!(null));
    let error = row("misspelt")["error"].as_str().expect("an error");
    assert!(error.contains("its fields are"), "{error}");
    assert_eq!(
        row("unasked")["error"],
        "not checked: the source `away` has failed"
    );
}

/// Neither is of use without `--connect`.
#[tokio::test]
async fn reading_and_the_document_are_asked_for_with_connect() {
    let said = crate::support::rotator::binary()
        .args(["check", "--read"])
        .output();
    let said = said.expect("it starts");
    assert_eq!(said.status.code(), Some(2));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("--connect"), "{said}");
}
