//! Values that are recognised wherever they turn up, and the search for them.

use std::collections::HashMap;
use std::path::Path;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::RngExt as _;

use crate::support::get;
use crate::support::rotator::Rotator;

/// A piece this long of a secret, or of an encoding of it, is a leak. Bytes.
const PIECE: usize = 12;

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// `length` random letters and digits.
pub fn random(length: usize) -> String {
    let mut random = rand::rng();
    let letter = || char::from(LETTERS[random.random_range(0..LETTERS.len())]);
    std::iter::repeat_with(letter).take(length).collect()
}

/// As an API key, with signs that JSON, URLs and HTML write in another way.
pub fn key(prefix: &str) -> String {
    format!("{prefix}{}/+%&=\"<\\{}", random(20), random(24))
}

/// What is looked for.
#[derive(Default)]
pub struct Search {
    /// Each piece, in lower case, and what it is a piece of.
    pieces: HashMap<[u8; PIECE], String>,
}

/// Everything that was said, each with where.
#[derive(Default)]
pub struct Said(Vec<(String, Vec<u8>)>);

impl Search {
    /// Looks for these too.
    pub fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= PIECE, "{what} is too short to be found");
        for (form, text) in forms(secret) {
            for piece in pieces(&text) {
                let entry = self.pieces.entry(piece);
                entry.or_insert_with(|| format!("{what}, {form}"));
            }
        }
    }

    /// Looks for these too, and gives the last for use.
    pub fn canary(&mut self, what: &str, secret: String) -> String {
        self.add(what, &secret);
        secret
    }

    /// What of it is in `bytes`.
    pub fn found(&self, bytes: &[u8]) -> Option<&str> {
        let found = pieces(bytes).find_map(|piece| self.pieces.get(&piece));
        found.map(String::as_str)
    }

    /// Fails with every place where something is.
    pub fn nothing_in(&self, said: &Said) {
        let leaks: Vec<String> = said
            .0
            .iter()
            .filter_map(|(place, bytes)| {
                let what = self.found(bytes)?;
                Some(format!("{what}, in {place}{}", self.around(bytes)))
            })
            .collect();
        assert!(leaks.is_empty(), "leaks:\n{}", leaks.join("\n"));
    }

    /// The line of the first find.
    fn around(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let line = text
            .lines()
            .find(|line| self.found(line.as_bytes()).is_some());
        line.map_or_else(String::new, |line| format!(": {line:.600}"))
    }
}

impl Said {
    pub fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// Fails with every place in which a word is, in any case.
    pub fn nowhere(&self, word: &str) {
        let is_there = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).to_lowercase();
            text.contains(word)
        };
        let places = self.0.iter().filter(|(_, bytes)| is_there(bytes));
        let places: Vec<_> = places.map(|(place, _)| place).collect();
        assert!(places.is_empty(), "{word} is in {places:?}");
    }

    /// What a command printed.
    pub fn output(&mut self, command: &[&str], output: Output) {
        let command = command.join(" ");
        self.add(format!("`{command}`, standard output"), output.stdout);
        self.add(format!("`{command}`, standard error"), output.stderr);
    }

    /// An answer with its headers.
    pub async fn page(&mut self, url: &str) {
        let answer = get(url).await.expect("an answer");
        let head = format!("{} {:?}", answer.status(), answer.headers());
        self.add(format!("{url}, its head"), head);
        self.add(url, answer.bytes().await.expect("a body"));
    }

    /// Every file of a rotator's directory, but those that `given` names, in which the test itself
    /// put secrets; all names too. Says which files were read.
    pub fn files(&mut self, rotator: &Rotator, given: &[&str]) -> Vec<String> {
        let mut read = Vec::new();
        let mut left = vec![rotator.path().to_owned()];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                let name = relative(rotator, &path);
                self.add("a file's name", name.clone());
                if given.contains(&name.as_str()) {
                    continue;
                }
                if path.is_dir() {
                    left.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    self.add(format!("the file {name}"), bytes);
                    read.push(name);
                }
            }
        }
        read
    }
}

fn relative(rotator: &Rotator, path: &Path) -> String {
    let below = path.strip_prefix(rotator.path()).expect("below");
    below.display().to_string()
}

