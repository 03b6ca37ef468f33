use proptest::prelude::*;
use serde_json::json;

use super::*;

fn sought(kind: TargetKind) -> Sought {
    Sought {
        workspace: WorkspaceId::new("w"),
        kind,
        sent: Pieces::of(["canary-canary"]),
    }
}

fn read(body: &[u8], kind: TargetKind) -> Result<Listing, Odd> {
    parse(body, &sought(kind))
}

fn configurations(entries: &Value) -> Listing {
    let body = json!({ "success": true, "aiLlms": entries }).to_string();
    read(body.as_bytes(), TargetKind::Configuration).expect("a list")
}

#[test]
fn an_entry_needs_an_id_and_a_name_and_nothing_else() {
    let odd = json!([
        { "id": "bare", "name": "n" },
        { "id": "nulls", "name": "n", "endpoint": null, "workspaceId": null, "aiType": null, "apiKeyId": null },
        { "id": "types", "name": "n", "endpoint": 7, "workspaceId": [], "aiType": {}, "repos": "x" },
        { "id": "new", "name": "n", "workspaceId": "w", "aiType": "MISTRAL", "endpoint": "e" },
        { "id": "shared", "name": "n", "apiKeyId": "k" },
        { "id": "oddly-shared", "name": "n", "apiKeyId": 7 },
        { "id": "elsewhere", "name": "n", "workspaceId": "v" },
        { "id": 7, "name": "n" },
        { "id": "x" },
        { "id": "x", "name": null },
        { "id": "x", "name": "" },
        { "id": "..", "name": "n" },
        { "id": "of-canary-c", "name": "n" },
        { "id": "i".repeat(513), "name": "n" },
        { "id": "x", "name": "n".repeat(513) },
        "text", null, [1],
    ]);
    let listing = configurations(&odd);
    assert_eq!(listing.unreadable, (8..=18).collect::<Vec<_>>());
    let ids: Vec<&str> = listing.entries.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(
        ids,
        ["bare", "nulls", "types", "new", "shared", "oddly-shared"]
    );
    let shown = |index: usize| listing.entries[index].appearance.clone();
    assert_eq!((shown(2).ai_type, shown(2).endpoint), (None, None));
    assert_eq!(shown(3).ai_type.as_deref(), Some("MISTRAL"));
    assert_eq!(shown(4).stored_key, Some(AiLlmId::new("k")));
    assert!(shown(5).stored_key.is_some() && shown(1).stored_key.is_none());
}

#[test]
fn numbers_and_escapes_that_no_parser_takes_spoil_one_entry() {
    let body = br#"{"aiLlms":[{"id":"a","name":"n","x":1e999},{"id":"b","name":"\ud800"},
        {"id":"c","name":"n"}],"more":[1e999]}"#;
    let listing = read(body, TargetKind::Configuration).expect("a list");
    assert_eq!(listing.unreadable, [1, 2]);
    assert_eq!(listing.entries[0].id, AiLlmId::new("c"));
}

#[test]
fn stored_keys_are_known_by_their_description() {
    let body = json!({ "success": true, "apiKeys": [
        { "id": "1", "key": "***", "provider": "OPENAI", "description": "shared" },
        { "id": "2", "provider": "OPENAI" },
    ]});
    let listing = read(body.to_string().as_bytes(), TargetKind::StoredKey).expect("a list");
    let names = listing.entries.iter().map(|one| &*one.appearance.name);
    assert_eq!(names.collect::<Vec<_>>(), ["shared", ""]);
}

#[test]
fn malformed_list_is_an_error_that_quotes_no_content() {
    for body in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"success":true}"#,
        r#"{"aiLlms":null}"#,
        r#"{"aiLlms":"canary-canary"}"#,
        r#"{"aiLlms":[{}"#,
        r#"{"aiLlms":[]}x"#,
    ] {
        match read(body.as_bytes(), TargetKind::Configuration) {
            Err(Odd::NotTheContract(what)) => assert!(!what.contains("canary"), "{what}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    let no = br#"{"success":false,"aiLlms":[],"message":"no"}"#;
    let no = read(no, TargetKind::Configuration);
    assert!(matches!(no, Err(Odd::Unsuccessful(Some(said))) if &*said == "no"));
}

#[test]
fn a_long_list_is_read_and_an_endless_entry_is_not() {
    let entry = r#"{"id":"5a4db0c5-0000-4000-8000-000000000000","name":"a name","repos":[]},"#;
    let body = format!(r#"{{"aiLlms":[{}{{}}]}}"#, entry.repeat(100_000));
    let listing = read(body.as_bytes(), TargetKind::Configuration).expect("a list");
    assert_eq!(listing.entries.len(), 100_000);
    let endless = io::repeat(b'x');
    let body = (&br#"{"aiLlms":[{"id":""#[..]).chain(endless);
    assert!(parse(body, &sought(TargetKind::Configuration)).is_err());
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&body, TargetKind::Configuration);
        let _ = read(&body, TargetKind::StoredKey);
    }
}
