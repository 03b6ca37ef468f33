//! Recognition of texts that must not be repeated: names given by a user that may be a misplaced secret, and
//! texts of a server that contain what it was sent.
//!
//! Error messages name a variable, a field or an id. If a user writes `{ env = "sk-…" }`, or a server names
//! something after the secret that it was given, this name is the secret.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::Url;
use zeroize::{Zeroize, Zeroizing};

use crate::words::is_word as is_known_word;

/// The replacement for a text that is not shown.
pub const MASK: &str = "…";

/// The prefixes of keys and tokens, in lower case.
const BEGINNINGS: [&str; 30] = [
    "sk-",
    "sk_",
    "akia",
    "aiza",
    "eyj",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "glsa_",
    "xox",
    "hvs.",
    "hvb.",
    "hvr.",
    "gsk_",
    "ya29.",
    "gocspx-",
    "xai-",
    "pplx-",
    "nvapi-",
    "csk-",
    "tgp_v1_",
    "rk_live_",
    "whsec_",
    "dop_v1_",
    "pypi-",
    "age-secret-key-",
];
/// Further prefixes of keys and tokens. Names may begin with them too (`HF_TOKEN`, `asia-east1`), so they
/// count only if at least [`RANDOM`] letters and digits follow.
const BEGINNINGS_OF_NAMES: [&str; 9] = [
    "asia", "abia", "acca", "absk", "dapi", "hf_", "npm_", "fw_", "r8_",
];
/// The length in characters from which on a piece of a secret must not be shown.
pub const PIECE: usize = 8;
/// The length in bytes from which on a part of a name may be random.
const RANDOM: usize = 12;
/// The length in bytes from which on a part of a name is suspicious: people separate words before that.
const LONGEST_PART: usize = 20;
/// The length in bytes below which a text in one case is taken for a word.
const LONGEST_WORD: usize = 16;
/// The largest number of digits after a word.
const NUMBER: usize = 3;
/// The largest number of digits without a word: those of a date.
const DATE: usize = 8;
/// The number of changes between letters and digits from which on a part is random: no word has as many.
const SWITCHES: usize = 3;
/// The average length of words in bytes, also where they are writtenTogetherLikeThis.
const WORD: usize = 4;

/// Returns a user's name for something as messages may show it: [`MASK`] if it looks like a key or token.
pub fn shown(name: &str) -> &str {
    if may_be_a_secret(name) { MASK } else { name }
}

/// Returns `true` if a word has the prefix of a key or token.
pub fn begins_like_a_key(word: &str) -> bool {
    after_beginning(word).is_some()
}

/// Returns the rest of a word after the prefix of a key or token.
fn after_beginning(word: &str) -> Option<&str> {
    let lower = Zeroizing::new(word.to_ascii_lowercase());
    let is_random = |rest: &str| {
        let letters = rest.bytes().take_while(u8::is_ascii_alphanumeric);
        letters.count() >= RANDOM
    };
    let certain =
        |beginning: &&&str| lower.len() > beginning.len() + 3 && lower.starts_with(**beginning);
    let of_name = |beginning: &&&str| lower.strip_prefix(**beginning).is_some_and(is_random);
    let beginning = BEGINNINGS.iter().find(certain);
    let beginning = beginning.or_else(|| BEGINNINGS_OF_NAMES.iter().find(of_name))?;
    word.get(beginning.len()..)
}

/// Returns `true` if any word in a name has the prefix of a key or token.
pub fn has_a_key(name: &str) -> bool {
    beginnings(name).any(begins_like_a_key)
}

/// Returns `true` if a text contains a key or token: such a prefix, followed by more than plain words. A name
/// that merely has the prefix (`xai-prod`, `sk-openai-2`) does not count.
pub fn is_a_key(text: &str) -> bool {
    let is_of_a_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    beginnings(text).filter_map(after_beginning).any(|rest| {
        let end = rest.find(|c| !is_of_a_key(c)).unwrap_or(rest.len());
        parts(&rest[..end]).any(|part| !is_of_a_name(part))
    })
}

/// Returns `true` if a text has a part as long and random as only keys, tokens and digests have.
pub fn is_long_and_random(text: &str) -> bool {
    parts(text).any(|part| part.len() >= LONGEST_PART && is_jumbled(part))
}

