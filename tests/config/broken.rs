//! One mistake at a time, and many in one go.

use flashback_rotator::config::Mistake;
use proptest::prelude::*;

use super::cases::CASES;
use super::{CANARY, GOOD, load, rendered, state};

#[test]
fn each_mistake_has_its_place_and_a_remedy_and_shows_no_value() {
    assert!(load(GOOD).is_ok(), "{:?}", load(GOOD).err());
    for (line, replacement, message, help) in CASES.iter().chain(state::CASES) {
        let case = format!("{line} -> {replacement}");
        let marked = GOOD.replacen(line, &replacement.replace("CANARY", CANARY), 1);
        assert_ne!(marked, GOOD, "{case}");
        let report = load(&marked.replace('‸', "")).expect_err(&case);
        let shown = rendered(&report);
        let [mistake] = report.mistakes() else {
            panic!("{case}: not one mistake:\n{shown}");
        };
        assert!(mistake.message().contains(message), "{case}:\n{shown}");
        let remedy = mistake.help().unwrap_or_default();
        assert!(remedy.contains(help), "{case}:\n{shown}");
        if let Some(at) = marked.find('‸') {
            let before = &marked[..at];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let place = (mistake.line(), mistake.column());
            assert_eq!(place, (Some(line), Some(column)), "{case}:\n{shown}");
            assert!(
                shown.contains(&format!("config.toml:{line}:{column}")),
                "{shown}"
            );
        }
        for text in [shown, mistake.to_string(), format!("{report:?}")] {
            assert!(!text.contains(CANARY), "{case}:\n{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// A slip of the hand anywhere brings no panic, and no value to light.
    #[test]
    fn no_slip_shows_a_value(
        slips in prop::collection::vec((any::<prop::sample::Index>(), 0..20_usize, "[\\[\\]{}=\"'#.,\n a-z]{0,3}"), 1..4)
    ) {
        // Long enough not to pass for a name where a slip makes it one.
        let canary = "canary".repeat(8);
        let mut text: Vec<char> = many_mistakes().replace("canary", &canary).chars().collect();
        for (at, length, put) in slips {
            let at = at.index(text.len());
            let end = text.len().min(at + length);
            text.splice(at..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(report) = load(&text) {
            let shown = format!("{report}\n{report:?}");
            prop_assert!(!shown.contains("canary"), "{}\n{}", text, shown);
        }
    }
}

fn many_mistakes() -> String {
    let path = super::repository("tests/data/configs/many-mistakes.toml");
    std::fs::read_to_string(path).expect("readable")
}

#[test]
fn sources_that_need_each_other_are_found() {
    let text = GOOD
        .replace(
            "secret_id = { file = \"/run/secrets/id\" }",
            "secret_id = { source = \"other\", path = \"a\" }",
        )
        .replace(
            "[sources.files]",
            "[sources.other]\ntype = \"vault\"\naddress = \"https://other\"\n[sources.other.auth]\nmethod = \"token\"\ntoken = { source = \"vault\", path = \"b\" }\n[sources.files]",
        );
    let report = load(&text).expect_err("a cycle");
    let messages: Vec<_> = report.mistakes().iter().map(Mistake::message).collect();
    let expected = "this source needs itself to sign in, by way of another source";
    assert_eq!(messages, [expected, expected]);
}

#[test]
fn what_is_missing_is_named() {
    let report = load("[keys.a]\n").expect_err("nearly empty");
    insta::assert_snapshot!(rendered(&report));
}

#[test]
fn many_mistakes_come_in_one_report() {
    let report = load(&many_mistakes()).expect_err("wrong all over");
    let shown = rendered(&report);
    assert!(!shown.contains("canary"), "{shown}");
    insta::assert_snapshot!(shown);
    let coloured = report.render(true);
    assert!(coloured.contains("\u{1b}["), "no colours");
    let bare = anstream::adapter::strip_str(&coloured).to_string();
    assert_eq!(bare, report.to_string());
}

#[test]
fn a_file_that_is_not_toml_is_reported_with_what_else_is_wrong() {
    let text = GOOD
        .replace("level = \"info\"", &format!("level = {CANARY}"))
        .replace("enabled = true", "enabld = true")
        .replace("role_id = \"rotator\"\n", "");
    let report = load(&text).expect_err("not TOML");
    let messages: Vec<_> = report.mistakes().iter().map(Mistake::message).collect();
    assert_eq!(
        messages,
        [
            "a text without quotes",
            "unknown setting `enabld` in `[keys.openai]`"
        ],
    );
}
