//! Modules form no circles, the methods of a type stand together, and a function fits on a screen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use super::modules::{Modules, circles};
use super::shape::{functions, types_with_methods};

/// The roots of all crates: the library, the program and the benchmarks.
const ROOTS: [&str; 5] = [
    "src/lib.rs",
    "src/main.rs",
    "benches/compare/main.rs",
    "benches/daemon/main.rs",
    "benches/simulation/main.rs",
];

/// The most lines of a function.
const A_SCREEN: usize = 60;

/// The modules that still have a circle among themselves. The list only gets shorter.
const CIRCLES_LEFT: &[&str] = &[
    "crate::config",
    "crate::engine",
    "crate::runtime",
    "crate::source",
    "crate::verify::provider",
];

/// The types that still have methods in more than two files. The list only gets shorter.
const SPREAD_LEFT: &[&str] = &[
    "crate::runtime::Runtime",
    "crate::source::aws::AwsSource",
    "crate::source::vault::VaultSource",
    "crate::source::vault::kv::Engine",
];

/// The functions that are still longer than a screen. The list only gets shorter.
const LONG_LEFT: &[&str] = &[
    "crate::config::syntax::explain",
    "crate::runtime::build",
    "crate::source::aws::error::answered",
    "crate::state::postgres::place::known",
];

/// All crates, in the order of their roots.
pub static CRATES: LazyLock<Vec<Modules>> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    ROOTS
        .iter()
        .map(|root| Modules::of(&here.join(root)))
        .collect()
});

/// Fails with what is found and not excused, and with what is excused and not found.
fn only_excused(found: &BTreeMap<String, String>, excused: &[&str], advice: &str) {
    let new: Vec<&String> = found
        .iter()
        .filter(|(name, _)| !excused.contains(&name.as_str()))
        .map(|(_, what)| what)
        .collect();
    assert!(new.is_empty(), "{advice}:\n{new:#?}");
    for name in excused {
        assert!(
            found.contains_key(*name),
            "{name} is excused and is well: shorten the list"
        );
    }
}

#[test]
fn modules_form_no_circles() {
    let mut found = BTreeMap::new();
    for modules in CRATES.iter() {
        let edges = modules.edges();
        for circle in circles(&edges) {
            let area = CIRCLES_LEFT.iter().find(|area| {
                let below = format!("{area}::");
                circle
                    .iter()
                    .all(|path| path == *area || path.starts_with(&below))
            });
            let name = area.or(circle.first()).expect("a module");
            let within = edges.iter().filter(|((from, to), _)| {
                circle.contains(from.as_str()) && circle.contains(to.as_str())
            });
            let lines: Vec<String> = within
                .map(|((from, to), by)| format!("{from} names {to}: {by}"))
                .collect();
            found.insert((*name).to_owned(), lines.join("; "));
        }
    }
    only_excused(
        &found,
        CIRCLES_LEFT,
        "modules that need each other; move what both need to a third",
    );
}

#[test]
fn the_methods_of_a_type_are_in_two_files_at_most() {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for modules in CRATES.iter() {
        for (path, module) in modules.iter() {
            for name in types_with_methods(&module.tokens) {
                let name = modules.full_name(path, &name);
                let file = module.file.display().to_string();
                files.entry(name).or_default().insert(file);
            }
        }
    }
    let spread = files.into_iter().filter(|(_, files)| files.len() > 2);
    let found = spread
        .map(|(name, files)| (name.clone(), format!("{name}: {files:?}")))
        .collect();
    only_excused(
        &found,
        SPREAD_LEFT,
        "types in slices; find the types that are hidden in them",
    );
}

#[test]
fn a_function_fits_on_a_screen() {
    let mut found = BTreeMap::new();
    for modules in CRATES.iter() {
        for (path, module) in modules.iter() {
            for function in functions(&module.tokens) {
                let name = format!("{path}::{}", function.name);
                let (file, line) = (module.file.display(), function.line);
                let what = format!("{name}: {} lines, {file}:{line}", function.lines);
                if function.lines > A_SCREEN {
                    found.insert(name, what);
                }
            }
        }
    }
    only_excused(
        &found,
        LONG_LEFT,
        "functions longer than a screen; two thoughts in one?",
    );
}