/// Returns `true` if a part of a name is a word in one case or consists of known words, possibly with a
/// number at its end, or is a date.
fn is_of_a_name(part: &str) -> bool {
    let word = part.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = part.len() - word.len();
    let is_lower = word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_upper = word.bytes().all(|byte| byte.is_ascii_uppercase());
    match word.is_empty() {
        true => digits <= DATE,
        false => {
            let is_word = (is_lower || is_upper) && word.len() < LONGEST_WORD;
            digits <= NUMBER && (is_word || is_known_word(word))
        }
    }
}

/// Iterates over the suffixes of a text that start at the beginning of a word.
fn beginnings(text: &str) -> impl Iterator<Item = &str> {
    let mut before = None;
    text.char_indices().filter_map(move |(at, c)| {
        let begins = !before.replace(c).is_some_and(char::is_alphanumeric);
        begins.then(|| &text[at..])
    })
}

fn may_be_a_secret(name: &str) -> bool {
    has_a_key(name) || parts(name).any(is_random)
}

/// Iterates over the runs of letters and digits in a name.
pub fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric())
}

/// Returns `true` if a part is random, such as `hQ7vN2kz9LmX` and `fMCtKjFRYoCcMi`, unlike `openai`, `2026`
/// and `SecretAccessKey`.
fn is_random(part: &str) -> bool {
    part.len() >= RANDOM && (switches(part) >= SWITCHES || is_jumbled(part))
        || part.len() >= LONGEST_PART && !is_known_word(part)
}

/// Returns `true` if a part changes between lower and upper case, or between letters and digits, more often
/// than a name of its length does.
pub fn is_jumbled(part: &str) -> bool {
    let hump = |pair: &&[u8]| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase();
    let humps = part.as_bytes().windows(2).filter(hump).count();
    (switches(part) + humps) * WORD >= part.len()
}

fn switches(part: &str) -> usize {
    let switch = |pair: &&[u8]| pair[0].is_ascii_digit() != pair[1].is_ascii_digit();
    part.as_bytes().windows(2).filter(switch).count()
}

/// The pieces of some secrets, plain, encoded and reversed, to be searched for in many texts. Secrets that
/// are shorter than a piece are left out, because any text may contain them by chance.
pub struct Pieces(HashSet<[char; PIECE]>);

impl Pieces {
    /// Creates the pieces of these secrets.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let long = |secret: &&str| secret.chars().count() >= PIECE;
        let mut pieces = Self(HashSet::new());
        for secret in secrets.into_iter().filter(long) {
            let backwards = Zeroizing::new(secret.chars().rev().collect::<String>());
            for form in forms(secret).into_iter().chain([backwards]) {
                let form = Zeroizing::new(folded(&form));
                pieces.add(&form);
                pieces.add(&Zeroizing::new(letters(&form)));
            }
        }
        pieces
    }

    fn add(&mut self, form: &[char]) {
        self.0.extend(form.windows(PIECE).map(|window| {
            let mut piece = ['\0'; PIECE];
            piece.copy_from_slice(window);
            piece
        }));
    }

    /// Returns `true` if `text` contains one of the pieces, ignoring case and anything between the letters
    /// and digits.
    pub fn are_in(&self, text: &str) -> bool {
        let text = folded(text);
        let has = |text: &[char]| text.windows(PIECE).any(|window| self.0.contains(window));
        has(&text) || has(&letters(&text))
    }
}

fn letters(text: &[char]) -> Vec<char> {
    let text = text.iter().copied();
    text.filter(|c| c.is_alphanumeric()).collect()
}

impl Drop for Pieces {
    fn drop(&mut self) {
        for mut piece in self.0.drain() {
            piece.zeroize();
        }
    }
}

fn folded(text: &str) -> Vec<char> {
    text.chars().map(|c| c.to_ascii_lowercase()).collect()
}

/// Returns a secret in the forms in which JSON, URLs, HTML, dumps and base64 contain it, and as it is. A
/// secret shorter than [`PIECE`] has no other forms: their pieces would be found anywhere.
pub fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    let mut forms = vec![secret.to_owned()];
    if secret.chars().count() >= PIECE {
        let bytes = secret.as_bytes();
        forms.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        forms.push(format!("{bytes:?}"));
        forms.push(bytes.iter().map(|byte| percent(*byte)).collect());
        forms.push(secret.escape_default().to_string());
        forms.push(secret.chars().map(entity).collect());
        // The bytes before a text shift its base64 in one of three ways.
        for (before, skip) in [(0, 0), (1, 2), (2, 3)] {
            let shifted = Zeroizing::new([&vec![0; before], bytes].concat());
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let mut encoded = engine.encode(&*shifted);
                encoded.drain(..skip);
                forms.push(encoded);
            }
        }
    }
    forms.into_iter().map(Zeroizing::new).collect()
}

