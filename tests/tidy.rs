//! The invariants of ARCHITECTURE.md that can be read off the source text.

mod code;
mod crates;
mod layout;
mod modules;
mod shape;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use self::modules::Modules;

/// A source file: its path below the crate, and its text without comments and unit tests.
struct Source {
    path: String,
    code: String,
}

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![crate_root().join(below)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {below}");
    found
}

/// What is compiled into the library and the program, without unit tests.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let modules = layout::shipped().iter().flat_map(Modules::iter);
    modules
        .map(|(_, module)| {
            let text = fs::read_to_string(&module.file).expect("a source file");
            let path = module.file.strip_prefix(crate_root()).expect("below");
            Source {
                path: path.display().to_string(),
                code: code::code(&text),
            }
        })
        .collect()
});

/// Fails with every file outside `allowed` whose code has `word`.
fn only_in(word: &str, allowed: &[&str]) {
    let found: Vec<String> = SOURCES
        .iter()
        .filter(|source| source.code.contains(word))
        .map(|source| source.path.clone())
        .collect();
    let outside: Vec<&String> = found
        .iter()
        .filter(|path| !allowed.iter().any(|allowed| path.starts_with(allowed)))
        .collect();
    assert!(
        outside.is_empty(),
        "`{word}` stands in {outside:?}; it belongs in {allowed:?} only"
    );
    for allowed in allowed {
        assert!(
            found.iter().any(|path| path.starts_with(allowed)),
            "`{word}` is allowed in {allowed}, and is not there: shorten the list"
        );
    }
}

/// What the dependencies cannot hold: the standard library has files, clocks and output, too.
#[test]
fn the_core_does_nothing_but_compute() {
    let core = SOURCES
        .iter()
        .filter(|source| source.path.starts_with("crates/core/"));
    for source in core {
        // A key of a digest that no other process needs is random.
        let is_secret = source.path == "crates/core/src/secret.rs";
        assert!(
            is_secret || !source.code.contains("rand::"),
            "{}",
            source.path
        );
        for word in [
            "async ",
            "::now()",
            "std::fs",
            "std::net::Tcp",
            "std::env",
            "println",
        ] {
            assert!(!source.code.contains(word), "`{word}` in {}", source.path);
        }
    }
}

#[test]
fn adapters_do_not_know_each_other() {
    let adapters = ["source", "flashback", "state", "verify"];
    for source in SOURCES.iter() {
        let Some(own) = adapters
            .iter()
            .find(|adapter| source.path.starts_with(&format!("src/{adapter}/")))
        else {
            continue;
        };
        for other in adapters.iter().filter(|other| *other != own) {
            let word = format!("crate::{other}");
            assert!(!source.code.contains(&word), "`{word}` in {}", source.path);
        }
        assert!(
            !source.code.contains("crate::engine"),
            "the engine in {}",
            source.path
        );
    }
}

#[test]
fn the_whole_configuration_is_seen_by_few() {
    let seers = ["src/config/", "src/runtime/", "src/daemon/", "src/cli/"];
    for source in SOURCES.iter() {
        if !seers.iter().any(|seer| source.path.starts_with(seer)) {
            for word in [
                "config::Config;",
                "config::Config,",
                "{Config,",
                " Config}",
                "config::load",
            ] {
                assert!(!source.code.contains(word), "`{word}` in {}", source.path);
            }
        }
    }
}

#[test]
fn files_are_opened_for_writing_in_few_places() {
    only_in(
        "OpenOptions",
        &["src/files.rs", "src/flashback/refresh_file.rs"],
    );
    for word in ["File::create", "File::options"] {
        only_in(word, &[]);
    }
}

#[test]
fn secrets_are_exposed_in_few_places() {
    only_in(
        ".expose()",
        &[
            "crates/core/src/document",
            "crates/core/src/secret.rs",
            "crates/sandbox/src/",
            "src/flashback/",
            "src/notify/",
            "src/provider/",
            "src/source/vault/sign_in.rs",
            "src/state/postgres/",
            "src/verify/",
        ],
    );
    only_in("expose_secret", &["crates/core/src/secret.rs"]);
}

