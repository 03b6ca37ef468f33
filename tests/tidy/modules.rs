//! The modules of a crate, and which of them names which: what `use`, `crate::…`, `super::…` and the
//! name of a submodule say. A name that a module passes on (`pub use child::Name`) is the child's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::code::{Token, all_tokens, closing, is_word, tokens};

/// The modules of one crate that are compiled into the program, by path: `crate::cli::status`.
pub struct Modules(BTreeMap<String, Module>);

pub struct Module {
    pub file: PathBuf,
    pub tokens: Vec<Token>,
    imports: Vec<Import>,
    /// The paths in its code, other than imports: `super::words::shown`.
    paths: BTreeSet<String>,
    /// Each word in its code, other than imports.
    words: BTreeSet<String>,
}

struct Import {
    is_public: bool,
    path: String,
    name: String,
}

/// The pairs of modules of which one names something of the other, with the first such name.
pub type Edges = BTreeMap<(String, String), String>;

impl Modules {
    /// Reads what is compiled into the program of the crate whose root is `file`.
    pub fn of(file: &Path) -> Self {
        let mut modules = Self(BTreeMap::new());
        modules.read("crate", file, file.parent().expect("a folder"), tokens);
        modules
    }

    /// Reads the crate whose root is `file`, with its unit tests.
    pub fn with_tests(file: &Path) -> Self {
        let mut modules = Self(BTreeMap::new());
        modules.read("crate", file, file.parent().expect("a folder"), all_tokens);
        modules
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Module)> {
        self.0.iter().map(|(path, module)| (path.as_str(), module))
    }

    /// Reads the module `path`, whose submodules are below `folder`.
    fn read(&mut self, path: &str, file: &Path, folder: &Path, tokens: fn(&str) -> Vec<Token>) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let module = Module::of(file, tokens(&text));
        let declared = submodules(&module.tokens);
        self.0.insert(path.to_owned(), module);
        for name in declared {
            let path = format!("{path}::{name}");
            if let Some(named) = named_file(&text, &name) {
                let file = file.with_file_name(named);
                self.read(&path, &file, file.parent().expect("a folder"), tokens);
                continue;
            }
            let below = folder.join(&name);
            let plain = folder.join(format!("{name}.rs"));
            let file = if plain.exists() {
                plain
            } else {
                below.join("mod.rs")
            };
            self.read(&path, &file, &below, tokens);
        }
    }

    /// Returns which modules name something of which.
    pub fn edges(&self) -> Edges {
        let mut found = Edges::new();
        for (from, module) in &self.0 {
            let used = module
                .imports
                .iter()
                .filter(|import| !import.is_public || module.words.contains(&import.name))
                .map(|import| &import.path);
            for by in used.chain(&module.paths) {
                if let Some(to) = self.absolute(from, by).map(|path| self.owner(&path))
                    && to != *from
                {
                    found
                        .entry((from.clone(), to))
                        .or_insert_with(|| by.clone());
                }
            }
        }
        found
    }

    /// Returns the full path of the type that the module `from` calls `name`.
    pub fn full_name(&self, from: &str, name: &str) -> String {
        let imports = &self.0[from].imports;
        let import = imports.iter().find(|import| import.name == name);
        match import.and_then(|import| self.absolute(from, &import.path)) {
            Some(path) => format!("{}::{name}", self.owner(&path)),
            None => format!("{from}::{name}"),
        }
    }

    /// Returns `path` as it is written in the module `from`, beginning with `crate`; nothing if it is of another crate.
    fn absolute(&self, from: &str, path: &str) -> Option<String> {
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        let base = match first {
            "crate" => "crate".to_owned(),
            "self" => from.to_owned(),
            "super" => from.rsplit_once("::")?.0.to_owned(),
            name if self.0.contains_key(&format!("{from}::{name}")) => format!("{from}::{name}"),
            name => {
                let imports = &self.0[from].imports;
                let import = imports.iter().find(|import| import.name == name)?;
                let is_elsewhere = import.path.split("::").next() == Some(name);
                (!is_elsewhere).then(|| self.absolute(from, &import.path))??
            }
        };
        match rest.strip_prefix("super") {
            Some(rest) if first == "super" => self.absolute(&base, &format!("super{rest}")),
            _ if rest.is_empty() => Some(base),
            _ => Some(format!("{base}::{rest}")),
        }
    }

    /// Returns the module that an absolute path leads to, past each module that passes its name on.
    fn owner(&self, path: &str) -> String {
        let mut module = "crate".to_owned();
        let mut names = path.split("::").skip(1);
        while let Some(name) = names.next() {
            let below = format!("{module}::{name}");
            if self.0.contains_key(&below) {
                module = below;
                continue;
            }
            let mut imports = self.0[&module].imports.iter();
            let passed_on = imports
                .find(|import| import.name == name)
                .and_then(|import| self.absolute(&module, &import.path));
            return match passed_on {
                Some(path) => self.owner(&names.fold(path, |path, name| format!("{path}::{name}"))),
                None => module,
            };
        }
        module
    }
}