fn pieces(bytes: &[u8]) -> impl Iterator<Item = [u8; PIECE]> {
    bytes.windows(PIECE).map(|window| {
        let mut piece = [0; PIECE];
        piece.copy_from_slice(window);
        piece.make_ascii_lowercase();
        piece
    })
}

/// A secret, and what usually becomes of one on its way into a text.
fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let json = serde_json::to_string(secret).expect("a text");
    let query: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let path: String = bytes.iter().map(|byte| percent(*byte)).collect();
    let mut forms = vec![
        ("plain", bytes.to_vec()),
        ("in hex", hex.into_bytes()),
        ("as a list of bytes", format!("{bytes:?}").into_bytes()),
        ("in JSON", json.clone().into_bytes()),
        ("in JSON in JSON", json.replace('\\', "\\\\").into_bytes()),
        ("in a query", query.into_bytes()),
        ("in a path", path.into_bytes()),
        ("in HTML", html(secret).into_bytes()),
    ];
    // What stands before it shifts a text in base64 in one of three ways.
    for (before, skip) in [(0, 0), (1, 2), (2, 3)] {
        let shifted = [&vec![0; before], bytes].concat();
        let standard = STANDARD.encode(&shifted);
        forms.push(("in base64", standard.as_bytes()[skip..].to_vec()));
        let url_safe = URL_SAFE_NO_PAD.encode(&shifted);
        forms.push(("in base64url", url_safe.as_bytes()[skip..].to_vec()));
    }
    forms
}

fn percent(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    }
}

fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('"', "&quot;")
}

/// All the ways in which a careless server may repeat a text.
pub fn echoes(secret: &str) -> String {
    let middle: String = secret.chars().skip(3).take(PIECE + 4).collect();
    let mut all = vec![secret.to_owned(), middle.clone()];
    for part in [secret, &middle] {
        for (_, form) in forms(part) {
            all.push(String::from_utf8_lossy(&form).into_owned());
        }
    }
    all.join(" ")
}

/// A search that finds nothing anywhere would prove nothing.
#[test]
fn the_search_finds_what_is_there() {
    let secret = key("sk-proj-");
    let mut search = Search::default();
    search.add("the secret", &secret);
    let middle = &secret[5..5 + PIECE];
    for (form, text) in forms(&secret) {
        let line = [&b"before "[..], &text, b" after"].concat();
        assert!(search.found(&line).is_some(), "{form}");
    }
    for line in [
        format!("x{middle}x"),
        middle.to_uppercase(),
        STANDARD.encode(format!("{{\"api_key\":\"{secret}\"}}")),
        STANDARD.encode(format!(".{{\"api_key\":\"{secret}\"}}")),
        STANDARD.encode(format!("..{{\"api_key\":\"{secret}\"}}")),
        format!("{:?}", secret.as_bytes()),
    ] {
        assert!(search.found(line.as_bytes()).is_some(), "{line}");
    }
    for line in [
        &middle[..PIECE - 1],
        "nothing of it is here",
        &key("sk-proj-")[4..],
    ] {
        assert_eq!(search.found(line.as_bytes()), None, "{line}");
    }
}

/// The same of the search through files, and through outputs.
#[test]
fn the_search_finds_what_is_in_a_file() {
    let rotator = Rotator::new("http://127.0.0.1:1", "");
    let mut search = Search::default();
    let secret = search.canary("the secret", key("sk-proj-"));
    let inside = |given: &[&str]| {
        let mut said = Said::default();
        said.files(&rotator, given);
        std::panic::catch_unwind(|| search.nothing_in(&said)).is_err()
    };
    rotator.put("a", &secret);
    assert!(inside(&[]));
    assert!(!inside(&["secrets"]));
    std::fs::write(
        rotator.path().join("state.db"),
        [b"\0\x01", secret.as_bytes()].concat(),
    )
    .expect("written");
    assert!(inside(&["secrets"]));
    std::fs::remove_file(rotator.path().join("state.db")).expect("removed");
    std::fs::write(rotator.path().join(&secret[8..24]), "").expect("written");
    assert!(inside(&["secrets"]), "a file's name counts");
}
