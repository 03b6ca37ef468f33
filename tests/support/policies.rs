//! The policies in the files of `config/policies`.

use std::path::Path;

/// Returns the text of a file.
pub fn policy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies");
    std::fs::read_to_string(path.join(name)).expect("a policy")
}

/// Returns the policy without its block for the paths that begin with `path`.
pub fn without(policy: &str, path: &str) -> String {
    let block = format!("path \"{path}");
    let blocks: Vec<&str> = policy.split("\n\n").collect();
    let kept: Vec<&str> = blocks
        .iter()
        .copied()
        .filter(|text| !text.contains(&block))
        .collect();
    assert_eq!(kept.len() + 1, blocks.len(), "{path}");
    kept.join("\n\n")
}
