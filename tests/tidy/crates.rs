//! The crates of the workspace, and what they may depend on.

use std::collections::{BTreeMap, BTreeSet};

use super::text_of;

/// What does I/O, or is made for it.
const IMPURE: [&str; 10] = [
    "async-trait",
    "axum",
    "hyper",
    "notify",
    "reqwest",
    "rusqlite",
    "rustls",
    "tokio",
    "tracing",
    "vaultrs",
];

/// Returns what each package in `Cargo.lock` needs, by name.
fn locked() -> BTreeMap<String, BTreeSet<String>> {
    let lock: toml::Table = text_of("Cargo.lock").parse().expect("a lock file");
    let packages = lock["package"].as_array().expect("packages");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().expect("a name").to_owned();
        let needs = package.get("dependencies").and_then(toml::Value::as_array);
        let needs = needs.into_iter().flatten().filter_map(|need| {
            let name = need.as_str()?.split(' ').next()?;
            Some(name.to_owned())
        });
        found.entry(name).or_default().extend(needs);
    }
    found
}

#[test]
fn the_core_can_do_no_io() {
    let manifest: toml::Table = text_of("crates/core/Cargo.toml").parse().expect("TOML");
    let direct = manifest["dependencies"].as_table().expect("dependencies");
    let locked = locked();
    let mut left: Vec<&str> = direct.keys().map(String::as_str).collect();
    let mut needed = BTreeSet::new();
    while let Some(name) = left.pop() {
        if needed.insert(name) {
            left.extend(locked[name].iter().map(String::as_str));
        }
    }
    assert!(needed.contains("chrono"), "{needed:?}");
    let impure: Vec<&&str> = needed
        .iter()
        .filter(|name| IMPURE.contains(name) || name.starts_with("aws-"))
        .collect();
    assert!(impure.is_empty(), "`crates/core` depends on {impure:?}");
}
