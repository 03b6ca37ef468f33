//! The words that are out, because another one stands for the same thing.

use std::fs;

/// The words that stand neither in code nor in comments, and what to write instead. Texts in quotes are free: users know
/// some of them.
const OUT: &[(&str, &str)] = &[
    ("desk", "`CommandServer`, or the SQLite `Writer`"),
    ("fleet", "runtime"),
    ("holdings", "`LeaseTable`"),
    ("lane", "upstream"),
    ("lanes", "upstreams"),
    ("looker", "`Reconciler`"),
    ("roster", "assignments"),
    ("sharer", "membership"),
    ("stray", "late write"),
    ("strays", "late writes"),
    ("struck out", "evicted"),
    ("tenure", "lease"),
    ("unhurried", "background"),
    ("untold", "what was not acknowledged, reported or announced"),
    ("PoisonError", "`parking_lot`, whose locks know no poison"),
    ("Not carried out by this version", "what the program does"),
];

#[test]
fn words_that_are_out_stay_out() {
    let mut found = Vec::new();
    for path in ["src", "crates", "benches", "tests"]
        .into_iter()
        .flat_map(super::files)
    {
        if path.ends_with("tests/tidy/words.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            // Every second part of a line stands in quotes.
            let unquoted: Vec<&str> = line.split('"').step_by(2).collect();
            let unquoted =
                format!(" {} ", unquoted.join(" ")).replace(|c: char| !c.is_alphanumeric(), " ");
            for (word, instead) in OUT {
                if unquoted.contains(&format!(" {word} ")) {
                    let place = format!("{}:{}", path.display(), number + 1);
                    found.push(format!("{place}: `{word}`; write {instead}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