fn percent(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    }
}

fn entity(c: char) -> String {
    match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        plain => plain.to_string(),
    }
}

/// Marks in `masked` every run of [`PIECE`] characters of `words` that occurs in the secret, ignoring case.
/// If the secret is shorter, marks its occurrences as a whole.
pub fn mask_pieces(words: &[char], secret: &[char], masked: &mut [bool]) {
    let size = PIECE.min(secret.len());
    if size == 0 || size > words.len() {
        return;
    }
    let fold = |text: &[char]| -> Vec<char> { text.iter().map(char::to_ascii_lowercase).collect() };
    let mut secret = fold(secret);
    let words = fold(words);
    let pieces: HashSet<_> = secret.windows(size).collect();
    for (start, window) in words.windows(size).enumerate() {
        if pieces.contains(window) {
            masked[start..start + size].fill(true);
        }
    }
    drop(pieces);
    secret.zeroize();
}

/// Returns the host and the port of a URL. Its other parts may be secret and are not shown.
pub fn host_and_port(url: &str) -> String {
    let Ok(url) = Url::parse(url) else {
        return String::new();
    };
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_and_keys_are_not() {
        for name in [
            "FLASHBACK_TOKEN_2",
            "SecretAccessKeyForProduction",
            "dbInstanceIdentifier",
            "openai-prod-2026-11-21",
            "apiKey20261121",
            "/llm/openai/key",
            "vault-2.eu-west-1.internal",
            "asia-southeast1-openai",
            "HF_TOKEN",
            "sk-1",
            "",
        ] {
            assert_eq!(shown(name), name);
        }
        for key in [
            "sk-proj-abcd",
            "sk_live_abcdef",
            "AKIAIOSFODNN7EXAMPLE",
            "hvs.CAESIJ",
            "ghp_abcdefgh",
            "a/hQ7vN2kz9LmX",
            "openai_sk-proj-abcd",
            "hf_aBcDeFgHiJkLmN",
            "qwzxvbnmkjhgfdsapoiu",
            "0f3a9c1b2d4e",
            "K7gNU3sdo0L0wNhqoVWhr3g6s1xYv72olRkE5s",
            "hvs-cvfMCtKjFRYoCcMiSvPW7Iyd",
        ] {
            assert_eq!(shown(key), MASK, "{key}");
        }
    }

    #[test]
    fn distinguishes_keys_from_names_with_the_same_prefix() {
        for key in [
            "sk-proj-a1b2c3d4",
            "llm/sk_live_canary5f1d",
            "AKIAIOSFODNN7EXAMPLE",
            "x=ghp_aBcDeFgH",
            "xoxb-123456789012-a",
        ] {
            assert!(is_a_key(key), "{key}");
        }
        for name in [
            "llm/xai-prod",
            "sk-openai-2",
            "pplx-2026",
            "sk-bratislava.example.com",
            "hf_token",
            "eyjafjallajokull",
        ] {
            assert!(!is_a_key(name), "{name}");
        }
        assert!(is_long_and_random("d41d8cd98f00b204e9800998ecf8427e"));
        for name in [
            "3b0c9a52-7d0f-4c53-9a7e-0d5b7c1f2a44",
            "ProductionOpenaiForTheTeamInBerlin",
        ] {
            assert!(!is_long_and_random(name), "{name}");
        }
    }

    #[test]
    fn a_secret_is_known_in_any_dress() {
        let secret = "correct+horse/battery&staple";
        for text in [
            "id-correct+horse-1".to_owned(),
            "CORRECT+HORSE".to_owned(),
            "x/%2Fbattery%26staple/y".to_owned(),
            "battery&amp;staple".to_owned(),
            "626174746572792673".to_owned(),
            format!("{:?}", b"battery"),
            STANDARD_NO_PAD.encode(format!("{{\"key\":\"{secret}\"}}")),
            URL_SAFE_NO_PAD.encode(format!(".{{\"key\":\"{secret}\"}}")),
            STANDARD_NO_PAD.encode(format!("..{{\"key\":\"{secret}\"}}")),
        ] {
            assert!(Pieces::of([secret]).are_in(&text), "{text}");
        }
        assert!(!Pieces::of([secret]).are_in("b7c1f2de-6c0e-4b59-9f0e-1d2c3b4a5968"));
        assert!(!Pieces::of(["short"]).are_in("a short one is in short words"));
    }
}
