//! A reader who follows a page of the documentation: runs its commands word for word, and compares their
//! output with the page.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::openbao;
use super::page::blocks;
use super::rotator::binary;

/// A reader, with a directory in which the commands run and the programs on the path.
pub struct Reader {
    directory: TempDir,
    environment: Vec<(&'static str, String)>,
    /// Texts on the page, each with its replacement here.
    differences: Vec<(&'static str, String)>,
}

impl Reader {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let tools = directory.path().join("tools");
        std::fs::create_dir(&tools).expect("a directory");
        let rotator = PathBuf::from(binary().get_program());
        for (name, program) in [
            ("flashback-rotator", rotator),
            ("vault", openbao::program()),
        ] {
            std::os::unix::fs::symlink(program, tools.join(name)).expect("a link");
        }
        std::fs::create_dir(directory.path().join("here")).expect("a directory");
        Self {
            directory,
            environment: Vec::new(),
            differences: Vec::new(),
        }
    }

    /// Returns the directory in which the commands run.
    pub fn here(&self) -> PathBuf {
        self.directory.path().join("here")
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    /// Replaces `on_page` by `here` from now on.
    pub fn differs(&mut self, on_page: &'static str, here: impl Into<String>) {
        self.differences.push((on_page, here.into()));
    }

    fn as_here(&self, text: &str) -> String {
        let all = self.differences.iter();
        all.fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// Replaces the texts of this machine in an output by those on the page.
    fn as_on_page(&self, text: &str) -> String {
        let here = self.here().display().to_string();
        let text = text.replace(&here, "/srv/rotator");
        let all = self.differences.iter();
        all.fold(text, |text, (on_page, here)| text.replace(here, on_page))
    }

    /// Saves a block of the page as a file, with `more` at its end.
    pub fn save(&self, name: &str, block: &str, more: &str) {
        let text = format!("{}{more}", self.as_here(block));
        super::place_file(self.here().join(name), text);
    }

    fn shell(&self, commands: &str) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let tools = [self.directory.path().join("tools")].into_iter();
        let paths = std::env::join_paths(tools.chain(std::env::split_paths(&path)));
        let commands = self.as_here(commands);
        let mut command = Command::from(binary_environment());
        command
            .args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{commands}")])
            .current_dir(self.here())
            .env("PATH", paths.expect("a path"))
            .env("HOME", self.directory.path())
            .env_remove("STATE_DIRECTORY")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a block of commands and returns their output.
    pub async fn run(&self, commands: &str) -> String {
        let ran = self.shell(commands).output().await.expect("bash runs");
        let said = String::from_utf8(ran.stdout).expect("text");
        assert!(ran.status.success(), "{commands}\n{said}");
        said
    }

    /// Starts a block of commands, the last of which keeps running.
    pub fn start(&self, commands: &str) -> Child {
        let mut shell = self.shell(commands);
        shell.stdout(Stdio::null()).spawn().expect("bash runs")
    }

    /// Runs each command of a block, marked by `$`, and checks that it prints the text below it. `…` matches
    /// anything. With `UPDATE_DOCS` in the environment, the output is written into the page instead.
    pub async fn compare(&self, page: &Path, block: &str) {
        let mut printed = String::new();
        for part in format!("\n{block}").split("\n$ ").skip(1) {
            let (command, shown) = part.split_once('\n').unwrap_or((part, ""));
            let said = self.as_on_page(&self.run(command).await);
            let said = match shown.trim() {
                "…" => "…",
                _ => said.trim_end(),
            };
            if std::env::var_os("UPDATE_DOCS").is_none() {
                assert_eq!(
                    words(shown),
                    words(said),
                    "{}: `{command}` prints\n{said}\nRun this test once with UPDATE_DOCS=1",
                    page.display()
                );
            }
            printed += &format!("$ {command}\n{said}\n");
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let text = std::fs::read_to_string(page).expect("a page");
            let text = text.replacen(block, &printed, 1);
            std::fs::write(page, text).expect("written");
        }
    }
}

/// Returns `bash` without the environment variables that would affect the programs under test.
fn binary_environment() -> std::process::Command {
    let mut bash = std::process::Command::new("bash");
    for (name, value) in binary().get_envs() {
        if value.is_none() {
            bash.env_remove(name);
        }
    }
    bash
}

/// Returns the words of each line that are the same in every run: those without digits that are no unit of
/// time.
pub fn words(text: &str) -> Vec<Vec<&str>> {
    let differs = |word: &str| {
        word.contains(|c: char| c.is_ascii_digit()) || ["ms", "s", "min"].contains(&word)
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            line.split_whitespace()
                .filter(|word| !differs(word))
                .collect()
        })
        .collect()
}

/// Returns the only block of `text` in a language.
pub fn block(text: &str, language: &str) -> String {
    let mut all = blocks(text, language);
    assert_eq!(all.len(), 1, "blocks of {language}: {}", all.len());
    all.remove(0)
}
