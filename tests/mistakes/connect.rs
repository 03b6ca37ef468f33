//! Mistakes that show only when connecting: `check --connect` says what, where and what to do, once, and
//! repeats no value.

mod aws;
mod fields;
mod flashback;
mod vault;

use std::process::Command;

use flashback_rotator::flashback::sandbox::Options;
use serde_json::Value;

use crate::support::rotator::{Rotator, sandbox};
use crate::support::{Server, eventually, free_port, get, venv};

/// What a run of `check --connect` has said.
struct Said {
    code: Option<i32>,
    stdout: String,
    /// The failures, without `error: ` before them.
    failures: Vec<String>,
}

impl Said {
    /// Runs `check --connect` with more arguments. Every secret of these tests has `canary` in it.
    async fn by(rotator: &Rotator, more: &[&str]) -> Self {
        let arguments = [&["check", "--connect"], more].concat();
        let output = rotator.command(&arguments).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        for said in [&stdout, &stderr] {
            assert!(!said.contains("canary"), "a value is repeated:\n{said}");
        }
        let failures = stderr
            .lines()
            .filter_map(|line| line.strip_prefix("error: "));
        Self {
            code: output.status.code(),
            stdout,
            failures: failures.map(str::to_owned).collect(),
        }
    }

    /// The one failure that begins with `what`, which must say each of `words`.
    fn says(&self, what: &str, words: &[&str]) {
        let start = format!("{what}: ");
        let found: Vec<_> = self
            .failures
            .iter()
            .filter(|line| line.starts_with(&start))
            .collect();
        assert_eq!(found.len(), 1, "{what} in\n{}", self.failures.join("\n"));
        for word in words {
            assert!(found[0].contains(word), "no {word:?} in {}", found[0]);
        }
    }

    /// The line of the table that begins with `what`.
    fn row(&self, what: &str) -> &str {
        let mut lines = self.stdout.lines();
        let row = lines.find(|line| line.starts_with(&format!("{what}  ")));
        row.unwrap_or_else(|| panic!("no {what} in\n{}", self.stdout))
    }

    fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{}", self.stdout))
    }
}

/// What is said with these sources and keys beside a Flashback that is well.
async fn checked(rest: &str, more: &[&str], environment: &[(&str, &str)]) -> Said {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), rest);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    rotator.environment = environment.iter().map(owned).collect();
    Said::by(&rotator, more).await
}

fn key(id: &str, source: &str, path: &str) -> String {
    format!("[keys.{id}]\nai_type = \"OPENAI\"\nsource = \"{source}\"\npath = \"{path}\"\n")
}

/// A web server that knows nothing of any of this, with a page at `/ai/llm`, and a plain text below `/other`.
struct Website {
    url: String,
    _server: Server,
    _directory: tempfile::TempDir,
}

impl Website {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("ai")).expect("a directory");
        let page = "<!doctype html><title>Welcome</title>";
        std::fs::write(directory.path().join("ai/llm"), page).expect("written");
        std::fs::create_dir_all(directory.path().join("other/ai")).expect("a directory");
        std::fs::write(directory.path().join("other/ai/llm"), "OK\n").expect("written");
        let port = free_port().to_string();
        let mut command = Command::new(venv().join("bin/python3"));
        command
            .args(["-m", "http.server", &port, "--bind", "127.0.0.1"])
            .current_dir(directory.path());
        let server = Server::start(&command, &directory.path().join("log"));
        let url = format!("http://127.0.0.1:{port}");
        eventually("the web server answers", || async { get(&url).await.ok() }).await;
        Self {
            url,
            _server: server,
            _directory: directory,
        }
    }
}
