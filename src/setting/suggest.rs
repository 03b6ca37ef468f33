//! Suggestions in messages: the known word that is nearest to an unknown one, and lists of known words.

/// Returns the known word nearest to `word`, where one is near enough to have been meant.
pub fn suggest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_lowercase();
    let near = known.filter_map(|candidate| {
        let likeness = strsim::jaro_winkler(&word, &candidate.to_lowercase());
        (likeness > 0.8).then_some((candidate, likeness))
    });
    near.max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(candidate, _)| candidate)
}

/// Returns what to do about a name that no `[whats.NAME]` has: the name that is likely meant, or those that there are.
pub fn which_there_are<'w>(
    name: &str,
    what: &str,
    known: impl Iterator<Item = &'w str> + Clone,
) -> String {
    let names = list(known.clone()).replace(" or ", " and ");
    match (suggest(name, known.clone()), known.count()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, 0) => format!("there is none yet: add `[{what}s.ID]`"),
        (None, 1) => format!("the only {what} is {names}"),
        (None, _) => format!("the {what}s are {names}"),
    }
}

/// Returns the words as a sentence has them: `a`, `b` or `c`.
pub fn list<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let known = ["workspace_id", "endpoint", "enabled"];
        let suggest = |word| suggest(word, known.into_iter());
        assert_eq!(suggest("workspce_id"), Some("workspace_id"));
        assert_eq!(suggest("Enabled"), Some("enabled"));
        assert_eq!(suggest("zzz"), None);
    }

    #[test]
    fn lists_words() {
        assert_eq!(list([].into_iter()), "");
        assert_eq!(list(["a"].into_iter()), "`a`");
        assert_eq!(list(["a", "b", "c"].into_iter()), "`a`, `b` or `c`");
    }
}
