//! docs/troubleshooting.md quotes messages that the program has.

use std::path::{Path, PathBuf};

fn sources() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut left = vec![here.join("src"), here.join("crates")];
    let mut source = String::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("a directory");
            let paths = entries.map(|entry| entry.expect("an entry").path());
            left.extend(paths.collect::<Vec<PathBuf>>());
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(path).expect("a source file");
            // As the compiler reads a literal that goes on in the next line.
            for (number, part) in text.split("\\\n").enumerate() {
                source.push_str(if number == 0 { part } else { part.trim_start() });
            }
        }
    }
    source.replace("\\\"", "\"")
}

/// The headings quote messages: `…` stands for what differs, and what one message quotes of another begins after a
/// colon.
#[test]
fn each_heading_is_a_message_of_the_program() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let source = sources();
    let headings: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    assert!(headings.len() >= 40, "{}", headings.len());
    for heading in headings {
        let message = heading
            .strip_prefix('`')
            .and_then(|rest| rest.strip_suffix('`'));
        let message = message.unwrap_or_else(|| panic!("no message: {heading}"));
        let parts: Vec<_> = message
            .split(['…', ':', '(', ')'])
            .map(|part| part.trim_matches([' ', '?', ';', ',']))
            .filter(|part| part.len() > 4)
            .collect();
        assert!(!parts.is_empty(), "{heading}");
        for part in parts {
            assert!(
                source.contains(part),
                "{part:?} of {heading} is said nowhere"
            );
        }
    }
}