impl Module {
    fn of(file: &Path, tokens: Vec<Token>) -> Self {
        let mut module = Self {
            file: file.to_owned(),
            imports: Vec::new(),
            paths: BTreeSet::new(),
            words: BTreeSet::new(),
            tokens: Vec::new(),
        };
        let mut at = 0;
        while at < tokens.len() {
            let end = at
                + tokens[at..]
                    .iter()
                    .position(|token| token.text == ";")
                    .unwrap_or(0);
            match tokens[at].text.as_str() {
                // Not `use<…>`, which says what an opaque type borrows.
                "use" if tokens[at + 1].text != "<" => {
                    let before = at.checked_sub(1).map(|before| tokens[before].text.as_str());
                    let is_public = matches!(before, Some("pub" | ")"));
                    module.import("", &tokens[at + 1..end], is_public);
                    at = end;
                }
                "mod" => at = end.min(at + 2),
                word if is_word(word) => {
                    let end = end_of_path(&tokens, at);
                    let path: String = tokens[at..end].iter().map(|token| &*token.text).collect();
                    module.words.extend(path.split("::").map(str::to_owned));
                    if path.contains("::") {
                        module.paths.insert(path);
                    }
                    at = end;
                }
                _ => at += 1,
            }
        }
        module.tokens = tokens;
        module
    }

    /// Takes down what a tree of imports below `prefix` names. A glob names nothing: only modules
    /// within a file have one, and it is of that file.
    fn import(&mut self, prefix: &str, tree: &[Token], is_public: bool) {
        let brace = tree.iter().position(|token| token.text == "{");
        let path: String = tree[..brace.unwrap_or(tree.len())]
            .iter()
            .take_while(|token| token.text != "as")
            .map(|token| &*token.text)
            .collect();
        let path = format!("{prefix}{path}");
        let Some(brace) = brace else {
            let path = path.strip_suffix("::self").unwrap_or(&path);
            let name = tree.last().map_or("", |token| &*token.text);
            let last = path.rsplit("::").next().unwrap_or_default();
            let name = if name == "self" { last } else { name };
            if name != "*" && !path.is_empty() {
                self.imports.push(Import {
                    is_public,
                    path: path.to_owned(),
                    name: name.to_owned(),
                });
            }
            return;
        };
        let end = closing(tree, brace);
        let mut begin = brace + 1;
        for at in brace + 1..=end {
            let inner = &tree[begin..at];
            let opened = inner.iter().filter(|token| token.text == "{").count();
            let closed = inner.iter().filter(|token| token.text == "}").count();
            if opened == closed && (at == end || tree[at].text == ",") {
                self.import(&path, inner, is_public);
                begin = at + 1;
            }
        }
    }
}

/// Returns the names of the modules that are declared, and stand in files of their own.
fn submodules(tokens: &[Token]) -> Vec<String> {
    tokens
        .windows(3)
        .filter(|three| three[0].text == "mod" && three[2].text == ";")
        .map(|three| three[1].text.clone())
        .collect()
}

/// Returns the file that `#[path]` gives the module `name`.
fn named_file<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let declared = format!("mod {name};");
    let mut before = text.lines().take_while(|line| !line.ends_with(&declared));
    let mut named = None;
    for line in &mut before {
        let path = line
            .strip_prefix("#[path = \"")
            .and_then(|rest| rest.strip_suffix("\"]"));
        named = path.or(named.filter(|_| !line.is_empty() && !line.ends_with([';', '}'])));
    }
    named
}

fn end_of_path(tokens: &[Token], at: usize) -> usize {
    let mut end = at + 1;
    while end + 1 < tokens.len() && tokens[end].text == "::" && is_word(&tokens[end + 1].text) {
        end += 2;
    }
    end
}

/// Returns each group of modules that lead to each other.
pub fn circles(edges: &Edges) -> Vec<BTreeSet<&str>> {
    let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        named.entry(from).or_default().insert(to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = named
        .keys()
        .map(|begin| (*begin, reachable(&named, begin)))
        .collect();
    let mut found: Vec<BTreeSet<&str>> = Vec::new();
    for (module, beyond) in &reached {
        if beyond.contains(module) && !found.iter().any(|circle| circle.contains(module)) {
            let circle = beyond.iter().filter(|other| {
                let back = reached.get(*other);
                back.is_some_and(|back| back.contains(module))
            });
            found.push(circle.copied().collect());
        }
    }
    found
}

/// Returns the modules that `begin` leads to, itself only if it is in a circle.
fn reachable<'a>(
    named: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    begin: &'a str,
) -> BTreeSet<&'a str> {
    let mut left = vec![begin];
    let mut seen = BTreeSet::new();
    while let Some(module) = left.pop() {
        let next = named.get(module).into_iter().flatten();
        left.extend(next.filter(|next| seen.insert(**next)));
    }
    seen
}
