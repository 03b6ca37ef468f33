//! The README says what is so: its configurations load, its links lead somewhere, what it shows of
//! files is in them, and every name and message in it is the program's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use flashback_rotator::config;
use flashback_rotator::model::{Action, KeyId, Outcome, SourceId, WorkspaceId};
use flashback_rotator::telemetry::event;
use flashback_rotator::telemetry::metrics::{Metrics, Standing};

use crate::support::rotator::binary;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).expect("a README")
}

/// The fenced blocks in this language.
fn blocks(language: &str) -> Vec<String> {
    let text = readme();
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(named)) => open = Some((named.to_owned(), String::new())),
            (Some(_), Some("")) => found.extend(open.take()),
            (Some((_, block)), _) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    let of_it = found.into_iter().filter(|(named, _)| named == language);
    of_it.map(|(_, block)| block).collect()
}

/// The text of a section, by its heading, up to the next one of the same level.
fn section(heading: &str) -> String {
    let text = readme();
    let start = text.find(&format!("\n{heading}\n")).expect(heading) + 1;
    let rest = &text[start + heading.len()..];
    let level = heading.split(' ').next().expect("a level");
    let end = rest.find(&format!("\n{level} ")).unwrap_or(rest.len());
    rest[..end].to_owned()
}

/// What stands between backticks, outside fenced blocks.
fn quoted(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

fn files(below: &str, ends: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![repository().join(below)];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.to_string_lossy().ends_with(ends) {
                found.push(path);
            }
        }
    }
    found
}

/// The first block is whole; each of the others is too, or goes on from the last one that is.
#[test]
fn each_configuration_loads() {
    let blocks = blocks("toml");
    assert!(blocks.len() >= 4, "{}", blocks.len());
    let whole = |block: &str| block.contains("[flashback");
    assert!(whole(&blocks[0]));
    let mut last = &blocks[0];
    for block in &blocks {
        let text = match whole(block) {
            true => block.clone(),
            false => format!("{last}\n{block}"),
        };
        if whole(block) {
            last = block;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.toml");
        crate::support::place_file(&path, &text);
        match config::load(Some(&path)) {
            Ok(loaded) => assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings),
            Err(report) => panic!("{report}\nin\n{text}"),
        }
    }
}

#[test]
fn the_policies_are_shown_as_they_are() {
    let shown = [blocks("hcl"), blocks("json")].concat();
    // Those for `acknowledge` and for `look = "batch"` stand where these are explained.
    let page = |name: &str| {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        std::fs::read_to_string(docs.join(name)).expect("a page")
    };
    let page = page("rotation.md") + &page("aws.md");
    let paths = files("config/policies", "");
    assert_eq!(paths.len(), 6, "{paths:?}");
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a policy");
        let is_shown = shown.contains(&text) || page.contains(&format!("\n{text}```\n"));
        assert!(is_shown, "{} is not shown", path.display());
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        }
    }
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |heading: &str| {
        let kept = heading.to_lowercase();
        let kept: String = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .collect();
        kept.replace(' ', "-")
    };
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| slug(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn each_link_leads_somewhere() {
    let text = readme();
    let mut links = 0;
    for after in text.split("](").skip(1) {
        let target = after.split(')').next().unwrap_or_default();
        links += 1;
        if target.starts_with("https://") {
            continue;
        }
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let page = repository().join(if path.is_empty() { "README.md" } else { path });
        assert!(page.exists(), "{target}");
        if !anchor.is_empty() {
            let page = std::fs::read_to_string(page).expect("a page");
            assert!(anchors(&page).contains(anchor), "{target}");
        }
    }
    assert!(links > 20, "{links}");
}

#[test]
fn events_and_metrics_are_named_as_they_are() {
    let named: BTreeSet<String> = quoted(&section("### Events")).into_iter().collect();
    for name in event::ALL {
        assert!(named.contains(*name), "{name} is not in the README");
    }
    let mut row = section("### Events");
    row.retain(|c| c != '`');
    for line in row.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cell = line.split('|').nth(1).unwrap_or_default();
        for name in cell.split_whitespace() {
            assert!(event::ALL.contains(&name), "there is no event {name}");
        }
    }

    let rendered = every_metric();
    let known: BTreeSet<String> = rendered
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    let named: BTreeSet<String> = quoted(&section("### Metrics"))
        .into_iter()
        .map(|name| name.split(['{', ' ']).next().unwrap_or_default().to_owned())
        .filter(|name| name.starts_with("flashback_rotator_") || name.starts_with("process_"))
        .filter(|name| !name.ends_with('_'))
        .collect();
    assert_eq!(named, known);
}

