//! The table of mistakes in a configuration file.

use std::fmt::Write as _;

use super::{CANARY, GOOD, check, with};

/// What is wrong, the piece of [`GOOD`] that is replaced, and by what. `CANARY` and `KEY` stand for what
/// must not be seen.
type Mistake = (&'static str, &'static str, &'static str);

const SOURCE: &str = "source = \"vault\"\n";
const PATH: &str = "path = \"llm/openai\"";
const AI_TYPE: &str = "ai_type = \"OPENAI\"";
const CHECK: &str = "check = \"30s\"";
const TOKEN: &str = "token = { env = \"FLASHBACK_TOKEN\" }";
const ADDRESS: &str = "address = \"https://vault.example.com:8200\"";
const WORKSPACE: &str = "workspace_id = \"workspace-1\"";

const MISTAKES: &[Mistake] = &[
    // Names.
    (
        "an unknown setting",
        PATH,
        "path = \"llm/openai\"\npaht = \"CANARY\"",
    ),
    ("a misspelt table", "[schedule]", "[shedule]"),
    (
        "a setting in the wrong table",
        "[schedule]",
        "[schedule]\nlisten = \"CANARY\"",
    ),
    (
        "a setting of a key in [defaults]",
        "[keys.openai]",
        "[defaults]\nname = \"CANARY\"\n[keys.openai]",
    ),
    (
        "a setting twice",
        AI_TYPE,
        "ai_type = \"OPENAI\"\nai_type = \"CANARY\"",
    ),
    (
        "a table twice",
        "[keys.openai]",
        "[schedule]\ncheck = \"5m\"\nresync = \"12h\"\n[keys.openai]",
    ),
    (
        "a key twice",
        "[keys.openai]",
        "[keys.openai]\nai_type = \"OPENAI\"\nsource = \"vault\"\npath = \"CANARY\"\n[keys.openai]",
    ),
    // What is missing.
    ("a key without a source", SOURCE, ""),
    ("a key without a path", PATH, ""),
    ("an unknown source", SOURCE, "source = \"CANARY\"\n"),
    ("a misspelt source", SOURCE, "source = \"valut\"\n"),
    (
        "an unknown source in [defaults]",
        SOURCE,
        "[keys.other]\nai_type = \"OPENAI\"\npath = \"x\"\n[defaults]\nsource = \"CANARY\"\n[keys.third]\nai_type = \"OPENAI\"\n",
    ),
    ("no way to sign in", TOKEN, ""),
    ("no workspace", WORKSPACE, ""),
    (
        "no endpoint where there is no default",
        AI_TYPE,
        "ai_type = \"OTHER\"",
    ),
    // Values.
    ("a wrong word", AI_TYPE, "ai_type = \"CANARY\""),
    ("a word in the wrong case", AI_TYPE, "ai_type = \"openai\""),
    ("a length of time without a unit", CHECK, "check = \"30\""),
    ("a length of time that is none", CHECK, "check = \"CANARY\""),
    ("a number where a text belongs", CHECK, "check = 30"),
    (
        "a text where a switch belongs",
        PATH,
        "path = \"llm/openai\"\nenabled = \"CANARY\"",
    ),
    (
        "a cron line with a wrong field",
        CHECK,
        "check = \"*/5 * * CANARY *\"",
    ),
    (
        "a cron line of seven fields",
        CHECK,
        "check = \"0 0 * * * * 2030\"",
    ),
    (
        "fields as a list",
        PATH,
        "path = \"llm/openai\"\nfields = [\"CANARY\"]",
    ),
    (
        "fields as a text",
        PATH,
        "path = \"llm/openai\"\nfields = \"CANARY\"",
    ),
    // Addresses.
    (
        "a URL without a scheme",
        ADDRESS,
        "address = \"CANARY.example.com:8200\"",
    ),
    (
        "a URL with a path",
        ADDRESS,
        "address = \"https://CANARY.example.com/v1/secret\"",
    ),
    (
        "a password in a URL",
        ADDRESS,
        "address = \"https://root:CANARY@vault.example.com\"",
    ),
    // Paths.
    ("a path with a star", PATH, "path = \"CANARY/*\""),
    (
        "a path with a variable",
        PATH,
        "path = \"CANARY/${ENVIRONMENT}\"",
    ),
    (
        "a path with a template",
        PATH,
        "path = \"CANARY/{{ .Values.env }}\"",
    ),
    ("a path of the API", PATH, "path = \"secret/data/CANARY\""),
    (
        "a path as an address",
        PATH,
        "path = \"v1/secret/data/CANARY\"",
    ),
    ("a path with a leading slash", PATH, "path = \"/CANARY\""),
    (
        "a path that leads elsewhere",
        PATH,
        "path = \"llm/../CANARY\"",
    ),
    // Secrets.
    ("a secret as a plain text", TOKEN, "token = \"CANARY\""),
    (
        "a secret with a default",
        TOKEN,
        "token = { env = \"FLASHBACK_TOKEN\", default = \"CANARY\" }",
    ),
    (
        "a variable with a dollar sign",
        TOKEN,
        "token = { env = \"$FLASHBACK_TOKEN\" }",
    ),
    (
        "a secret where its variable's name belongs",
        TOKEN,
        "token = { env = \"KEY\" }",
    ),
    (
        "a secret where its file's path belongs",
        TOKEN,
        "token = { file = \"KEY\" }",
    ),
    (
        "a key pasted as a name",
        PATH,
        "path = \"llm/openai\"\nname = \"KEY\"",
    ),
    ("a key pasted as a path", PATH, "path = \"KEY\""),
    (
        "a key pasted as a workspace",
        WORKSPACE,
        "workspace_id = \"KEY\"",
    ),
    (
        "a key pasted as an address",
        ADDRESS,
        "address = \"https://vault.example.com/?token=KEY\"",
    ),
    (
        "a key pasted as the name of a table",
        "[keys.openai]",
        "[keys.KEY]",
    ),
    (
        "a key pasted as the name of a source",
        "[sources.vault]",
        "[sources.KEY]\ntype = \"file\"\ndir = \"/x\"\n[sources.vault]",
    ),
    (
        "a key pasted as a setting",
        PATH,
        "path = \"llm/openai\"\nKEY = 1",
    ),
    // Variables.
    (
        "a variable that is not set",
        ADDRESS,
        "address = { env = \"NOT_SET\" }",
    ),
    (
        "a variable that holds something else",
        ADDRESS,
        "address = { env = \"ODD\" }",
    ),
    (
        "a default that is something else",
        CHECK,
        "check = { env = \"NOT_SET\", default = \"CANARY\" }",
    ),
    (
        "a file where only a variable can be",
        ADDRESS,
        "address = { file = \"CANARY\" }",
    ),
    // Not TOML.
    ("a text without quotes", PATH, "path = CANARY"),
    ("a text that does not end", PATH, "path = \"CANARY"),
    ("the quotes of a word processor", PATH, "path = “CANARY”"),
    ("a colon for an equals sign", PATH, "path: \"CANARY\""),
    ("a header that does not end", "[schedule]", "[schedule"),
    (
        "a list of tables",
        "[keys.openai]",
        "[[keys]]\nname = \"CANARY\"",
    ),
];

/// Whole files.
const FILES: &[(&str, &str)] = &[
    ("an empty file", ""),
    ("a file with no more than a key", "[keys.openai]\n"),
    (
        "YAML",
        "flashback:\n  workspace_id: CANARY\n  auth:\n\ttoken: KEY\nkeys:\n  - name: CANARY\n",
    ),
    (
        "YAML with a document's mark",
        "---\nflashback: {workspace_id: CANARY}\n",
    ),
    (
        "JSON",
        "{\n  \"flashback\": {\"workspace_id\": \"CANARY\"}\n}\n",
    ),
    (
        "an environment file",
        "FLASHBACK_TOKEN=KEY\nVAULT_ADDR=https://CANARY\n",
    ),
];

/// A key of OpenAI's shape.
fn key() -> String {
    format!("sk-proj-{CANARY}A1b2C3d4E5f6")
}

fn filled_in(text: &str) -> String {
    text.replace("CANARY", CANARY).replace("KEY", &key())
}

#[test]
fn each_mistake_is_named_with_its_place_and_a_remedy() {
    let mistakes = MISTAKES.iter();
    let changed = mistakes.map(|(what, piece, by)| (*what, with(piece, &filled_in(by))));
    let whole = FILES.iter().map(|(what, text)| (*what, filled_in(text)));
    let cases: Vec<_> = changed.chain(whole).collect();
    let odd = format!("ftp://{CANARY}");
    let environment = [("ODD", odd.as_str()), ("ENVIRONMENT", CANARY)];
    let mut all = String::new();
    for (what, text) in &cases {
        let (output, said) = check(text.as_bytes(), &environment);
        assert_eq!(output.status.code(), Some(2), "{what}:\n{text}\n{said}");
        assert!(output.stdout.is_empty(), "{what}:\n{text}\n{said}");
        let is_shown = said.to_lowercase().contains(&CANARY[..6]);
        assert!(!is_shown, "{what}: a value is shown:\n{text}\n{said}");
        writeln!(all, "=== {what}\n\n{}\n", said.trim_end()).expect("a text takes everything");
    }
    assert!(cases.len() >= 60, "{}", cases.len());
    insta::assert_snapshot!("mistakes", all);
}

/// Without this a canary that is nowhere would pass for one that is hidden.
#[test]
fn the_small_configuration_is_right() {
    let (output, said) = check(GOOD.as_bytes(), &[]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "", "no warning");
}
