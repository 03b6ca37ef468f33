//! Modules form no circles, the methods of a type stand together, and a function fits on a screen. Unit tests and the
//! simulations that they run are not held to this.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::files;
use super::modules::{Modules, circles};
use super::shape::{functions, types_with_methods};

/// The roots of all crates: those of which the program is made, and the benchmarks.
const ROOTS: [&str; 8] = [
    "src/lib.rs",
    "src/main.rs",
    "crates/core/src/lib.rs",
    "crates/malloc/src/lib.rs",
    "crates/sandbox/src/lib.rs",
    "benches/compare/main.rs",
    "benches/daemon/main.rs",
    "benches/simulation/main.rs",
];

/// The roots of the tests that run the program.
const TEST_ROOTS: [&str; 3] = [
    "tests/all.rs",
    "tests/network/main.rs",
    "tests/page/main.rs",
];

/// How many of the roots are part of the program.
const SHIPPED: usize = 5;

/// The most lines of a function.
const A_SCREEN: usize = 60;

/// The crates of which the program is made.
pub fn shipped() -> &'static [Modules] {
    &CRATES[..SHIPPED]
}

/// All crates, in the order of their roots.
static CRATES: LazyLock<Vec<Modules>> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    ROOTS
        .iter()
        .map(|root| Modules::of(&here.join(root)))
        .collect()
});

/// Fails with what is found.
fn none(found: &BTreeMap<String, String>, advice: &str) {
    assert!(found.is_empty(), "{advice}:\n{:#?}", found.values());
}

/// A file that no `mod` names is not compiled, and a test in it holds nothing.
#[test]
fn every_file_is_a_module_of_a_crate() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named: BTreeSet<PathBuf> = ROOTS
        .iter()
        .chain(&TEST_ROOTS)
        .flat_map(|root| {
            let modules = Modules::with_tests(&here.join(root));
            let files = modules.iter().map(|(_, module)| module.file.canonicalize());
            files.collect::<Result<Vec<_>, _>>().expect("files")
        })
        .collect();
    for file in ["src", "crates", "tests", "benches"]
        .into_iter()
        .flat_map(files)
    {
        let file = file.canonicalize().expect("a file");
        assert!(named.contains(&file), "no `mod` names {}", file.display());
    }
}

#[test]
fn modules_form_no_circles() {
    let mut found = BTreeMap::new();
    for modules in CRATES.iter() {
        let edges = modules.edges();
        for circle in circles(&edges) {
            let name = circle.first().expect("a module");
            let within = edges.iter().filter(|((from, to), _)| {
                circle.contains(from.as_str()) && circle.contains(to.as_str())
            });
            let lines: Vec<String> = within
                .map(|((from, to), by)| format!("{from} names {to}: {by}"))
                .collect();
            found.insert((*name).to_owned(), lines.join("; "));
        }
    }
    none(
        &found,
        "modules that need each other; move what both need to a third",
    );
}

#[test]
fn the_methods_of_a_type_are_in_two_files_at_most() {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (root, modules) in ROOTS.iter().zip(CRATES.iter()) {
        for (path, module) in modules.iter() {
            for name in types_with_methods(&module.tokens) {
                let name = format!("{} of {root}", modules.full_name(path, &name));
                let file = module.file.display().to_string();
                files.entry(name).or_default().insert(file);
            }
        }
    }
    let spread = files.into_iter().filter(|(_, files)| files.len() > 2);
    let found = spread
        .map(|(name, files)| (name.clone(), format!("{name}: {files:?}")))
        .collect();
    none(
        &found,
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
    none(
        &found,
        "functions longer than a screen; two thoughts in one?",
    );
}