/// `/metrics` with a sample of each family: one that has none is not shown.
fn every_metric() -> String {
    let metrics = Metrics::new();
    let (key, source) = (KeyId::new("k"), SourceId::new("s"));
    metrics.check(&key, &source, "unchanged", Utc::now());
    metrics.push(&key, Action::Update, Outcome::Succeeded, Duration::ZERO);
    metrics.key(&key, &source, &WorkspaceId::new("w"));
    let standing = Standing {
        in_sync: true,
        held: false,
        verified: true,
        pushed_at: Some(Utc::now()),
        created_at: Some(Utc::now()),
        max_age: Some(Duration::from_secs(1)),
    };
    metrics.stands(&key, &standing);
    metrics.next_check(&key, Utc::now(), Duration::ZERO);
    metrics.verification("after", "works");
    metrics.service_up("s", true);
    metrics.sign_in("s", true);
    metrics.retry("s");
    metrics.listed(&WorkspaceId::new("w"), true, 0);
    metrics.api_request("s", "read", "ok", Duration::ZERO);
    metrics.reload("accepted");
    metrics.receiver("r");
    metrics.render()
}

/// The headings of "Troubleshooting" are messages: `…` stands for what differs.
#[test]
fn each_symptom_is_a_message_of_the_program() {
    let mut source = String::new();
    for path in files("src", ".rs") {
        let text = std::fs::read_to_string(path).expect("a source file");
        // As the compiler reads a literal that goes on in the next line.
        for (number, part) in text.split("\\\n").enumerate() {
            source.push_str(if number == 0 { part } else { part.trim_start() });
        }
    }
    let source = source.replace("\\\"", "\"");
    let section = section("## Troubleshooting");
    let symptoms: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .collect();
    assert!(symptoms.len() >= 12, "{}", symptoms.len());
    for symptom in symptoms {
        // What one message quotes of another begins after a colon.
        let parts = symptom.split(['…', ':', '(', ')']).map(str::trim);
        for part in parts.filter(|part| part.len() > 4) {
            assert!(
                source.contains(part),
                "`{part}` of `{symptom}` is said nowhere"
            );
        }
    }
}

#[test]
fn each_command_is_one() {
    let table = section("## Commands");
    let help = binary().arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands = help.split("Commands:\n").nth(1).expect("commands");
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    for command in &commands {
        assert!(table.contains(&format!("| `{command}")), "{command}");
    }
    for block in blocks("console") {
        let lines = block
            .lines()
            .filter_map(|line| line.strip_prefix("$ flashback-rotator "));
        for line in lines {
            let name = line.split_whitespace().next().unwrap_or_default();
            assert!(commands.contains(&name), "{line}");
        }
    }
}

/// Words without the digits, which differ each time.
fn words(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            line.split_whitespace()
                .filter(|word| !word.contains(|c: char| c.is_ascii_digit()))
                .collect()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_prints_what_is_shown() {
    let mut demo = binary();
    let output = tokio::task::spawn_blocking(move || demo.arg("demo").output());
    let output = output.await.expect("it ends").expect("it runs");
    let printed = String::from_utf8(output.stdout).expect("text");
    let shown = blocks("text");
    let shown = shown
        .iter()
        .find(|block| block.contains("adoption"))
        .expect("the demo's output");
    assert_eq!(words(shown), words(&printed), "{printed}");
}
