//! Taking credentials out of what a store holds.

use super::*;

fn take(
    text: &str,
    key: Option<&str>,
    secret: Option<&str>,
) -> Result<(Option<String>, String), Malformed> {
    let fields = FieldMap {
        key: key.map(Into::into),
        secret: secret.map(Into::into),
    };
    let taken = Document::from_text(text.into()).credentials(&fields)?;
    let credentials = taken.credentials;
    Ok((
        credentials.key.map(|k| k.expose().into()),
        credentials.secret.expose().into(),
    ))
}

#[test]
fn takes_text_single_field_named_field_and_pointer() {
    let only = |secret: &str| Ok((None, secret.to_owned()));
    assert_eq!(take("sk-1", None, None), only("sk-1"));
    assert_eq!(take("12345", None, None), only("12345"));
    assert_eq!(take(r#"{"a":"sk-2"}"#, None, None), only("sk-2"));
    assert_eq!(
        take(r#"{"a":"x","b":"sk-3"}"#, None, Some("b")),
        only("sk-3")
    );
    assert_eq!(
        take(r#"{"a":{"b/c":["sk-4"]}}"#, None, Some("/a/b~1c/0")),
        only("sk-4")
    );
    assert_eq!(
        take(r#"{"id":"AKIA","sk":"s"}"#, Some("id"), Some("/sk")),
        Ok((Some("AKIA".into()), "s".into()))
    );
}

#[test]
fn errors_name_fields_and_never_values() {
    let cases = [
        take(r#"{"a":"canary","b":"canary"}"#, None, None),
        take(r#"{"a":"canary"}"#, None, Some("b")),
        take(r#"{"a":{"b":"canary"}}"#, None, Some("a")),
        take(r#"{"a":{"b":"canary"}}"#, None, None),
        take(r#"{"a":""}"#, None, None),
        take("", None, None),
        take("canary", None, Some("a")),
        take(r#"{"a":"canary",}"#, None, Some("a")),
        take(r#"{"a":7}"#, None, Some("a")),
    ];
    for case in cases {
        let error = case.expect_err("refused").to_string();
        assert!(!error.contains("canary"), "{error}");
    }
    let shown = format!("{:?}", Document::from_text(r#"{"a":"canary"}"#.into()));
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn of_many_fields_a_handful_is_named() {
    let names = (0..100_000).map(|number| (format!("name{number}"), "x".into()));
    let document = Document::from_fields(names.collect());
    let error = document.field("key").expect_err("refused").to_string();
    assert!(error.contains("and 99992 more"), "{error}");
    assert!(error.chars().count() < 300, "{error}");
}

#[test]
fn trims_white_space_around_values_and_reports_it() {
    let trimmed = |text: &str| {
        let fields = FieldMap {
            key: Some("id".into()),
            secret: Some("sk".into()),
        };
        let taken = Document::from_text(text.into()).credentials(&fields);
        let Taken {
            credentials,
            trimmed,
        } = taken.expect("credentials");
        assert_eq!(credentials.key.expect("a key").expose(), "AKIA");
        assert_eq!(credentials.secret.expose(), "s e");
        trimmed
    };
    assert!(!trimmed(r#"{"id":"AKIA","sk":"s e"}"#));
    assert!(trimmed(r#"{"id":" AKIA","sk":"s e"}"#));
    assert!(trimmed(r#"{"id":"AKIA","sk":"\ts e\u00a0\r\n"}"#));
    assert_eq!(take(" sk-1\n", None, None), Ok((None, "sk-1".to_owned())));
    assert_eq!(
        take("\n", None, None),
        Err(Malformed::Empty { field: None })
    );
    assert_eq!(
        take(r#"{"a":" "}"#, None, Some("a")),
        Err(Malformed::Empty {
            field: Some("a".into())
        })
    );
}

#[test]
fn the_order_of_fields_does_not_change_the_fingerprint() {
    let fingerprinter = Fingerprinter::new([7; 32]);
    let print = |text: &str| Document::from_text(text.into()).fingerprint(&fingerprinter);
    assert_eq!(
        print(r#"{"a":"1","b":["2"]}"#),
        print(r#"{"b":["2"],"a":"1"}"#)
    );
    assert_ne!(print(r#"{"a":"1"}"#), print(r#"{"a":1}"#));
}
