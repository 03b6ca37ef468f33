//! The settings of the providers of AWS, as a configuration has them.

use flashback_rotator::config::{self, Config, KINDS};
use flashback_rotator::model::ProviderId;
use tempfile::TempDir;

use crate::support::place_file;

const PAIR: &str = "fields = { key = \"id\", secret = \"secret\" }\n";

/// Reads a configuration with this provider, and a key of this type that it rotates. Returns the mistakes in words.
fn load(provider: &str, ai_type: &str, fields: &str) -> Result<Config, String> {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().display();
    let text = format!(
        "[flashback]\nworkspace_id = \"w\"\nauth = {{ token = {{ file = \"{path}/token\" }} }}\n\
         [sources.files]\ntype = \"file\"\ndir = \"{path}\"\n\
         [providers.it]\n{provider}\
         [keys.one]\nai_type = \"{ai_type}\"\nendpoint = \"https://example.com/v1\"\nsource = \"files\"\npath = \"one\"\n\
         {fields}rotate = {{ provider = \"it\", every = \"30d\", overlap = \"1h\", idle = \"30m\", revoke = \"disable\", cool_off = \"24h\" }}\n"
    );
    let file = directory.path().join("config.toml");
    place_file(&file, text);
    let loaded = config::load(Some(&file), KINDS);
    loaded
        .map(|loaded| loaded.config)
        .map_err(|report| report.to_string())
}

#[test]
fn what_is_written_is_what_the_provider_is_for() {
    let iam = "type = \"aws-iam\"\nuser = \"flashback-llm\"\n";
    let bedrock = "type = \"bedrock\"\nuser = \"team@llm\"\nexpires = \"90d\"\nbase_url = \"https://iam.example.com/a\"\n";
    for (provider, ai_type, fields, place) in [
        (iam, "AWS", PAIR, "the IAM user flashback-llm"),
        (
            bedrock,
            "OTHER",
            "",
            "the IAM user team@llm, iam.example.com",
        ),
    ] {
        let config = load(provider, ai_type, fields).expect("no mistake");
        let provider = &config.providers[&ProviderId::new("it")];
        assert_eq!(provider.settings.place(), place);
    }
}

#[test]
fn mistakes_are_named() {
    let role = "external_id = \"x\"\n";
    for (kind, more, ai_type, said) in [
        (
            "aws-iam",
            "user = \"arn:aws:iam::1:user/x\"\n",
            "AWS",
            "is not the name of a user of IAM",
        ),
        (
            "aws-iam",
            "user = \"a\"\nregion = \"EU West\"\n",
            "AWS",
            "is not the name of a region",
        ),
        ("aws-iam", "", "AWS", "`user` is missing"),
        (
            "bedrock",
            "user = \"a\"\nexpires = \"36h\"\n",
            "OTHER",
            "is not a whole number of days",
        ),
        (
            "bedrock",
            "user = \"a\"\n",
            "AWS",
            "makes no keys of the type AWS",
        ),
        (
            "aws-iam",
            "user = \"a\"\n",
            "OPENAI",
            "makes no keys of the type OPENAI",
        ),
    ] {
        let provider = format!("type = \"{kind}\"\n{more}");
        let fields = if ai_type == "AWS" { PAIR } else { "" };
        let report = load(&provider, ai_type, fields).expect_err(said);
        assert!(report.contains(said), "{said}: {report}");
    }
    for kind in ["aws-iam", "bedrock"] {
        let provider = format!("type = \"{kind}\"\nuser = \"a\"\n{role}");
        let report = load(&provider, "OTHER", "").expect_err("no role");
        assert!(
            report.contains("`external_id` is for a role, and there is none"),
            "{report}"
        );
    }
}
