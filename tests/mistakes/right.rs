//! What may look odd and is right.

use super::{CANARY, GOOD, check, with};

#[test]
fn line_ends_tabs_and_marks_of_other_editors_change_nothing() {
    let windows = GOOD.replace('\n', "\r\n");
    let marked = format!("\u{feff}{GOOD}");
    let tabs = GOOD.replace("path = ", "\tpath\t=\t");
    for text in [windows, marked, tabs] {
        let (output, said) = check(text.as_bytes(), &[]);
        assert!(output.status.success(), "{said}");
        assert_eq!(said, "", "no warning");
    }
}

#[test]
fn names_that_begin_like_a_key_are_names() {
    let text = with("[keys.openai]", "[keys.xai-prod]\nname = \"sk-openai\"")
        .replace("llm/openai", "llm/pplx-2026");
    let (output, said) = check(text.as_bytes(), &[]);
    assert!(output.status.success(), "{said}");
}

#[test]
fn suspicious_paths_are_warned_about_by_place_and_not_quoted() {
    for path in ["data/CANARY", "kv/data/CANARY", "metadata/CANARY"] {
        let path = path.replace("CANARY", CANARY);
        let text = with("llm/openai", &path);
        let (output, said) = check(text.as_bytes(), &[]);
        assert!(output.status.success(), "{said}");
        assert!(
            said.starts_with("warning: config.toml:16:8: the "),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains(CANARY), "{said}");
    }
}

/// The reference says so of every plain text, whatever it stands for.
#[test]
fn a_single_file_serves_two_environments_through_variables() {
    let text = r#"[flashback]
base_url = { env = "BASE", default = "https://backend.flashback.tech" }
workspace_id = { env = "WORKSPACE" }
[flashback.auth]
email = { env = "NOT_SET", default = "rotator@example.com" }
password = { file = { env = "PASSWORD_FILE" } }
[schedule]
check = { env = "RHYTHM", default = "30s" }
timezone = { env = "ZONE", default = "UTC" }
[http]
listen = { env = "LISTEN", default = "127.0.0.1:9464" }
[log]
level = { env = "LEVEL", default = "info" }
[defaults]
source = { env = "STORE", default = "vault" }
ai_type = { env = "TYPE", default = "OPENAI" }
[sources.vault]
type = { env = "KIND", default = "vault" }
address = { env = "ADDRESS" }
[sources.vault.auth]
method = { env = "METHOD", default = "approle" }
role_id = { env = "ROLE" }
[keys]
openai = { path = { env = "WHERE", default = "llm/openai" }, fields = { secret = { env = "FIELD", default = "k" } } }
"#;
    let common = [
        ("WORKSPACE", "workspace-1"),
        ("PASSWORD_FILE", "/run/secrets/password"),
        ("ADDRESS", "https://vault.example.com"),
    ];
    let production = [
        ("BASE", "https://flashback.example.com"),
        ("RHYTHM", "*/5 * * * *"),
        ("ZONE", "Europe/Berlin"),
        ("TYPE", "ANTHROPIC"),
        ("LEVEL", "debug"),
    ];
    for more in [&[][..], &production] {
        let environment: Vec<_> = common.iter().chain(more).copied().collect();
        let (output, said) = check(text.as_bytes(), &environment);
        assert!(output.status.success(), "{said}");
        assert_eq!(said, "", "no warning");
    }
    // Each variable is read: a wrong one is named, and its text is not shown.
    for name in [
        "BASE", "RHYTHM", "ZONE", "LISTEN", "LEVEL", "STORE", "TYPE", "KIND", "ADDRESS", "METHOD",
    ] {
        let all = common.iter().filter(|(known, _)| *known != name).copied();
        let environment: Vec<_> = all.chain([(name, CANARY)]).collect();
        let (output, said) = check(text.as_bytes(), &environment);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(name) || name == "STORE", "{name}: {said}");
        assert!(!said.contains(CANARY), "{name}: {said}");
    }
}
