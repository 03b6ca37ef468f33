//! Putting new credentials into the text of a stored secret.

use super::*;

fn credentials(key: Option<&str>, secret: &str) -> Credentials {
    Credentials {
        key: key.map(|key| Secret::new(key.to_owned())),
        secret: Secret::new(secret.to_owned()),
    }
}

fn map(key: Option<&str>, secret: Option<&str>) -> FieldMap {
    FieldMap {
        key: key.map(str::to_owned),
        secret: secret.map(str::to_owned),
    }
}

fn written(text: &str, fields: &FieldMap, new: &Credentials) -> String {
    rewritten(Some(text), fields, new)
        .expect("a place")
        .to_string()
}

#[test]
fn every_other_byte_of_the_text_is_kept() {
    let text = "{ \"z\": 1.10,\n \"a\\u0062\" :\"old\\n\", \"big\": 123456789012345678901234567890, \"ü\": [1, {\"k\": \"x\"}], \"id\": \"AK\"\t}\n";
    let expected = text.replace("\"old\\n\"", "\"n\\\"\\\\\\u000aew ü\"");
    let new = credentials(None, "n\"\\\new ü");
    assert_eq!(written(text, &map(None, Some("ab")), &new), expected);
    let both = credentials(Some("AK2"), "s");
    let expected = text
        .replace("\"old\\n\"", "\"s\"")
        .replace("\"AK\"", "\"AK2\"");
    assert_eq!(written(text, &map(Some("id"), Some("ab")), &both), expected);
    let expected = text.replace("\"x\"", "\"s\"").replace("\"AK\"", "\"AK2\"");
    let pointers = map(Some("/id"), Some("/ü/1/k"));
    assert_eq!(written(text, &pointers, &both), expected);
    // What is read back is what was written.
    let read = Document::from_text(written(text, &pointers, &both));
    let taken = read.credentials(&pointers).expect("there").credentials;
    assert!(taken.secret.is("s") && taken.key.is_some_and(|key| key.is("AK2")));
}

#[test]
fn the_only_field_and_the_whole_text_need_no_names() {
    let new = credentials(None, "new");
    let none = FieldMap::default();
    assert_eq!(written("old", &none, &new), "new");
    assert_eq!(
        written("{\"a\" : \"old\"}", &none, &new),
        "{\"a\" : \"new\"}"
    );
    assert!(matches!(
        rewritten(Some("{\"a\":\"1\",\"b\":\"2\"}"), &none, &new),
        Err(Malformed::Ambiguous { .. })
    ));
    let twice = "{\"a\":\"first\",\"a\":\"last\"}";
    assert_eq!(
        written(twice, &none, &new),
        "{\"a\":\"first\",\"a\":\"new\"}"
    );
}

#[test]
fn a_secret_that_is_not_there_yet_is_made_of_the_named_fields() {
    let made = |fields: &FieldMap, new: &Credentials| {
        rewritten(None, fields, new).map(|text| text.to_string())
    };
    let new = credentials(Some("AK"), "s");
    let fields = map(Some("id"), Some("/key"));
    let expected = "{\"id\":\"AK\",\"key\":\"s\"}";
    assert_eq!(made(&fields, &new).as_deref(), Ok(expected));
    let plain = credentials(None, "s");
    assert_eq!(made(&FieldMap::default(), &plain).as_deref(), Ok("s"));
    assert!(made(&map(None, Some("/a/b")), &plain).is_err());
    assert!(made(&fields, &plain).is_err(), "nothing for the key id");
}

#[test]
fn credentials_without_a_place_are_refused_without_their_values() {
    let new = credentials(Some("AKcanary"), "canary");
    for (text, fields) in [
        ("{\"a\":\"x\"}", map(None, Some("a"))),
        ("{\"a\":\"x\"}", map(Some("b"), Some("a"))),
        ("{\"a\":1,\"b\":\"x\"}", map(Some("b"), Some("a"))),
        ("plain", map(Some("b"), Some("a"))),
        ("{\"a\":\"x\"}", map(Some("a"), None)),
    ] {
        let error = rewritten(Some(text), &fields, &new).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[test]
fn a_merge_patch_names_what_changes_and_nothing_else() {
    let patch = |text: &str, fields: &FieldMap, new: &Credentials| {
        let patch = merge_patch(text, fields, new).expect("a place");
        patch.map(|patch| patch.to_string())
    };
    let text = "{\"a\":\"x\",\"n\":{\"b\":\"y\"},\"l\":[\"z\"],\"o\":1}";
    let (one, two) = (credentials(None, "s"), credentials(Some("k"), "s"));
    let found = patch(text, &map(None, Some("a")), &one);
    assert_eq!(found.as_deref(), Some("{\"a\":\"s\"}"));
    let found = patch(text, &map(None, Some("/n/b")), &one);
    assert_eq!(found.as_deref(), Some("{\"n\":{\"b\":\"s\"}}"));
    assert_eq!(patch(text, &map(None, Some("/l/0")), &one), None);
    assert_eq!(patch(text, &map(Some("a"), Some("/n/b")), &two), None);
    for number in [
        "1.10",
        "9007199254740993",
        "123456789012345678901234567890",
        "1e3",
    ] {
        let text = format!("{{\"a\":\"x\",\"n\":[{number}]}}");
        assert_eq!(patch(&text, &map(None, Some("a")), &one), None, "{number}");
    }
    let flat = "{\"a\":\"x\",\"b\":\"y\",\"c\":1}";
    let found = patch(flat, &map(Some("a"), Some("b")), &two);
    assert_eq!(found.as_deref(), Some("{\"a\":\"k\",\"b\":\"s\"}"));
    let found = patch("{\"a\":\"x\"}", &FieldMap::default(), &one);
    assert_eq!(found.as_deref(), Some("{\"a\":\"s\"}"));
}
