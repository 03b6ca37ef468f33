//! Takes out of a server's words what must not enter an error.
//!
//! A server may repeat what it was sent ("invalid key sk-…"), in whole or in part. Three nets, each
//! enough by itself for the usual case: what was sent is looked for piece by piece, what looks like
//! a key or token is masked whoever it belongs to, and what remains is cut short.

use zeroize::Zeroizing;

use crate::redact;

/// How much of a server's words is looked at.
const LOOKED_AT: usize = 4096;
/// How much of them is kept, in characters.
const KEPT: usize = 200;
/// A run of base64 or hexadecimal this long is taken for a credential.
const RUN: usize = 20;
const MASK: char = '…';

/// A server's words without what was `sent`, without anything that looks like a credential, without
/// control characters, and short.
pub(super) fn scrub(words: &str, sent: &[&str]) -> String {
    let words = plain(words);
    let mut masked = vec![false; words.len()];
    for form in sent.iter().flat_map(|credential| redact::forms(credential)) {
        redact::mask_pieces(&words, &Zeroizing::new(plain(&form)), &mut masked);
    }
    mask_tokens(&words, &mut masked);
    render(&words, &masked)
}

/// What remains of a server's words where what it may repeat is not known: words of a language, short
/// numbers and punctuation. A piece of a key is neither.
pub(super) fn words_only(words: &str) -> String {
    let words = plain(words);
    let mut masked = vec![false; words.len()];
    let part = |c: char| c.is_alphanumeric() || "-_+/=.~%&#;:@\\".contains(c);
    let mut start = 0;
    while start < words.len() {
        let length = words[start..].iter().take_while(|c| part(**c)).count();
        let word: String = words[start..start + length].iter().collect();
        let bare = word.trim_end_matches(['.', ':', ';']);
        if !bare.split(['-', '/']).all(of_a_language) {
            masked[start..start + length].fill(true);
        }
        start += length.max(1);
    }
    render(&words, &masked)
}

/// `unreachable`, `Unauthorized`, `API` and `401`, but not `hQ7vN2kz9LmX`.
fn of_a_language(word: &str) -> bool {
    let rest = word.get(1..).unwrap_or_default();
    let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    let upper = word.bytes().all(|byte| byte.is_ascii_uppercase());
    let number = word.bytes().all(|byte| byte.is_ascii_digit());
    let begins = word.bytes().all(|byte| byte.is_ascii_alphabetic());
    (begins && lower(rest) && word.len() <= RUN)
        || (upper && word.len() < redact::PIECE)
        || (number && word.len() <= 3)
}

/// The characters that people can see; any white space is a blank.
fn plain(text: &str) -> Vec<char> {
    text.chars()
        .take(LOOKED_AT)
        .filter_map(|c| match c {
            c if c.is_whitespace() => Some(' '),
            c if c.is_control() || invisible(c) => None,
            c => Some(c),
        })
        .collect()
}

/// Zero-width and direction marks: they would hide a piece from a comparison, and lines from a
/// reader.
fn invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Masks what looks like a key or a token, whoever it belongs to.
fn mask_tokens(words: &[char], masked: &mut [bool]) {
    let part = |c: char| c.is_ascii_alphanumeric() || "-_+/=.~".contains(c);
    let mut after_bearer = false;
    let mut start = 0;
    while start < words.len() {
        if !part(words[start]) {
            after_bearer &= matches!(words[start], ' ' | ':' | '"' | '\'');
            start += 1;
            continue;
        }
        let length = words[start..].iter().take_while(|c| part(**c)).count();
        let word: String = words[start..start + length].iter().collect();
        if after_bearer || credential_like(&word) {
            masked[start..start + length].fill(true);
        }
        after_bearer = word.eq_ignore_ascii_case("bearer");
        start += length;
    }
}

fn credential_like(word: &str) -> bool {
    // `key=sk-…` and `…/sk-…` are one word here.
    word.split(['=', '/'])
        .chain([word])
        .any(redact::begins_like_a_key)
        || word
            .split(['.', '~'])
            .any(|run| run.len() >= RUN && mixed(run))
}

