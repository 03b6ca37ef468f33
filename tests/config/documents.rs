//! The reference, the schema and the examples agree with each other and with what is read.

use std::collections::BTreeSet;
use std::time::Duration;

use flashback_rotator::config::KINDS;
use flashback_rotator::config::{self, Check, FlashbackAuth, SecretRef};
use flashback_rotator::model::{KeyId, SourceId};
use serde_json::Value as Json;

use super::{GOOD, load, repository};

fn as_json(text: &str) -> Json {
    let value: toml::Value = toml::from_str(text).expect("TOML");
    serde_json::to_value(value).expect("JSON")
}

fn examples() -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(repository("config/examples")).expect("readable");
    let paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    assert!(paths.len() >= 5, "{paths:?}");
    paths
}

/// Checks that a file of the repository is what the program makes.
fn assert_in_step(file: &str, made: &str) {
    let path = repository(file);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, made).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == kept,
        "{file} is out of step: run the tests once with UPDATE_SCHEMA=1"
    );
}

#[test]
fn the_schema_and_the_reference_are_in_step() {
    let schema = serde_json::to_string_pretty(&config::schema(KINDS)).expect("JSON");
    assert_in_step("config/schema.json", &(schema + "\n"));
    assert_in_step("config/flashback-rotator.toml", &config::reference(KINDS));
}

#[test]
fn the_schema_accepts_what_is_right_and_refuses_what_is_wrong() {
    let validator = jsonschema::draft202012::new(&config::schema(KINDS)).expect("a schema");
    let mut right = vec![("the reference".to_owned(), config::reference(KINDS))];
    right.push(("the small one".to_owned(), GOOD.to_owned()));
    for path in examples() {
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("#:schema ../schema.json\n"), "{path:?}");
        right.push((path.display().to_string(), text));
    }
    for (line, other) in [
        (
            "[keys.openai]\nai_type = \"OPENAI\"\nsource = \"vault\"\n",
            "[defaults]\nai_type = \"OPENAI\"\nsource = \"vault\"\n[keys.openai]\n",
        ),
        (
            "level = \"info\"",
            "level = { env = \"L\", default = \"info\" }",
        ),
        ("type = \"file\"", "type = { env = \"T\" }"),
        (
            "role_id = \"rotator\"",
            "role_id = { env = \"R\", default = \"rotator\" }",
        ),
        ("role_id = \"rotator\"", "role_id = { credential = \"r\" }"),
        (
            "token = { env = \"TOKEN\" }",
            "token = { file = { env = \"F\" } }",
        ),
    ] {
        right.push((other.to_owned(), GOOD.replacen(line, other, 1)));
    }
    for (name, text) in right {
        if let Err(error) = validator.validate(&as_json(&text)) {
            panic!("{name}: {error} at {}", error.instance_path());
        }
    }
    for (line, wrong) in [
        ("enabled = true", "enabld = true"),
        ("enabled = true", "enabled = 1"),
        ("max_rps = 50", "max_rps = 0"),
        ("ai_type = \"OPENAI\"", "ai_type = \"OPENAY\""),
        ("token = { env = \"TOKEN\" }", "token = \"plain\""),
        (
            "token = { env = \"TOKEN\" }",
            "token = { env = \"A\", file = \"B\" }",
        ),
        ("role_id = \"rotator\"", ""),
        ("type = \"file\"", "type = \"vault\""),
        ("source = \"vault\"\n", ""),
        ("[keys.openai]", "[defaults]\nname = \"x\"\n[keys.openai]"),
        ("level = \"info\"", "level = { env = \"L\", file = \"x\" }"),
        ("enabled = true", "enabled = { env = \"E\" }"),
        ("url = \"sqlite:///", "url = \"mysql:///"),
        ("[sources.files]", "[sources.\"a b\"]"),
    ] {
        let text = GOOD.replacen(line, wrong, 1);
        assert!(!validator.is_valid(&as_json(&text)), "{line} -> {wrong}");
    }
}

