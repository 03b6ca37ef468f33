//! Tells names that people choose for variables, settings and fields from pieces of keys.

/// The smallest number of letters in a name. A text with fewer may be a piece of a key.
pub(super) const WORDY: usize = 3;

/// The words that name a credential.
pub(super) const CREDENTIALS: &[&str] = &[
    "key",
    "keys",
    "apikey",
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "credentials",
    "auth",
    "authorization",
    "bearer",
];

/// Returns the words of a text in lower case, with one space between them.
pub(super) fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

pub(super) fn names_credential(name: &str) -> bool {
    words(name)
        .split(' ')
        .any(|word| CREDENTIALS.contains(&word))
}

/// Checks that a text has the form of a name of a variable or a setting.
pub(super) fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.len() <= 64
        && text.chars().all(is_part)
}

/// Checks that a text is a name rather than a random piece of a key: it names a credential, or is written in
/// one case.
pub(super) fn is_wordy(name: &str) -> bool {
    let letters = |is: fn(&char) -> bool| name.chars().filter(is).count();
    let (upper, lower) = (
        letters(char::is_ascii_uppercase),
        letters(char::is_ascii_lowercase),
    );
    let one_case = upper == 0 || lower == 0;
    is_name(name) && (names_credential(name) || (one_case && upper + lower >= WORDY))
}

/// Checks that a text has the form of an environment variable: `OPENAI_API_KEY`.
pub(super) fn is_variable(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    is_name(name)
        && name.len() > WORDY
        && name.chars().all(is_part)
        && name.trim_matches('_').contains('_')
}
