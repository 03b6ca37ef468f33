//! A text that is plainly no key never replaces one that works, wherever it is stored, and the reason is
//! told without it.

use flashback_rotator::flashback::sandbox::Options;
use serde_json::json;

use crate::support::aws::{Aws, Emulator, REGION};
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox, writes};

/// The part of each text that is a key, and must not be seen.
const CANARY: &str = "canaryZq8vXw3nL0aB";

/// Texts, and words of the reason; `CANARY` stands for a key.
const TEXTS: [(&str, &str); 17] = [
    (r#"{"api_key":"sk-CANARY",}"#, "JSON that does not parse"),
    ("{'api_key':'sk-CANARY'}", "JSON that does not parse"),
    (r#"{"api_key":"sk-CANARY""#, "JSON that does not parse"),
    (r#"["sk-CANARY"]"#, "is JSON"),
    (r#""sk-CANARY""#, "quotation mark"),
    ("“sk-CANARY”", "quotation mark"),
    ("OPENAI_API_KEY=sk-CANARY", "assignment"),
    ("export X=CANARY", "assignment"),
    ("Bearer sk-CANARY", "header"),
    ("x-api-key: sk-CANARY", "header"),
    ("null", "literal"),
    ("true", "literal"),
    ("<REDACTED>", "placeholder"),
    ("${OPENAI_API_KEY}", "template"),
    ("sk-****CANARY", "masked"),
    (
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:CANARY",
        "reference",
    ),
    ("---\napi_key: CANARY", "YAML"),
];

/// Stores a text as it is, in a field, and in AWS.
async fn put(rotator: &Rotator, aws: &Aws, text: &str) {
    rotator.put("plain", text);
    let fields = json!({"api_key": text, "other": 1});
    rotator.put("field", &fields.to_string());
    aws.put("lookalike", text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookalikes_of_a_key_replace_no_live_key() {
    let aws = Aws::start(Emulator::Moto).await;
    aws.create("lookalike", "sk-first").await;
    let sandbox = sandbox(Options::default()).await;
    let rest = format!(
        r#"{QUICK}{}{}fields = {{ secret = "api_key" }}
[sources.aws]
type = "aws-secrets-manager"
region = "{REGION}"
endpoint_url = "{}"
[keys.stored]
ai_type = "OPENAI"
source = "aws"
path = "lookalike"
"#,
        file_key("plain"),
        file_key("field"),
        aws.url()
    );
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.environment = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        .map(|name| (name.to_owned(), "test".to_owned()))
        .to_vec();
    for (round, (text, reason)) in TEXTS.into_iter().enumerate() {
        let good = format!("sk-{round}/+=");
        put(&rotator, &aws, &good).await;
        if round == 0 {
            rotator.start();
        }
        for key in ["plain", "field", "stored"] {
            arrives(&sandbox, key, &good).await;
        }
        let (pushed, told) = (writes(&sandbox), rotator.count("secret_malformed"));
        put(&rotator, &aws, &text.replace("CANARY", CANARY)).await;
        for key in ["plain", "field", "stored"] {
            let is_told = |line: &serde_json::Value| {
                line["key"] == key
                    && line["error"]
                        .as_str()
                        .is_some_and(|error| error.contains(reason))
            };
            crate::support::eventually(&format!("{text} at {key}"), || async {
                let events = rotator.events().into_iter();
                let mut malformed = events.filter(|line| line["event"] == "secret_malformed");
                malformed.by_ref().take(told).for_each(drop);
                malformed.any(|line| is_told(&line)).then_some(())
            })
            .await;
        }
        assert_eq!(writes(&sandbox), pushed, "{text} was pushed");
        for key in ["plain", "field", "stored"] {
            arrives(&sandbox, key, &good).await;
        }
    }
    assert!(!rotator.log().contains(CANARY), "a key is in the log");
    let status = rotator.json(&["status"]).await.to_string();
    assert!(!status.contains(CANARY), "a key is in the status");
}

/// A named field in a text that is no object of fields.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_distinguish_a_field_in_broken_json_from_one_in_plain_text() {
    let sandbox = sandbox(Options::default()).await;
    let field = "fields = { secret = \"api_key\" }\n";
    let keys = [
        file_key("broken"),
        field.into(),
        file_key("plain"),
        field.into(),
    ];
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", keys.concat()));
    rotator.put("broken", &format!(r#"{{"api_key":"{CANARY}",}}"#));
    rotator.put("plain", CANARY);
    rotator.start();
    for (key, words) in [
        (
            "broken",
            "has no field `api_key`: it looks like JSON that does not parse",
        ),
        ("plain", "it is one plain text, so leave `fields` out"),
    ] {
        rotator
            .event("secret_malformed", |line| {
                let error = line["error"].as_str().unwrap_or_default();
                line["key"] == key && error.contains(words)
            })
            .await;
    }
    assert!(!rotator.log().contains(CANARY));
}
