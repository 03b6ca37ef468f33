//! `docs/configuration.md` says what is so: its configurations load, and its messages are the program's.

use std::path::Path;

use super::check;

const DOCS: &str = include_str!("../../docs/configuration.md");
/// What is said of each mistake, with the help that follows it.
const SAID: &str = "tests/mistakes/snapshots/all__mistakes__table__mistakes.snap";

#[test]
fn each_configuration_loads() {
    let blocks = DOCS.split("```toml\n").skip(1);
    let blocks: Vec<_> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 2, "{DOCS}");
    for block in blocks {
        let environment = [("FLASHBACK_WORKSPACE", "workspace-1")];
        let (output, said) = check(block.as_bytes(), &environment);
        assert!(output.status.success(), "{block}\n{said}");
        assert_eq!(said, "", "no warning");
    }
}

#[test]
fn each_message_is_one() {
    let (_, table) = DOCS.split_once("| written | said |").expect("a table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let messages: Vec<_> = rows
        .filter_map(|row| row.rsplit('|').nth(1).map(str::trim))
        .collect();
    assert!(messages.len() >= 9, "{messages:?}");
    let said = Path::new(env!("CARGO_MANIFEST_DIR")).join(SAID);
    let said = std::fs::read_to_string(said).expect("a snapshot");
    for message in messages {
        assert!(said.contains(message), "nothing says {message:?}");
    }
}
