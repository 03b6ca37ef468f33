//! How large functions are, and over how many files the methods of a type are spread.

use std::collections::BTreeSet;

use super::code::{Token, closing, is_word};

/// A function, and the lines it takes.
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// Returns the functions with a body, those within others too.
pub fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, two) in tokens.windows(2).enumerate() {
        if two[0].text != "fn" || !is_word(&two[1].text) {
            continue;
        }
        if let Some(body) = body(tokens, at) {
            let (first, last) = (two[0].line, tokens[closing(tokens, body)].line);
            found.push(Function {
                name: two[1].text.clone(),
                line: first,
                lines: last + 1 - first,
            });
        }
    }
    found
}

/// Returns where the body of the item at `at` opens; nothing for one that ends in a semicolon.
fn body(tokens: &[Token], mut at: usize) -> Option<usize> {
    loop {
        match tokens.get(at)?.text.as_str() {
            "{" => return Some(at),
            ";" => return None,
            "(" | "[" => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
}

/// Returns the types that have methods of their own here: `impl Name {`, not `impl Trait for Name {`.
pub fn types_with_methods(tokens: &[Token]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let begins = at == 0 || matches!(&*tokens[at - 1].text, "}" | ";" | "]");
        if token.text != "impl" || !begins {
            continue;
        }
        let body = body(tokens, at).expect("a body");
        let head: Vec<&str> = tokens[at + 1..body]
            .iter()
            .map(|token| &*token.text)
            .collect();
        if !head.contains(&"for") {
            found.insert(name(&head));
        }
    }
    found
}

/// Returns the name in `<…> path::Name<…> where …`.
fn name(head: &[&str]) -> String {
    let mut depth = 0;
    let mut name = "";
    for word in head {
        match *word {
            "<" => depth += 1,
            ">" => depth -= 1,
            "where" => break,
            word if depth == 0 && is_word(word) => name = word,
            _ => {}
        }
    }
    name.to_owned()
}