/// Tells `K7gNU3sdo+OL0wNhqoVW` from `invalid_provider_credentials`.
fn mixed(run: &str) -> bool {
    let has = |class: fn(&char) -> bool| run.chars().any(|c| class(&c));
    has(char::is_ascii_digit) || has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase)
}

/// One mask for each masked stretch.
fn render(words: &[char], masked: &[bool]) -> String {
    let mut shown: Vec<char> = Vec::with_capacity(words.len());
    let mut in_mask = false;
    for (c, hidden) in words.iter().zip(masked) {
        if !hidden {
            shown.push(*c);
        } else if !in_mask {
            shown.push(MASK);
        }
        in_mask = *hidden;
    }
    let text: String = shown.iter().take(KEPT).collect();
    let text = text.trim();
    if shown.len() > KEPT {
        format!("{text}{MASK}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    #[test]
    fn only_words_of_a_language_remain() {
        let said =
            "Validation failed: Invalid API key or endpoint unreachable. Error: 401 Unauthorized";
        assert_eq!(words_only(said), said);
        for piece in [
            "hQ7vN2kz9LmX",
            "proj-Ab3",
            "oj-zq81x",
            "Zm9vYmFy",
            "a1",
            "%6b%65",
            "&#x6b;",
        ] {
            assert_eq!(words_only(&format!("no {piece} here")), "no … here");
        }
    }

    use super::*;

    #[test]
    fn plain_words_stay() {
        let words = "Name 'Production OpenAI' already exists in this workspace (invalid_provider_credentials)";
        assert_eq!(scrub(words, &["sk-something"]), words);
        assert_eq!(scrub("a\nb\u{1b}[31m\u{202e}c", &[]), "a b[31mc");
    }

    #[test]
    fn what_was_sent_goes_in_whole_in_part_and_in_another_case() {
        let secret = "correct horse battery";
        assert_eq!(
            scrub("no correct horse battery here", &[secret]),
            "no … here"
        );
        assert_eq!(scrub("ends in HORSE BATTERY!", &[secret]), "ends in…!");
        assert_eq!(scrub("it is pw1.", &["pw1"]), "it is ….");
        assert_eq!(scrub("cor\u{200b}rect ho\u{0}rse", &[secret]), "…");
    }

    #[test]
    fn what_was_sent_goes_encoded_too() {
        let secret = "correct+horse/battery";
        for (words, shown) in [
            ("no Y29ycmVjdCto here", "no … here"),
            ("no hjb3JyZWN0K2hv here", "no h… here"),
            ("no 636f727265 here", "no … here"),
            ("no horse%2Fbat here", "no … here"),
        ] {
            assert_eq!(scrub(words, &[secret]), shown, "{words}");
        }
    }

    #[test]
    fn what_looks_like_a_credential_goes() {
        for (words, shown) in [
            ("key sk-proj-abcd was refused", "key … was refused"),
            ("id=AKIAIOSFODNN7EXAMPLE;", "…;"),
            ("AIzaSyA-1234567: bad", "…: bad"),
            ("got eyJhbGciOi.eyJzdWIi.c2ln", "got …"),
            ("header Bearer: shorty", "header Bearer: …"),
            ("0123456789abcdef0123", "…"),
            ("path/sk-live-1234", "…"),
        ] {
            assert_eq!(scrub(words, &[]), shown, "{words}");
        }
    }

    #[test]
    fn long_words_are_cut() {
        let shown = scrub(&"word ".repeat(10_000), &[]);
        assert!(shown.chars().count() <= KEPT + 1, "{shown}");
    }

    proptest! {
        #[test]
        fn no_piece_of_a_canary_survives(
            canary in "[ -~]{8,60}",
            before in "\\PC{0,300}",
            after in "\\PC{0,300}",
            from in 0usize..40,
            length in 8usize..60,
        ) {
            let piece: String = canary.chars().skip(from).take(length).collect();
            let shown = scrub(&format!("{before}{canary}{after}{piece}"), &[&canary]);
            let canary: Vec<char> = canary.chars().collect();
            for window in canary.windows(redact::PIECE) {
                let piece: String = window.iter().collect();
                prop_assert!(!shown.contains(&piece), "{piece:?} in {shown:?}");
            }
        }
    }
}
