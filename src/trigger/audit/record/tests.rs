//! Records of OpenBao 2.7.2, as its file audit device wrote them.

use proptest::prelude::*;

use super::super::engine::tests::engine;
use super::*;
use crate::source::vault::KvVersion;
use crate::trigger::audit::Records;

const RECORDS: &str = include_str!("openbao.jsonl");

fn records(engine: Engine, pieces: &[&[u8]]) -> Vec<Record> {
    let mut found = Vec::new();
    let mut records = Records::from_the_start(engine);
    for piece in pieces {
        let taken = records.take(piece, |record| found.push(record));
        taken.expect("it is JSON");
    }
    found
}

/// Returns the changes among the records: path and version.
fn changes(root: &str, kv: KvVersion) -> Vec<String> {
    let all = records(engine(root, kv), &[RECORDS.as_bytes()]);
    let of = |record| match record {
        Record::Change(Heard {
            paths, version, at, ..
        }) => {
            assert!(at.is_some(), "each has a time");
            let version = version.map_or_else(|| "-".to_owned(), |it| it.as_str().to_owned());
            Some(format!("{} {version}", paths.join(",")))
        }
        Record::Everything(_) => Some("everything".to_owned()),
        Record::Malformed | Record::TooLong => panic!("each can be read"),
        Record::Request | Record::Other => None,
    };
    all.into_iter().filter_map(of).collect()
}

#[test]
fn each_change_of_kv_2_is_heard_with_its_version_and_nothing_else_is() {
    let heard = changes("secret/", KvVersion::V2);
    assert_eq!(
        heard,
        [
            "everything",
            "llm/openai 1@2026-11-30T01:50:39.577510734Z",
            "llm/openai 2@2026-11-30T01:50:39.628707626Z",
            "llm/openai -",
            "llm/openai -",
            "llm/openai -",
            "llm/openai -",
            "llm/openai 3@2026-11-30T01:50:39.892647695Z",
            "llm/openai -",
            "w -",
            "ü \"q 1@2026-11-30T01:50:41.068275763Z",
            "x 1@2026-11-30T01:50:41.100218203Z",
        ],
        "mounted; created; patched; deleted, undeleted, deleted, destroyed; written; metadata deleted; wrapped"
    );
}

#[test]
fn changes_of_kv_1_and_of_a_namespace_are_heard() {
    assert_eq!(
        changes("kv1/", KvVersion::V1),
        ["everything", "llm/openai -", "llm/openai -"]
    );
    assert_eq!(
        changes("team/a/b/", KvVersion::V2),
        [
            "everything",
            "x 1@2026-11-30T01:50:41.021446932Z",
            "x 2@2026-11-30T01:50:41.043480585Z"
        ]
    );
    assert_eq!(changes("a/b/", KvVersion::V2), [""; 0]);
}

#[test]
fn records_of_other_forms_are_read_for_what_they_are() {
    let read = |line: &str| record(line.as_bytes(), &engine("secret/", KvVersion::V2));
    let write = r#""request":{"operation":"create","path":"secret/data/x"}"#;
    let heard = |at: Option<&str>, version: Option<(u64, &str)>| {
        Record::Change(Heard {
            version: version.map(|(number, created)| Version::numbered(number, created)),
            at: at.and_then(time),
            ..Heard::of("x")
        })
    };
    let then = "2026-01-02T03:04:05.678Z";
    for (line, expected) in [
        // Keys in another order, null and an empty error, a prefix.
        (
            format!(r#"{{{write},"type":"response","error":null}}"#),
            heard(None, None),
        ),
        (
            format!(r#"bao: {{"type":"response","error":"",{write}}}"#),
            heard(None, None),
        ),
        (
            format!(r#"{{"type":"response","time":"{then}",{write}}}"#),
            heard(Some(then), None),
        ),
        (
            format!(
                r#"{{"type":"response",{write},"response":{{"data":{{"version":7,"created_time":"{then}"}}}}}}"#
            ),
            heard(Some(then), Some((7, then))),
        ),
        // What stands where a version and its time are expected may be anything.
        (
            format!(
                r#"{{"type":"response",{write},"response":{{"data":{{"version":"7","created_time":"{then}"}}}}}}"#
            ),
            heard(None, None),
        ),
        (
            format!(
                r#"{{"type":"response",{write},"response":{{"data":{{"version":7,"created_time":"hmac-sha256:00"}}}}}}"#
            ),
            heard(None, None),
        ),
        (
            format!(r#"{{"type":"response","error":"refused",{write}}}"#),
            Record::Other,
        ),
        (format!(r#"{{{write},"type":"request"}}"#), Record::Request),
        (r#"{"type":"response"}"#.to_owned(), Record::Other),
        (r#"{"type":"other"}"#.to_owned(), Record::Other),
        (
            r#"{"type":"response","request":{"#.to_owned(),
            Record::Malformed,
        ),
        ("{}".to_owned(), Record::Malformed),
        ("text".to_owned(), Record::Malformed),
    ] {
        assert_eq!(read(&line), expected, "{line}");
    }
}

#[test]
fn jsonx_is_reported() {
    let mut records = Records::from_the_start(engine("secret/", KvVersion::V2));
    let line = b"<json:object name=\"auth\"><json:string name=\"accessor\">\n";
    let error = records.take(line, |_| ()).expect_err("reported");
    assert!(error.0.contains("`format`"), "{error}");
}

proptest! {
    #[test]
    fn cutting_the_bytes_anywhere_changes_nothing(cuts in prop::collection::vec(1_usize..6000, 1..60)) {
        let mut left = RECORDS.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (piece, rest) = left.split_at(left.len().min(*cut));
            pieces.push(piece);
            left = rest;
        }
        let engine = engine("secret/", KvVersion::V2);
        let whole = records(engine.clone(), &[RECORDS.as_bytes()]);
        prop_assert_eq!(records(engine, &pieces), whole);
    }
}
