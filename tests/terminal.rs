//! On a terminal: colours, a progress bar, and the log for people. Everywhere else the tests have
//! pipes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use flashback_rotator::flashback::sandbox::Options;

use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::venv;

/// Runs the binary with a terminal for its standard streams; what that shows is the output.
async fn on_a_terminal(config: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = Command::new(venv().join("bin/python3"));
    command
        .args(["-c", spawn, env!("CARGO_BIN_EXE_flashback-rotator")])
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.expect("it ends").expect("it starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_have_colours_unless_nobody_wants_them() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}{}", file_key("a"), file_key("absent"));
    let rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("a", "sk-one");
    for command in ["plan", "sync", "status", "history", "check"] {
        let output = on_a_terminal(&rotator.config(), &[command], &[]).await;
        let shown = text(&output);
        let failed = matches!(command, "plan" | "sync");
        assert_eq!(output.status.code(), Some(i32::from(failed)), "{shown}");
        let table = command != "check";
        assert_eq!(shown.contains("\u{1b}[1m"), table, "{shown}");
        assert!(!shown.contains("panicked"), "{shown}");
        let output = on_a_terminal(&rotator.config(), &[command], &[("NO_COLOR", "1")]).await;
        assert!(!text(&output).contains("\u{1b}[1m"), "{}", text(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_logs_for_people() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-one");
    let config = rotator.config();
    // It ends at the point named: a terminal's child gets no signal from here.
    let ends = [("FLASHBACK_ROTATOR_KILL_AT", "outcome_recorded:2")];
    let (output, ()) = tokio::join!(on_a_terminal(&config, &["run"], &ends), async {
        arrives(&sandbox, "a", "sk-one").await;
        rotator.put("a", "sk-two");
    });
    let shown = text(&output);
    assert!(
        shown.contains("Flashback has the key") && shown.contains("\u{1b}["),
        "{shown}"
    );
    assert!(
        !shown.contains("\"event\"") && !shown.contains("panicked"),
        "{shown}"
    );
    arrives(&sandbox, "a", "sk-two").await;
}
