//! README.md is short, and what it says of first use, of the demo and of the commands is so.
//! `tests/documentation.rs` holds what is true of every page.

use std::path::{Path, PathBuf};

use flashback_rotator::flashback::sandbox::Options;
use serde_json::Value;

use crate::support::eventually;
use crate::support::page::{Page, blocks};
use crate::support::reader::{Reader, block, words};
use crate::support::rotator::{arrives, binary, sandbox};

/// Longer, it is not read.
const LINES: usize = 300;

/// Further down, nobody tries it.
const FIRST_USE: usize = 80;

/// The commands that another test runs, or that install what the tests are of.
const ELSEWHERE: [&str; 3] = [
    "cargo run -- demo\n",
    "cargo install --locked --path .\n",
    "tests/run\n",
];

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn readme() -> Page {
    Page::read("README.md")
}

/// The text of a section, by its heading.
fn section(heading: &str) -> String {
    let sections = readme().sections("##");
    let found = sections.into_iter().find(|(named, _)| named == heading);
    found.unwrap_or_else(|| panic!("no section {heading}")).1
}

#[test]
fn readme_is_short_and_shows_first_use_early() {
    let text = readme().text;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() <= LINES, "{} lines", lines.len());
    let first_use = lines.iter().position(|line| *line == "## First use");
    let first_use = first_use.expect("a section on first use");
    assert!(first_use + 1 < FIRST_USE, "line {}", first_use + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_use_goes_as_it_says() {
    let page = path();
    let text = section("First use");
    let [install, store, try_it, rotate] = &blocks(&text, "sh")[..] else {
        panic!("not the four blocks that it was");
    };
    assert!(ELSEWHERE.contains(&install.as_str()));
    let sandbox = sandbox(Options::default()).await;
    let mut reader = Reader::new();
    reader.differs("http://127.0.0.1:8787", sandbox.url());
    reader.run(store).await;
    let config = block(&text, "toml");
    reader.save("config.toml", &config, "[http]\nlisten = \"127.0.0.1:0\"\n");
    let exports = try_it.lines().next().expect("a line");
    for export in exports.trim_start_matches("export ").split(' ') {
        let (name, value) = export.split_once('=').expect("a value");
        reader.set(String::leak(name.to_owned()), value);
    }

    let shown = block(&text, "console");
    let commands: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    let told: Vec<&str> = try_it.lines().skip(1).collect();
    assert_eq!(commands, told, "what is shown is what is told to do");
    reader.compare(&page, &shown).await;
    arrives(&sandbox, "Production OpenAI", "sk-example-1").await;

    let mut daemon = reader.start(rotate);
    arrives(&sandbox, "Production OpenAI", "sk-example-2").await;
    eventually("the next check is written down", || async {
        let status = reader.run("flashback-rotator status --json").await;
        let status: Value = serde_json::from_str(&status).ok()?;
        status["keys"][0]["next_check"].is_string().then_some(())
    })
    .await;
    reader
        .compare(&page, &block(&section("Commands"), "console"))
        .await;
    daemon.kill().await.expect("it ran until now");
}

#[test]
fn each_block_of_commands_is_run() {
    let first_use = blocks(&section("First use"), "sh");
    for block in blocks(&readme().text, "sh") {
        let known = first_use.contains(&block) || ELSEWHERE.contains(&block.as_str());
        assert!(known, "nobody runs\n{block}");
    }
}

#[test]
fn each_command_is_named() {
    let table = section("Commands");
    let help = binary().arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands = help.split("Commands:\n").nth(1).expect("commands");
    let commands = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    for command in commands {
        assert!(table.contains(&format!("| `{command}")), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_prints_what_is_shown() {
    let mut demo = binary();
    let output = tokio::task::spawn_blocking(move || demo.arg("demo").output());
    let output = output.await.expect("it ends").expect("it runs");
    let printed = String::from_utf8(output.stdout).expect("text");
    let shown = block(&section("See it work"), "text");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = readme().text.replacen(&shown, &printed, 1);
        std::fs::write(path(), text).expect("written");
    } else {
        let hint = "run this test once with UPDATE_DOCS=1";
        // A check that is a little late is due now.
        let due = printed.replace(" now ", " in 0 s ");
        assert_eq!(words(&shown), words(&due), "{printed}\n{hint}");
    }
}
