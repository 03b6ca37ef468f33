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

/// Where a name belongs, as lines; `…` is what stands there, `·` a piece of it.
const NAMES: [&str; 22] = [
    "… = \"x\"",
    "\"…\" = \"x\"",
    "'…' = 1",
    "…=…",
    "[…]",
    "[\"…\"]",
    "[[…]]",
    "[keys.…]",
    "[keys.\"…\"]",
    "[keys.….fields]",
    "[keys.openai.…]",
    "[sources.…]",
    "[sources.…]\ntype = \"vault\"",
    "[sources.….auth]",
    "[flashback.…]",
    "[flashback.auth.token.…]",
    "keys.….name = \"x\"",
    "name.… = 1",
    "·.· = 1",
    "x = { … = 1 }",
    "x = { ·, … = 2",
    "[keys.·]\n· = 1",
];

/// Secrets as they are made by those who give them out; what is random is another for each test.
fn secret(kind: usize, random: &str) -> String {
    let upper = random.to_ascii_uppercase();
    let hex: String = random.bytes().map(|byte| format!("{byte:02x}")).collect();
    match kind {
        0 => format!("sk-live-{random}"),
        1 => format!("sk-proj-{random}_{random}"),
        2 => format!("sk-ant-api03-{random}-{random}AA"),
        3 => format!("AKIA{}", &upper[..16]),
        4 => format!("AIzaSy{random}"),
        5 => format!("hvs-{random}"),
        6 => format!("ghp_{random}"),
        7 => format!("eyJ{random}-{random}"),
        8 => format!("hf_{random}"),
        9 => random.to_owned(),
        10 => hex,
        11 => format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..32]
        ),
        _ => format!("xoxb-1234567890-{random}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    /// A secret, or a piece of one, where a name belongs is not repeated, whatever else is wrong there.
    #[test]
    fn no_name_that_may_be_a_secret_is_shown(
        kind in 0..13_usize,
        random in "[A-Za-z0-9]{24}",
        name in prop::sample::select(&NAMES),
        line in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        slip in prop::option::of((any::<prop::sample::Index>(), 0..3_usize, "[\\[\\]{}=\"'#., a-z]{0,2}")),
    ) {
        let secret = secret(kind, &random);
        let (one, other) = secret.split_at(cut.index(secret.len()));
        let mut put = name.replace('…', &secret).replacen('·', one, 1).replace('·', other);
        if let Some((at, length, text)) = slip {
            let mut chars: Vec<char> = put.chars().collect();
            let at = at.index(chars.len());
            let end = chars.len().min(at + length);
            chars.splice(at..end, text.chars());
            put = chars.into_iter().collect();
        }
        let mut lines: Vec<&str> = GOOD.lines().collect();
        lines.insert(line.index(lines.len()), &put);
        let said = match load(&lines.join("\n")) {
            Err(report) => format!("{report}\n{report:?}"),
            Ok(loaded) => loaded.warnings.join("\n"),
        };
        let pieces: Vec<char> = secret.chars().collect();
        for piece in pieces.windows(10) {
            let piece: String = piece.iter().collect();
            prop_assert!(!said.contains(&piece), "{secret}\n{put}\n{said}");
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
fn missing_settings_are_named() {
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