#[test]
fn the_reference_is_a_configuration_and_changes_no_default() {
    let loaded =
        config::load(Some(&repository("config/flashback-rotator.toml")), KINDS).expect("right");
    let small = "[flashback]\nauth = { token = { env = \"T\" } }\n";
    let defaults = load(small).expect("right");
    let general = |config: &config::Config| {
        format!(
            "{:?}",
            (
                &config.flashback.base_url,
                config.resync,
                config.retry,
                config.refused,
                config.verify,
                &config.http,
                &config.log
            )
        )
    };
    assert_eq!(general(&loaded.config), general(&defaults.config));
    assert_eq!(defaults.config.resync, Duration::from_secs(24 * 60 * 60));
    assert!(config::reference(KINDS).starts_with("#:schema ./schema.json\n"));
    assert_eq!(defaults.warnings.len(), 1, "{:?}", defaults.warnings);
    assert!(defaults.warnings[0].contains("no keys"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

/// Every setting of the schema by its path, in which `*` stands for an id.
fn in_schema(schema: &Json, at: &Json, path: &str, found: &mut BTreeSet<String>) {
    if let Some(properties) = at["properties"].as_object() {
        for (name, inner) in properties {
            let path = format!("{path}.{name}").trim_start_matches('.').to_owned();
            let shared = inner["$ref"].as_str().map(|name| name.replace('#', ""));
            let inner = match shared.as_deref() {
                Some("/$defs/verify") if path == "verify" => &schema["$defs"]["verify"],
                _ => inner,
            };
            // What these hold is shown with the keys.
            if path != "defaults.fields" {
                in_schema(schema, inner, &path, found);
            }
            found.insert(path);
        }
    }
    if at["additionalProperties"].is_object() {
        in_schema(
            schema,
            &at["additionalProperties"],
            &format!("{path}.*"),
            found,
        );
    }
    let variants = ["oneOf", "anyOf"].map(|of| at[of].as_array());
    for variant in variants.into_iter().flatten().flatten() {
        in_schema(schema, variant, path, found);
    }
}

/// Every setting the reference shows, those behind a `#` too.
fn in_reference() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut table = Vec::new();
    for line in config::reference(KINDS).lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[') {
            let header = line.trim_matches(['[', ']']);
            table = header.split('.').map(str::to_owned).collect();
            if matches!(
                table[0].as_str(),
                "sources" | "providers" | "keys" | "notify" | "discover"
            ) {
                table[1] = "*".to_owned();
            }
            found.extend((1..=table.len()).map(|n| table[..n].join(".")));
            continue;
        }
        let Ok(setting) = toml::from_str::<toml::Table>(line) else {
            continue;
        };
        for (name, value) in setting {
            let path = format!("{}.{name}", table.join("."));
            if matches!(&*path, "keys.*.fields" | "discover.*.fields")
                && let Some(inner) = value.as_table()
            {
                found.extend(inner.keys().map(|inner| format!("{path}.{inner}")));
            }
            found.insert(path);
        }
    }
    found.retain(|path| !path.ends_with('*'));
    found
}

#[test]
fn the_reference_shows_every_setting_and_no_other() {
    let schema = config::schema(KINDS);
    let mut known = BTreeSet::new();
    in_schema(&schema, &schema, "", &mut known);
    assert!(known.len() > 60, "{known:?}");
    assert_eq!(known, in_reference());
}

#[test]
fn every_example_loads_without_a_warning() {
    for path in examples() {
        let loaded = config::load(Some(&path), KINDS).unwrap_or_else(|report| panic!("{report}"));
        assert!(
            loaded.warnings.is_empty(),
            "{path:?}: {:?}",
            loaded.warnings
        );
        assert!(!loaded.config.keys.is_empty());
    }
}

#[test]
fn a_full_configuration_loads() {
    let path = repository("tests/data/configs/full.toml");
    let loaded = config::load(Some(&path), KINDS).unwrap_or_else(|report| panic!("{report}"));
    let config = loaded.config;
    assert_eq!(
        config.flashback.auth,
        FlashbackAuth::Token(SecretRef::Env("FLASHBACK_TOKEN".into()))
    );
    let vault = &config.sources[&SourceId::new("prod-vault")];
    assert_eq!(vault.title, "Vault or OpenBao");
    assert!(format!("{:?}", vault.kind).contains("namespace: Some(\"team-ai\")"));
    let key = &config.keys[&KeyId::new("openai-prod")];
    assert_eq!(key.check, Check::Every(Duration::from_secs(30)));
    assert_eq!(key.origin.fields.secret.as_deref(), Some("api_key"));
    let bedrock = &config.keys[&KeyId::new("bedrock")];
    assert_eq!(bedrock.settings.name, "bedrock");
    assert_eq!(bedrock.settings.workspace_id.as_str(), "workspace-123");
}

#[test]
fn a_key_has_its_own_verification() {
    let text = GOOD.replace(
        "enabled = true",
        "verify = { before = \"provider\", grace = \"5s\" }",
    );
    let loaded = load(&text).expect("right");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let verify = loaded.config.keys[&KeyId::new("openai")].verify;
    assert!(verify.before_provider && verify.after_flashback && verify.rollback);
    assert_eq!(verify.grace, Duration::from_secs(5));
}

#[test]
fn a_budget_that_is_too_small_is_said_with_its_figures() {
    let mut text = GOOD.replace("max_rps = 50", "max_rps = 100");
    for number in 0..10_000 {
        text += &format!(
            "[keys.k{number}]\nai_type = \"OPENAI\"\nsource = \"vault\"\npath = \"k/{number}\"\n"
        );
    }
    let warnings = load(&text).expect("right").warnings;
    insta::assert_snapshot!(warnings.join("\n"), @"source `vault`: looking at its 10001 keys as often as asked needs 334 requests/s, and its max_rps is 100: a round over all of them takes 101 s, so changes are seen later than the checks say. Raise max_rps if the source bears it, or check less often");
    let relaxed = text.replace("check = \"30s\"", "check = \"*/5 * * * *\"");
    assert!(load(&relaxed).expect("right").warnings.is_empty());
}

#[test]
fn batched_checks_count_as_one_request_in_the_rate_warning() {
    let source = "[sources.large]\ntype = \"aws-secrets-manager\"\nmax_rps = 15\n";
    let mut text = format!("{GOOD}\n{source}look = \"batch\"\n");
    for number in 0..10_000 {
        text += &format!(
            "[keys.k{number}]\nai_type = \"OPENAI\"\nsource = \"large\"\npath = \"k/{number}\"\n"
        );
    }
    let warnings = load(&text).expect("right").warnings;
    insta::assert_snapshot!(warnings.join("\n"), @"source `large`: looking at its 10000 keys as often as asked needs 17 requests/s, and its max_rps is 15: a round over all of them takes 34 s, so changes are seen later than the checks say. Raise max_rps if the source bears it, or check less often");
    let enough = text.replace("max_rps = 15", "max_rps = 17");
    assert!(load(&enough).expect("right").warnings.is_empty());
}

#[test]
fn cron_lines_are_kept_with_seconds_and_their_zone() {
    let text = GOOD
        .replace("timezone = \"UTC\"", "timezone = \"Europe/Berlin\"")
        .replace("check = \"30s\"", "check = \"*/5  * * * *\"")
        .replace("enabled = true", "check = \"30 0 4 * * MON-FRI\"")
        .replace("name = \"Local\"", "check = \"1h 30m\"");
    let config = load(&text).expect("right").config;
    let check = |id| config.keys[&KeyId::new(id)].check.clone();
    let cron = |id| match check(id) {
        Check::Cron(line) => format!("{} {}", line.expression, line.timezone),
        Check::Every(_) => panic!("not cron"),
    };
    assert_eq!(cron("bedrock"), "0 */5 * * * * Europe/Berlin");
    assert_eq!(cron("openai"), "30 0 4 * * MON-FRI Europe/Berlin");
    assert_eq!(check("local"), Check::Every(Duration::from_secs(5400)));
}
