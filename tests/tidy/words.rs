//! The words that are out, because another one stands for the same thing.

use std::fs;

/// What must stand nowhere in the sources, and what to write instead.
const OUT: &[(&str, &str)] = &[(
    "Not carried out by this version",
    "what the program does: it is carried out since",
)];

#[test]
fn words_that_are_out_stay_out() {
    let mut found = Vec::new();
    for path in super::files("src")
        .into_iter()
        .chain(super::files("benches"))
    {
        let text = fs::read_to_string(&path).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            for (word, instead) in OUT {
                if line.contains(word) {
                    let place = format!("{}:{}", path.display(), number + 1);
                    found.push(format!("{place}: `{word}`; write {instead}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
