//! Rust source as tokens, without comments, texts and unit tests. It reads what rustfmt writes, and
//! no more than the checks of the tidy test need.

use std::ops::Range;

/// A word or a sign of the source, and where it stands: its line, and its bytes.
#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub line: usize,
    bytes: Range<usize>,
}

/// Returns the tokens of `text` that are compiled into the program: nothing under `#[cfg(test)]`.
pub fn tokens(text: &str) -> Vec<Token> {
    without_tests(&all_tokens(text))
}

/// Returns `text` with blanks for comments and unit tests, and with empty literals. Lines stay where they are.
pub fn code(text: &str) -> String {
    let mut code = String::new();
    let mut end = 0;
    for token in tokens(text) {
        let between = text[end..token.bytes.start].chars();
        code.extend(between.map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        code.push_str(&token.text);
        end = token.bytes.end;
    }
    code
}

/// Tells whether a token is a name, a keyword or a number.
pub fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// Returns the position of the bracket that closes the one at `open`.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("a bracket in line {} is not closed", tokens[open].line);
}

/// Returns the tokens of `text`, with its unit tests.
pub fn all_tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, shown) = match literal(rest) {
            Some(length) => (length, "\"\""),
            None if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), ""),
            None if rest.starts_with("/*") => (rest.find("*/").expect("an end") + 2, ""),
            None if rest.starts_with("::") => (2, "::"),
            None if is_word(rest) => {
                let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
                let length = end.unwrap_or(rest.len());
                (length, &rest[..length])
            }
            None => (first.len_utf8(), rest[..first.len_utf8()].trim()),
        };
        if !shown.is_empty() {
            found.push(Token {
                text: shown.to_owned(),
                line,
                bytes: at..at + length,
            });
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    found
}

/// Returns the length of the text or character that `rest` begins with.
fn literal(rest: &str) -> Option<usize> {
    let plain = rest.strip_prefix('b').unwrap_or(rest);
    let before = rest.len() - plain.len();
    if let Some(raw) = plain.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", &raw[..hashes]);
            let body = &raw[hashes + 1..];
            let length = body.find(&end).expect("the end of a raw text") + end.len();
            return Some(before + 1 + hashes + 1 + length);
        }
    }
    let quote = plain.chars().next()?;
    let mut letters = plain.char_indices().skip(1);
    match quote {
        '"' => {
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '\\' => drop(letters.next()),
                    '"' => return Some(before + at + 1),
                    _ => {}
                }
            }
            None
        }
        '\'' => {
            let (_, letter) = letters.next()?;
            if letter == '\\' {
                letters.next();
                let end = plain[3..].find('\'')?;
                return Some(before + 3 + end + 1);
            }
            // A lifetime has no quote behind it.
            let (at, after) = letters.next()?;
            (after == '\'').then_some(before + at + 1)
        }
        _ => None,
    }
}

/// Drops each item that follows `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_marked = tokens[at..].len() > mark.len()
            && tokens[at..]
                .iter()
                .zip(mark)
                .all(|(token, word)| token.text == word);
        if is_marked {
            at = end_of_item(tokens, at + mark.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Returns where the item that begins at `at` has ended: behind its body or its semicolon.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    loop {
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "{" => return closing(tokens, at) + 1,
            "(" | "[" => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
}
