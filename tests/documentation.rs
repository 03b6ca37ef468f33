//! What is true of every page of documentation: its configurations load, its links lead somewhere, what
//! it shows of files is in them, and the tests and metrics that it names exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use flashback_rotator::flashback::sandbox::Options;
use flashback_rotator::model::{Action, KeyId, Outcome, ProviderId, RuleId, SourceId, WorkspaceId};
use flashback_rotator::telemetry::metrics::{Metrics, RotationStanding, Standing, service_of};

use crate::support::openbao::{OpenBao, ROOT};
use crate::support::page::{Page, blocks};
use crate::support::reader::{Reader, block};
use crate::support::rotator::{arrives, binary, sandbox};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a directory, by their paths from the root of the repository.
fn files(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![repository().join(below)];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => left.push(path),
                false => found.push(path.strip_prefix(repository()).expect("below").to_owned()),
            }
        }
    }
    found.sort();
    found
}

/// Every page: those at the root, and those below `docs`, `benches` and `deploy`.
fn pages() -> Vec<String> {
    let at_root = std::fs::read_dir(repository()).expect("a directory");
    let at_root = at_root.map(|entry| PathBuf::from(entry.expect("an entry").file_name()));
    let below = ["docs", "benches", "deploy"].into_iter().flat_map(files);
    let pages = at_root.chain(below);
    pages
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| path.to_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn each_link_leads_somewhere() {
    let pages = pages();
    assert!(pages.len() > 15, "{pages:?}");
    for page in pages {
        Page::read(&page).check_links();
    }
}

/// What a block needs around it that is no whole configuration.
const AROUND: &str = "[flashback]\nworkspace_id = \"workspace-123\"\n\
     [flashback.auth]\ntoken = { env = \"FLASHBACK_TOKEN\" }\n";

/// A source that a block may name without having it.
fn source(id: &str) -> String {
    format!(
        "[sources.{id}]\ntype = \"vault\"\naddress = \"https://vault.example.com:8200\"\n\
         [sources.{id}.auth]\nmethod = \"token\"\ntoken = {{ env = \"VAULT_TOKEN\" }}\n"
    )
}

/// The variables that a block takes something from, and has no default for.
fn variables(block: &str) -> Vec<&str> {
    let names = block.split("env = \"").skip(1);
    let names = names.filter_map(|rest| rest.split_once('"'));
    let needed = names.filter(|(_, rest)| !rest.starts_with(", default"));
    needed.map(|(name, _)| name).collect()
}

/// A block is whole, or goes on from the sources of those before it. `check` has nothing against it.
#[test]
fn each_configuration_is_good() {
    let mut checked = 0;
    for page in pages() {
        let mut sources = String::new();
        for block in blocks(&Page::read(&page).text, "toml") {
            let text = if block.contains("[flashback") {
                block
            } else {
                let mut text = format!("{AROUND}{sources}{block}");
                if !block.contains("[keys") {
                    text +=
                        "[keys.any]\nai_type = \"OPENAI\"\nsource = \"vault\"\npath = \"any\"\n";
                }
                for id in ["vault", "prod-vault"] {
                    if !text.contains(&format!("[sources.{id}]")) {
                        text += &source(id);
                    }
                }
                if block.contains("[sources.") {
                    sources += &block;
                }
                text
            };
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("config.toml");
            crate::support::place_file(&path, &text);
            let mut check = binary();
            check.arg("check").arg("--config").arg(&path);
            check.envs(variables(&text).into_iter().map(|name| (name, "x-1")));
            let output = check.output().expect("it runs");
            let said = String::from_utf8(output.stderr).expect("text");
            let good = output.status.success() && said.is_empty();
            assert!(good, "{page}: {said}\nin\n{text}");
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked}");
}

#[test]
fn the_policies_are_shown_as_they_are() {
    let shown: String = pages().iter().map(|page| Page::read(page).text).collect();
    let paths = files("config/policies");
    assert_eq!(paths.len(), 12, "{paths:?}");
    for path in paths {
        let text = std::fs::read_to_string(repository().join(&path)).expect("a policy");
        let times = shown.matches(&format!("\n{text}```\n")).count();
        assert_eq!(times, 1, "{} is shown {times} times", path.display());
        if path.extension().is_some_and(|ending| ending == "json") {
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        }
    }
}

/// The page's commands and what it shows of their output, with a server and a sandbox in the places of
/// those that it names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vault_page_goes_as_it_says() {
    let path = repository().join("docs/vault.md");
    let page = Page::read("docs/vault.md").text;
    let bao = OpenBao::start().await;
    let sandbox = sandbox(Options::default()).await;
    let mut reader = Reader::new();
    std::os::unix::fs::symlink(repository().join("config"), reader.here().join("config"))
        .expect("a link");
    reader.set("VAULT_ADDR", &bao.address);
    reader.set("VAULT_TOKEN", ROOT);
    reader.set("FLASHBACK_TOKEN", "any");
    reader.set("FLASHBACK_ROTATOR_CONFIG", "config.toml");
    reader.run(&block(&page, "sh")).await;

    let role = "vault read -field=role_id auth/approle/role/flashback-rotator/role-id";
    let role = reader.run(role).await;
    reader.differs("a61f54e3-6880-0d9e-2446-96c60d2aba05", role.trim());
    reader.differs("https://vault.example.com:8200", &bao.address);
    let flashback = format!("[flashback]\nbase_url = \"{}\"\n", sandbox.url());
    reader.differs("[flashback]\n", flashback);
    reader.save("config.toml", &block(&page, "toml"), "");
    reader.compare(&path, &block(&page, "console")).await;
    arrives(&sandbox, "Production OpenAI", "sk-example-2").await;
}

/// Each page on installing is read by the script that proves it.
#[test]
fn the_pages_on_installing_are_followed() {
    let pages = pages().into_iter();
    let pages: Vec<String> = pages.filter(|page| page.contains("/install-")).collect();
    assert_eq!(pages.len(), 3, "{pages:?}");
    for page in pages {
        let scripts = ["image", "systemd", "deploy"].map(|name| files(&format!("tests/{name}")));
        let followed = scripts.iter().flatten().any(|script| {
            let text = std::fs::read_to_string(repository().join(script)).unwrap_or_default();
            text.contains(&format!("\"{page}\""))
        });
        assert!(followed, "no script reads {page}");
    }
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Whether there is a test of this name: modules by `::`, then the function.
fn is_test(name: &str) -> bool {
    let Some((modules, function)) = name.rsplit_once("::") else {
        return false;
    };
    let file = modules.replace("::", "/");
    let permits = ["tests", "src", "crates/core/src"].iter().flat_map(|root| {
        let path = repository().join(root).join(&file);
        [path.with_extension("rs"), path.join("mod.rs")]
    });
    let wanted = format!("fn {function}(");
    permits
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .any(|text| {
            text.split_once(&wanted).is_some_and(|(before, _)| {
                let start = before.rfind("\n\n").unwrap_or(0);
                before[start..].contains("#[test]") || before[start..].contains("#[tokio::test")
            })
        })
}

/// Whether what belongs to a script has these words.
fn says(script: &str, words: &str) -> bool {
    let directory = Path::new(script).parent().expect("a directory");
    repository().join(script).exists()
        && files(directory.to_str().expect("a name"))
            .iter()
            .any(|path| {
                let text = std::fs::read_to_string(repository().join(path)).unwrap_or_default();
                text.contains(words)
            })
}

#[test]
fn each_promise_names_tests_that_exist() {
    let page = Page::read("docs/promises.md").text;
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<&str> = rows.filter(|row| !row.contains("held by")).collect();
    assert!(rows.len() > 40, "{}", rows.len());
    for row in rows {
        let held_by = row.split('|').nth(2).expect("a cell");
        let names = quoted(held_by);
        assert!(!names.is_empty(), "held by nothing: {row}");
        for name in names {
            if !name.starts_with("tests/") {
                assert!(is_test(name), "there is no test {name}");
                continue;
            }
            let mark = format!("`{name}`: \"");
            let said = held_by.split(&mark).skip(1);
            let said: Vec<&str> = said.filter_map(|rest| rest.split('"').next()).collect();
            assert!(!said.is_empty(), "what does {name} print? {row}");
            for words in said {
                assert!(says(name, words), "{name} does not say `{words}`");
            }
        }
    }
}

#[test]
fn metrics_are_named_as_they_are() {
    let rendered = every_metric();
    let known: BTreeSet<&str> = rendered
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let sections = Page::read("docs/metrics.md").sections("##");
    let section = sections.iter().find(|(heading, _)| heading == "Metrics");
    let rows = section.expect("a section").1.lines();
    let named: BTreeSet<&str> = rows
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split(['{', '`']).next())
        .collect();
    assert_eq!(named, known);
}

fn rotation() -> RotationStanding {
    RotationStanding {
        stage: "draining",
        due_at: Some(Utc::now()),
        overlap_ends_at: Some(Utc::now()),
    }
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
        rotation: Some(rotation()),
    };
    metrics.stands(&key, &standing);
    metrics.next_check(&key, Utc::now(), Duration::ZERO);
    metrics.verification("after", "works");
    metrics.discovery(&RuleId::new("llm"), true, 1, 0);
    metrics.service_up("s", true);
    metrics.service_up(&service_of(&ProviderId::new("p")), true);
    metrics.events_up(&source, true);
    metrics.event_received(&source, "heard");
    metrics.event_delay(&source, Duration::ZERO);
    metrics.sign_in("s", true);
    metrics.retry("s");
    metrics.listed(&WorkspaceId::new("w"), true, 0);
    metrics.api_request("s", "read", "ok", Duration::ZERO);
    metrics.reload("accepted");
    metrics.receiver("r");
    metrics.render()
}
