//! What a message of the queue says.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::Version;
use crate::trigger::heard::Heard;

/// The staging label of the version that is in use.
const CURRENT: &str = "AWSCURRENT";

/// The longest name of a secret, in bytes
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>).
const LONGEST_NAME: usize = 512;

/// The longest id of a version, in bytes
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>).
const LONGEST_ID: usize = 64;

/// The number of random characters at the end of a secret's ARN, after a hyphen.
const SUFFIX: usize = 6;

/// The meaning of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A secret has another version in use.
    Changed(Heard),
    /// It is about something else: another label, another event.
    Other,
    /// It cannot be read.
    Malformed,
}

/// An event of EventBridge
/// (<https://docs.aws.amazon.com/eventbridge/latest/ref/overview-event-structure.html>), or a notification of SNS with
/// an event in it (<https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html>).
#[derive(Deserialize)]
struct Envelope<'a> {
    source: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    time: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(rename = "Type")]
    kind: Option<String>,
    #[serde(rename = "Message")]
    message: Option<String>,
}

/// The detail of "Secret Label Updated"
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/event-detail-secret-label-updated-secretsmanager.html>).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    name: String,
    label_updated: String,
    version_id: Option<String>,
}

/// Reads the body of a message.
pub(super) fn read(body: &str) -> Message {
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(body) else {
        return Message::Malformed;
    };
    match (envelope.kind.as_deref(), &envelope.message) {
        (Some("Notification"), Some(message)) => {
            let inner = serde_json::from_str::<Envelope<'_>>(message);
            inner.map_or(Message::Malformed, |inner| of_event(&inner))
        }
        _ => of_event(&envelope),
    }
}

fn of_event(event: &Envelope<'_>) -> Message {
    let source = (event.source.as_deref(), event.detail_type.as_deref());
    if source != (Some("aws.secretsmanager"), Some("Secret Label Updated")) {
        return Message::Other;
    }
    let detail = event
        .detail
        .map(|detail| serde_json::from_str::<Detail>(detail.get()));
    let Some(Ok(detail)) = detail else {
        return Message::Malformed;
    };
    if detail.label_updated != CURRENT {
        return Message::Other;
    }
    let is_name =
        |name: &str| (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(char::is_control);
    if !is_name(&detail.name) {
        return Message::Malformed;
    }
    let mut paths = vec![detail.name];
    let is_arn = |arn: &&String| arn.starts_with("arn:") && arn.len() <= 2048 && arn.is_ascii();
    if let Some(arn) = event.resources.iter().find(is_arn) {
        paths.push(arn.clone());
        paths.extend(partial(arn).map(str::to_owned));
    }
    let is_id = |id: &String| {
        (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    Message::Changed(Heard {
        paths,
        version: detail.version_id.filter(is_id).map(Version::new),
        at: event.time.as_deref().and_then(time),
        index: None,
        everywhere: false,
    })
}

/// Returns an ARN without the random characters at its end: Secrets Manager takes it for the secret, too.
fn partial(arn: &str) -> Option<&str> {
    let (rest, suffix) = arn.rsplit_once('-')?;
    let is_suffix =
        suffix.len() == SUFFIX && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_suffix.then_some(rest)
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The example in AWS's documentation.
    fn example() -> Value {
        json!({
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": "Secret Label Updated",
            "source": "aws.secretsmanager",
            "account": "012345678901",
            "time": "2024-02-06T16:43:48Z",
            "region": "us-west-2",
            "resources": ["arn:aws:secretsmanager:us-west-2:012345678901:secret:mySecret-a1b2c3"],
            "detail": {
                "name": "mySecret",
                "labelUpdated": "AWSCURRENT",
                "versionId": "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111",
            },
        })
    }

    fn with(pointer: &str, value: Value) -> String {
        let mut event = example();
        *event.pointer_mut(pointer).expect("it is there") = value;
        event.to_string()
    }

    #[test]
    fn an_event_names_the_secret_in_every_spelling() {
        let arn = "arn:aws:secretsmanager:us-west-2:012345678901:secret:mySecret";
        let expected = Message::Changed(Heard {
            paths: vec![
                "mySecret".to_owned(),
                format!("{arn}-a1b2c3"),
                arn.to_owned(),
            ],
            version: Some(Version::new("a1b2c3d4-5678-90ab-cdef-EXAMPLE11111")),
            at: time("2024-02-06T16:43:48Z"),
            index: None,
            everywhere: false,
        });
        assert_eq!(read(&example().to_string()), expected);
        let from_sns = json!({"Type": "Notification", "Message": example().to_string()});
        assert_eq!(read(&from_sns.to_string()), expected);
    }

    #[test]
    fn what_is_no_change_is_told_from_what_cannot_be_read() {
        for other in [
            with("/detail/labelUpdated", json!("FLASHBACK_LIVE")),
            with("/detail-type", json!("AWS API Call via CloudTrail")),
            with("/source", json!("aws.s3")),
            "{}".to_owned(),
        ] {
            assert_eq!(read(&other), Message::Other, "{other}");
        }
        for malformed in [
            String::new(),
            "canary".to_owned(),
            "[]".to_owned(),
            with("/detail", json!("canary")),
            with("/detail/name", json!("")),
            with("/detail/name", json!("a".repeat(LONGEST_NAME + 1))),
            with("/detail/labelUpdated", json!(7)),
            json!({"Type": "Notification", "Message": "canary"}).to_string(),
        ] {
            assert_eq!(read(&malformed), Message::Malformed, "{malformed}");
        }
        let Message::Changed(heard) = read(&with("/detail/versionId", json!("a b"))) else {
            panic!("a change, whatever the version");
        };
        assert_eq!(heard.version, None);
    }
}
