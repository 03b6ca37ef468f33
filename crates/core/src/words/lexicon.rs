//! The known words, and the classification of the parts of a text.

use std::collections::HashSet;
use std::sync::LazyLock;

use zeroize::Zeroizing;

/// The length of the longest number, in digits: an HTTP status, a port, a PostgreSQL error code.
const DIGITS: usize = 5;
/// The length from which on a known word may contain a capital letter, as in `OAuth` and `OpenAI`.
const BRAND: usize = 5;

/// The units that may follow a number directly.
const UNITS: [&str; 9] = ["ms", "s", "m", "h", "d", "k", "kb", "mb", "gb"];

/// The known words.
pub(super) static KNOWN: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("known.txt").lines().collect());

/// A part of a chunk, with its number of letters and digits.
#[derive(Clone, Copy)]
pub(super) enum Piece {
    /// A known word, or several written together.
    Known(usize),
    /// A number or a single letter, which is harmless unless there is a row of them.
    Scrap(usize),
    /// Anything else.
    Unknown(usize),
}

impl Piece {
    /// Returns the number of letters and digits.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Known(size) | Self::Scrap(size) | Self::Unknown(size) => size,
        }
    }
}

/// Classifies one part of a chunk.
pub(super) fn piece(chars: &[char]) -> Piece {
    let length = chars.len();
    let word: Zeroizing<String> =
        Zeroizing::new(chars.iter().collect::<String>().replace('’', "'"));
    if is_scrap(&word) {
        Piece::Scrap(length)
    } else if is_word(&word) {
        Piece::Known(length)
    } else {
        Piece::Unknown(length)
    }
}

/// Matches `401`, `20s`, `x`.
fn is_scrap(word: &str) -> bool {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    match word.len() - rest.len() {
        0 => word.len() == 1 && word.is_ascii() && !KNOWN.contains(&*word.to_ascii_lowercase()),
        1..=DIGITS => rest.is_empty() || UNITS.contains(&rest),
        _ => false,
    }
}

/// Matches `unreachable`, `Unauthorized`, `API`, `can't`, `APIs` and `AccessDeniedException`, but not
/// `hQ7vN2kz9LmX`.
pub fn is_word(word: &str) -> bool {
    if !word.is_ascii() {
        return false;
    }
    let listed = |word: &str| KNOWN.contains(word.to_ascii_lowercase().as_str());
    let humps = humps(word);
    let is_upper = |word: &str| !word.bytes().any(|byte| byte.is_ascii_lowercase());
    let acronym = word.strip_suffix('s').filter(|word| is_upper(word));
    (humps.len() == 1 || humps.len() == 2 && word.len() >= BRAND) && listed(word)
        || acronym.is_some_and(listed)
        || word.strip_suffix("'s").is_some_and(is_word)
        || humps.iter().all(|hump| hump.len() >= 2 && listed(hump))
}

/// Splits words such as `AccessDeniedException`, `isKMSKey` and `OpenAI` at their capital letters.
fn humps(word: &str) -> Vec<&str> {
    let bytes = word.as_bytes();
    let starts = |at: &usize| {
        let (before, this, next) = (bytes[at - 1], bytes[*at], bytes.get(at + 1));
        this.is_ascii_uppercase()
            && (!before.is_ascii_uppercase() || next.is_some_and(u8::is_ascii_lowercase))
    };
    let mut parts = Vec::new();
    let mut start = 0;
    for at in (1..bytes.len()).filter(starts) {
        parts.push(&word[start..at]);
        start = at;
    }
    parts.push(&word[start..]);
    parts
}
