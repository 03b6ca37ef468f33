use std::collections::BTreeSet;

use chrono::DateTime;
use serde_json::Value;

use super::*;
use crate::model::{KeyId, SourceId};
use crate::notify::event::{Event, Subject};
use crate::notify::notice::{About, Notice};

fn about(id: &str) -> About {
    let at = DateTime::from_timestamp(1_700_000_000, 123_456_000).expect("a time");
    About {
        source: Some("vault".to_owned()),
        name: Some("Production <@U1> & co".to_owned()),
        version: Some("8".to_owned()),
        previous_version: Some("7".to_owned()),
        detail: Some("the provider said <!channel> & more".to_owned()),
        ..About::of(Subject::Key(KeyId::new(id)), at)
    }
}

fn notice(event: Event, about: Vec<About>) -> Notice {
    Notice {
        event,
        was: None,
        about,
        instance: "host".to_owned(),
    }
}

fn written(name: &str, notice: &Notice) -> Value {
    let format = FORMATS.iter().find(|format| format.name == name);
    let body = (format.expect("a format").body)(notice);
    serde_json::from_slice(&body).expect("JSON")
}

fn slack(notice: &Notice) -> String {
    let body = written("slack", notice);
    let members = body.as_object().expect("an object").keys();
    assert_eq!(members.collect::<Vec<_>>(), ["text"]);
    body["text"].as_str().expect("a text").to_owned()
}

#[test]
fn each_event_is_a_sentence_with_its_subject_in_each_format() {
    for event in Event::ALL {
        let one = notice(*event, vec![about("openai")]);
        let several = notice(*event, vec![about("a"), about("b")]);
        for notice in [&one, &several] {
            let text = slack(notice);
            assert!(text.ends_with("(flashback-rotator on host)"), "{text}");
            assert!(!text.contains(['<', '>']), "somebody is called: {text}");
            assert!(text.len() < 600, "{text}");
        }
        let event = written("cloudevents", &one);
        // CloudEvents 1.0 requires these attributes of every event.
        for attribute in ["specversion", "id", "source", "type"] {
            let text = event[attribute].as_str().expect(attribute);
            assert!(!text.is_empty(), "{attribute}");
        }
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["subject"], "keys/openai");
        assert_eq!(event["time"], "2023-11-14T22:13:20.123456Z");
        assert_eq!(event["data"]["key"], "openai");
    }
}

#[test]
fn many_keys_are_counted_and_some_are_named() {
    let keys: Vec<About> = (0..25).map(|number| about(&format!("k{number}"))).collect();
    let text = slack(&notice(Event::Failing, keys));
    assert!(
        text.contains("25 keys cannot be kept current: k0, k1"),
        "{text}"
    );
    assert!(text.contains("k9 and 15 more. One of them: "), "{text}");
    assert!(!text.contains("k10"), "{text}");
}

#[test]
fn notices_about_sources_and_flashback_name_their_subject() {
    let at = DateTime::UNIX_EPOCH;
    let source = Subject::Source(SourceId::new("vault"));
    let down = notice(Event::SourceDown, vec![About::of(source, at)]);
    assert!(slack(&down).contains("source vault does not answer."));
    assert_eq!(written("cloudevents", &down)["subject"], "sources/vault");
    assert!(written("cloudevents", &down)["data"]["key"].is_null());
    let well = notice(Event::Recovered, vec![About::of(Subject::Flashback, at)]);
    assert!(slack(&well).contains("Flashback answers again."));
}

#[test]
fn an_id_is_that_of_the_event_and_of_no_other() {
    let id = |notice: &Notice| notice.id();
    let first = notice(Event::Failing, vec![about("k")]);
    let mut retold = first.clone();
    retold.about[0].detail = None;
    assert_eq!(id(&first), id(&retold));
    let mut later = first.clone();
    later.about[0].at += chrono::TimeDelta::microseconds(1);
    let others = [
        later,
        notice(Event::Held, vec![about("k")]),
        notice(Event::Failing, vec![about("k2")]),
        notice(Event::Failing, vec![about("k"), about("k2")]),
    ];
    let ids: BTreeSet<String> = others.iter().chain([&first]).map(id).collect();
    assert_eq!(ids.len(), 5);
    assert!(
        ids.iter()
            .all(|id| id.starts_with("msg_") && !id.contains('.'))
    );
}

#[test]
fn a_rotation_is_named_by_its_key() {
    let of = |event, was, detail: Option<&str>| Notice {
        was,
        ..notice(
            event,
            vec![About {
                detail: detail.map(str::to_owned),
                ..About::of(
                    Subject::Rotation(KeyId::new("openai")),
                    DateTime::UNIX_EPOCH,
                )
            }],
        )
    };
    let stuck = of(Event::RotationStuck, None, Some("provider `openai`: 401"));
    let text = slack(&stuck);
    let said = "the rotation of key openai does not get on: provider `openai`: 401.";
    assert!(text.starts_with(&format!(":warning: {said}")), "{text}");
    let event = written("cloudevents", &stuck);
    assert_eq!(event["subject"], "keys/openai");
    assert_eq!(event["data"]["key"], "openai");
    let over = of(Event::Recovered, Some(Event::RotationStuck), None);
    assert!(slack(&over).contains("the rotation of key openai is not stuck any more."));
}
