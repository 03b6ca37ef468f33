//! On a terminal: colours, a progress bar, and the log for people. Everywhere else the tests have
//! pipes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use flashback_rotator::flashback::sandbox::Options;

use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::venv;

/// Starts a program on a terminal of so many columns, writes what that shows, and ends as it does.
const SPAWN: &str = r#"
import fcntl, os, pty, struct, subprocess, sys, termios
terminal, side = pty.openpty()
fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, int(sys.argv[1]), 0, 0))
child = subprocess.Popen(sys.argv[2:], stdin=side, stdout=side, stderr=side, start_new_session=True)
os.close(side)
try:
    while shown := os.read(terminal, 65536):
        os.write(1, shown)
except OSError:
    pass  # The other side is closed.
sys.exit(child.wait())
"#;

/// Runs the binary with a terminal for its standard streams; what that shows is the output.
async fn on_a_terminal(
    columns: usize,
    config: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Output {
    let mut command = Command::new(venv().join("bin/python3"));
    command
        .args(["-c", SPAWN])
        .arg(columns.to_string())
        .arg(env!("CARGO_BIN_EXE_flashback-rotator"))
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

/// The lines that a terminal shows, without their colours.
fn lines(output: &Output) -> Vec<String> {
    let shown = anstream::adapter::strip_str(&text(output)).to_string();
    shown
        .lines()
        // What a progress bar has shown is written over.
        .filter_map(|line| line.trim_end().rsplit('\r').next())
        .map(str::to_owned)
        .collect()
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
        let output = on_a_terminal(80, &rotator.config(), &[command], &[]).await;
        let shown = text(&output);
        let failed = matches!(command, "plan" | "sync" | "status");
        assert_eq!(output.status.code(), Some(i32::from(failed)), "{shown}");
        let table = command != "check";
        assert_eq!(shown.contains("\u{1b}[1m"), table, "{shown}");
        assert!(!shown.contains("panicked"), "{shown}");
        let output = on_a_terminal(80, &rotator.config(), &[command], &[("NO_COLOR", "1")]).await;
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
    let (output, ()) = tokio::join!(on_a_terminal(60, &config, &["run"], &ends), async {
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
    fits(60, &lines(&output));
    arrives(&sandbox, "a", "sk-two").await;
}

/// No line is longer than the terminal, but one that is a single word: an address or an id is kept whole.
fn fits(columns: usize, lines: &[String]) {
    for line in lines {
        let whole = line.split_whitespace().count() == 1;
        assert!(
            whole || line.chars().count() <= columns,
            "{columns}: `{line}` in {lines:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_readable_however_wide_the_terminal_is() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!(
        "{QUICK}{}{}",
        file_key("openai-prod"),
        file_key("a-key-whose-file-is-not-there")
    );
    let rotator = Rotator::new(&sandbox.url(), &rest);
    rotator.put("openai-prod", "sk-one");
    let shown = async |columns, arguments: &[&str]| {
        let output = on_a_terminal(columns, &rotator.config(), arguments, &[]).await;
        lines(&output)
    };
    shown(200, &["sync"]).await;
    let id = sandbox.configurations()[0].ai_llm_id.clone();
    for arguments in [
        &["plan"][..],
        &["sync"],
        &["status"],
        &["history"],
        &["check", "--connect"],
    ] {
        for columns in [60, 200] {
            let lines = shown(columns, arguments).await;
            fits(columns, &lines);
            let all = lines.join("\n");
            let mut words = vec!["openai-prod"];
            if !matches!(arguments, ["check", ..] | ["history"]) {
                words.extend([&*id, "a-key-whose-file-is-not-there"]);
            }
            for word in words {
                assert!(
                    all.contains(word),
                    "{arguments:?}, {columns}: {word} in {all}"
                );
            }
        }
    }
    let row_of = |lines: &[String]| {
        let row = lines.iter().find(|line| line.starts_with("openai-prod"));
        row.cloned().unwrap_or_default()
    };
    let wide = row_of(&shown(200, &["plan"]).await);
    assert!(
        wide.contains(&id),
        "one row is one line where it fits: {wide}"
    );
    let narrow = shown(60, &["plan"]).await;
    assert!(!row_of(&narrow).contains(&id), "{narrow:#?}");
    assert!(
        narrow.contains(&format!("  configuration: {id}")),
        "{narrow:#?}"
    );
}