#[test]
fn each_dependency_has_its_one_room() {
    only_in("backoff::", &["src/retry.rs"]);
    only_in("tokio_cron_scheduler", &["src/scheduler/cron.rs"]);
    only_in("croner::", &["src/occurrence.rs"]);
    only_in("jiff::", &["src/occurrence.rs"]);
    only_in("vaultrs::", &["src/source/vault/"]);
    only_in("rustify::", &["src/source/vault/"]);
    only_in("aws_sdk_secretsmanager", &["src/source/aws/"]);
    only_in(
        "aws_sdk_sts",
        &["src/source/aws/", "src/verify/provider/sts.rs"],
    );
    only_in("aws_sdk_sqs", &["src/trigger/sqs/"]);
    only_in(
        "aws_sdk_iam",
        &[
            "src/provider/aws/",
            "src/provider/aws_iam/",
            "src/provider/bedrock/",
        ],
    );
    only_in("tungstenite", &["src/trigger/subscribe/"]);
    only_in("aws_config", &["src/source/aws/", "src/verify/provider/"]);
    only_in("rusqlite", &["src/state/sqlite/"]);
    only_in("tokio_postgres", &["src/state/postgres/"]);
    only_in("deadpool", &["src/state/postgres/"]);
    only_in("reqwest", &["src/outbound/"]);
    only_in("aws_smithy", &["src/outbound/smithy.rs"]);
    only_in("PoisonError", &[]);
    only_in("totp_rs", &["crates/core/src/totp.rs"]);
    only_in("sd_notify", &["src/daemon/systemd.rs"]);
    only_in("unsafe_code", &["crates/malloc/src/"]);
}

#[test]
fn files_are_rooms_not_halls() {
    for path in ["src", "crates", "tests"].into_iter().flat_map(files) {
        let lines = fs::read_to_string(&path)
            .expect("a source file")
            .lines()
            .count();
        assert!(
            lines <= 420,
            "{} has {lines} lines: two rooms in one?",
            path.display()
        );
    }
}

#[test]
fn nothing_is_left_behind() {
    // Put together here, so that this file does not find itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["dbg", "!("],
        ["todo", "!("],
        ["#[ign", "ore"],
    ];
    for path in ["src", "crates", "tests"].into_iter().flat_map(files) {
        let text = fs::read_to_string(&path).expect("a source file");
        for word in &words {
            assert!(
                !text.contains(&word.concat()),
                "`{}` in {}",
                word.concat(),
                path.display()
            );
        }
    }
}

#[test]
fn every_event_is_logged_somewhere() {
    for event in flashback_rotator::telemetry::event::ALL {
        let name = format!("event::{}", event.to_uppercase());
        assert!(
            SOURCES.iter().any(|source| source.code.contains(&name)),
            "nothing logs the event `{event}`"
        );
    }
}

/// The settings of a unit, without comments.
fn settings(unit: &str) -> Vec<String> {
    let text = fs::read_to_string(crate_root().join("systemd").join(unit)).expect("a unit");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_template_is_the_unit_with_places_of_its_own() {
    let own = |line: &str| match line {
        "StateDirectory=flashback-rotator" => format!("{line}@%i"),
        "ConfigurationDirectory=flashback-rotator" => format!("{line}/%i"),
        line if line.starts_with("Description=") => format!("{line} (%i)"),
        line => line.replace("rotator/config.toml", "rotator/%i/config.toml"),
    };
    let environment = "Environment=FLASHBACK_ROTATOR_CONFIG=/etc/flashback-rotator/%i/config.toml";
    let expected: Vec<String> = settings("flashback-rotator.service")
        .iter()
        .map(|line| own(line))
        .collect();
    let template = settings("flashback-rotator@.service");
    assert!(template.iter().any(|line| line == environment));
    let rest: Vec<String> = template
        .into_iter()
        .filter(|line| line != environment)
        .collect();
    assert_eq!(rest, expected);
}

fn text_of(path: &str) -> String {
    fs::read_to_string(crate_root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What follows `before` in a text, up to the first character that is in no version.
fn version_after<'a>(text: &'a str, before: &str) -> &'a str {
    let (_, rest) = text.split_once(before).expect(before);
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    &rest[..end.unwrap_or(rest.len())]
}

#[test]
fn the_same_compiler_version_is_named_everywhere() {
    let manifest = text_of("Cargo.toml");
    let oldest = version_after(&manifest, "rust-version = \"");
    let pinned = text_of("rust-toolchain.toml");
    let pinned = version_after(&pinned, "channel = \"");
    assert!(pinned.starts_with(&format!("{oldest}.")), "{pinned}");
    let workflow = text_of(".github/workflows/ci.yml");
    assert_eq!(version_after(&workflow, "image: rust:"), oldest);
}

#[test]
fn the_hosted_workflow_runs_every_tier() {
    let script = text_of(".ci/run");
    let tiers: Vec<&str> = script
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let workflow = text_of(".github/workflows/ci.yml");
    let run: Vec<&str> = workflow
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- run: .ci/run "))
        .collect();
    assert_eq!(run, tiers);
    assert!(tiers.len() > 2, "{tiers:?}");
    for tier in tiers {
        assert!(script.contains(&format!("\n    {tier})")), "{tier}");
    }
}

#[test]
fn the_licence_is_the_one_that_is_named() {
    assert!(text_of("Cargo.toml").contains("\nlicense = \"Apache-2.0\"\n"));
    let licence = text_of("LICENSE");
    let words: Vec<&str> = licence.split_whitespace().take(4).collect();
    assert_eq!(words, ["Apache", "License", "Version", "2.0,"]);
    assert!(licence.contains("END OF TERMS AND CONDITIONS"));
}
