//! `status` in each state of the world: its screen and its exit code.
//!
//! The screens are in `tests/data/status`, with what differs from run to run masked. `INSTA_UPDATE=always` renews
//! them.

mod key;
mod replicas;
mod screens;
mod watch;

use std::path::Path;
use std::process::Output;

use flashback_rotator::flashback::sandbox::{Options, Sandbox};
use serde_json::Value;

use crate::support::eventually;
use crate::support::rotator::{QUICK, Rotator, file_key, sandbox};

/// A daemon with the keys `a` and `b` that is well, and its Flashback.
async fn well() -> (Sandbox, Rotator) {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &keys(""));
    rotator.put("a", "sk-canary-a");
    rotator.put("b", "sk-canary-b");
    rotator.start();
    rotator.ready().await;
    is_well(&rotator).await;
    (sandbox, rotator)
}

/// Both keys, and more.
fn keys(more: &str) -> String {
    format!("{QUICK}{}{}{more}", file_key("a"), file_key("b"))
}

/// Waits until everything is up and in sync.
async fn is_well(rotator: &Rotator) {
    eventually("all well", || async {
        let status = rotator.json(&["status"]).await;
        let states = status["keys"].as_array().expect("rows").iter();
        let noted = |row: &&Value| row["state"] == "in_sync" && row["next_check"].is_string();
        let in_sync = states.filter(noted).count();
        let services = status["sources"].as_array().expect("sources").iter();
        let up = services
            .chain([&status["flashback"]])
            .all(|one| one["status"] == "up");
        (up && in_sync == 2).then_some(())
    })
    .await;
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A screen with its exit code, and what differs from run to run masked: paths, times, ports, ids.
fn masked(output: &Output, directory: &Path) -> String {
    let screen = text(&output.stdout).replace(&directory.display().to_string(), "{dir}");
    assert!(!screen.contains("canary"), "{screen}");
    let lines: Vec<String> = screen.lines().map(mask).collect();
    let code = output.status.code().expect("it exits");
    format!("exit code {code}\n\n{}", lines.join("\n"))
}

fn mask(line: &str) -> String {
    let mut masked = String::new();
    for column in line
        .split("  ")
        .map(str::trim)
        .filter(|column| !column.is_empty())
    {
        let words: Vec<&str> = column.split(' ').collect();
        let mut shown: Vec<String> = Vec::new();
        for (number, word) in words.iter().enumerate() {
            let bare = word.trim_matches(|c: char| "(),;:.".contains(c));
            let next = words
                .get(number + 1)
                .map(|word| word.trim_matches(|c| "(),;:".contains(c)));
            let is_span = bare.parse::<u64>().is_ok() && matches!(next, Some("s" | "min"));
            let is_time = bare.len() == 20 && bare.ends_with('Z') && bare.as_bytes()[10] == b'T';
            let mask = match bare {
                _ if is_span => "{n}",
                // A check that is due.
                "now" if words.len() == 1 => "in {n} s",
                _ if is_time => "{time}",
                _ if bare.starts_with("fp-") => "fp-{version}",
                _ if bare.starts_with("http://127.0.0.1:") => "http://127.0.0.1:{port}",
                _ if bare.starts_with("127.0.0.1:") => "127.0.0.1:{port}",
                _ if bare.len() == 36 && bare.matches('-').count() == 4 => "{id}",
                _ => bare,
            };
            shown.push(word.replacen(bare, mask, usize::from(!bare.is_empty())));
        }
        if !masked.is_empty() {
            masked.push_str("  ");
        }
        masked.push_str(&shown.join(" "));
    }
    masked
}

/// The document that `status` prints, and its exit code.
async fn document(rotator: &Rotator, arguments: &[&str]) -> (Value, Option<i32>) {
    let output = rotator
        .command(&[&["status", "--json"], arguments].concat())
        .await;
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (document, output.status.code())
}
