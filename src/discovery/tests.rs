//! Tests of what listings change, one by one and in random order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::plan::{self, Change, Taken, TooMany};
use super::{OnRemoved, Pattern, Rule, Template};
use crate::document::FieldMap;
use crate::model::{
    AiType, Discovered, KeyId, Missing, Observation, RuleId, SourceId, WorkspaceId,
};
use crate::source::Listed;

const EVERY: Duration = Duration::from_secs(300);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn rule(id: &str, path: &str) -> Rule {
    let template = |text| Template::parse(text).expect("a template");
    Rule {
        id: RuleId::new(id),
        source: SourceId::new("vault"),
        pattern: Pattern::new(path, &["llm/tmp/*".to_owned()]).expect("globs"),
        tags: BTreeMap::new(),
        every: EVERY,
        name: template("{meta.name|last}"),
        ai_type: template("{meta.ai_type|'OPENAI'}"),
        endpoint: Some(template("{meta.endpoint|''}")),
        workspace_id: template("{meta.workspace|''}"),
        general_workspace: Some("general".to_owned()),
        fields: FieldMap::default(),
        limit: 2000,
        on_removed: OnRemoved::Keep,
        endpoints: vec![(AiType::Openai, "https://api.openai.com/v1".to_owned())],
    }
}

fn listed(path: &str, metadata: &[(&str, &str)]) -> Listed {
    let metadata = metadata.iter().copied();
    let metadata = metadata.map(|(name, text)| (name.to_owned(), text.to_owned()));
    Listed {
        path: path.to_owned(),
        observed: None,
        metadata: Some(metadata.collect()),
    }
}

fn all(paths: &[&str]) -> Vec<Listed> {
    paths.iter().map(|path| listed(path, &[])).collect()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a time")
}

fn nothing() -> Discovered {
    Discovered::nothing(SourceId::new("vault"))
}

fn paths(discovered: &Discovered) -> Vec<&str> {
    discovered
        .present()
        .map(|(path, _)| path.as_str())
        .collect()
}

fn found(rule: &Rule, before: &Discovered, listing: &[Listed], now: DateTime<Utc>) -> Change {
    plan::listed(rule, before, listing, now).expect("within the limit")
}

/// Returns what a secret is with this metadata, or why it is no key.
fn made(metadata: &[(&str, &str)]) -> Result<[String; 4], String> {
    let change = found(
        &rule("r", "**"),
        &nothing(),
        &[listed("llm/x", metadata)],
        at(0),
    );
    match change.discovered.secrets.into_values().next() {
        Some(secret) => Ok([
            secret.settings.name,
            secret.settings.ai_type.as_str().to_owned(),
            secret.settings.workspace_id.to_string(),
            secret.settings.endpoint,
        ]),
        None => Err(change.problems[0].error.clone()),
    }
}

#[test]
fn a_secret_says_what_it_is_unless_it_decides_who_gets_the_key() {
    let own = "https://llm.example.com/v1";
    let open = "https://api.openai.com/v1";
    let texts = |made: [&str; 4]| made.map(str::to_owned);
    assert_eq!(made(&[]), Ok(texts(["x", "OPENAI", "general", open])));
    let by_template = made(&[("name", " n "), ("workspace", "w"), ("endpoint", own)]);
    assert_eq!(by_template, Ok(texts(["n", "OPENAI", "w", own])));
    let overridden = made(&[
        ("flashback_name", "o"),
        ("flashback_ai_type", "OTHER"),
        ("endpoint", own),
        ("flashback_workspace_id", "elsewhere"),
        ("flashback_endpoint", "https://elsewhere.example.com"),
    ]);
    assert_eq!(overridden, Ok(texts(["o", "OTHER", "general", own])));
    for (metadata, error) in [
        (("ai_type", "OPENAL"), "`ai_type` is none of"),
        (("ai_type", "OTHER"), "`endpoint` is missing"),
        (("ai_type", "AWS"), "credentials are a pair"),
        (("name", " "), "`name` is empty"),
        (("name", "sk-proj-a1B2c3D4e5F6g7H8"), "looks like a key"),
        (("endpoint", "https://u:p@example.com"), "a password in it"),
        (("workspace", "a\nb"), "a control character"),
        (("flashback_secret_field", "/a~2"), "not a JSON pointer"),
    ] {
        let made = made(&[metadata]).expect_err(error);
        let repeats = metadata.1.len() > 8 && made.contains(metadata.1);
        assert!(made.contains(error) && !repeats, "{made}");
    }
}

#[test]
fn a_secret_is_gone_after_two_listings_and_a_look_at_itself() {
    let rule = rule("r", "llm/*");
    let listing = all(&["llm/a", "llm/b", "llm/tmp/c", "other/d"]);
    let first = found(&rule, &nothing(), &listing, at(0)).discovered;
    assert_eq!(paths(&first), ["llm/a", "llm/b"]);
    let without = all(&["llm/a"]);
    let second = found(&rule, &first, &without, at(10));
    assert_eq!(
        (paths(&second.discovered).len(), second.doubtful.len()),
        (2, 0)
    );
    // Too soon after the one before.
    let third = found(&rule, &second.discovered, &without, at(100));
    assert!(third.doubtful.is_empty());
    let fourth = found(&rule, &third.discovered, &without, at(310));
    assert_eq!(fourth.doubtful, ["llm/b"]);
    assert_eq!(paths(&fourth.discovered), ["llm/a", "llm/b"]);
    let look = |found: Option<&Listed>| {
        let mut known = fourth.discovered.clone();
        let looked = plan::looked_up(&rule, &mut known, "llm/b", found, at(311));
        assert_eq!(looked, Ok(None));
        known
    };
    // The listings were at fault, and count no more.
    let there = look(Some(&listed("llm/b", &[])));
    assert_eq!(there.secrets["llm/b"].absent_since, None);
    assert_eq!(paths(&look(None)), ["llm/a"]);
    let mut deleted = listed("llm/b", &[]);
    deleted.observed = Some(Observation::Missing(Missing::Deleted));
    assert_eq!(paths(&look(Some(&deleted))), ["llm/a"]);
    // One that is listed between the two is there.
    let back = found(&rule, &second.discovered, &listing, at(200)).discovered;
    assert!(found(&rule, &back, &without, at(400)).doubtful.is_empty());
}

#[test]
fn a_secret_that_the_rule_is_not_about_any_more_is_left_out_at_once() {
    let mut rule = rule("r", "llm/*");
    let first = found(&rule, &nothing(), &all(&["llm/a", "llm/b"]), at(0)).discovered;
    let disabled = [
        listed("llm/a", &[("flashback_enabled", "false")]),
        listed("llm/b", &[]),
    ];
    assert_eq!(
        paths(&found(&rule, &first, &disabled, at(1)).discovered),
        ["llm/b"]
    );
    // What it says is wrong, and it works as it is.
    let wrong = [listed("llm/a", &[("ai_type", "?")]), listed("llm/b", &[])];
    let change = found(&rule, &first, &wrong, at(1));
    assert_eq!(
        (change.discovered, change.problems.len()),
        (first.clone(), 1)
    );
    rule.pattern = Pattern::new("llm/b*", &[]).expect("a glob");
    assert_eq!(paths(&plan::fitting(&rule, &first)), ["llm/b"]);
    rule.source = SourceId::new("another");
    assert!(plan::fitting(&rule, &first).secrets.is_empty());
}

#[test]
fn nothing_changes_beyond_the_limit() {
    let mut rule = rule("r", "llm/*");
    rule.limit = 2;
    let first = found(&rule, &nothing(), &all(&["llm/a", "llm/b"]), at(0)).discovered;
    let many = plan::listed(&rule, &first, &all(&["llm/c", "llm/d", "llm/e"]), at(1));
    assert_eq!(many, Err(TooMany { found: 3, limit: 2 }));
    let look = |path| {
        let listed = listed(path, &[]);
        plan::looked_up(&rule, &mut first.clone(), path, Some(&listed), at(1))
    };
    assert!(look("llm/a").is_ok());
    assert_eq!(look("llm/c"), Err(TooMany { found: 3, limit: 2 }));
}

#[test]
fn what_was_created_is_deleted_a_day_after_its_secret_is_gone() {
    let mut rule = rule("r", "llm/*");
    rule.on_removed = OnRemoved::Delete;
    let first = found(&rule, &nothing(), &all(&["llm/a"]), at(0)).discovered;
    let mut gone = found(&rule, &first, &[], at(10)).discovered;
    let looked = plan::looked_up(&rule, &mut gone, "llm/a", None, at(400));
    assert_eq!(looked, Ok(None));
    assert!(paths(&gone).is_empty());
    assert!(plan::to_delete(&gone, DAY, at(10 + 86_399)).is_empty());
    assert_eq!(plan::to_delete(&gone, DAY, at(10 + 86_400)), ["llm/a"]);
    // It comes back before that.
    let back = found(&rule, &gone, &all(&["llm/a"]), at(500)).discovered;
    assert_eq!(
        (
            paths(&back).len(),
            plan::to_delete(&back, DAY, at(99_999)).len()
        ),
        (1, 0)
    );
    rule.on_removed = OnRemoved::Keep;
    assert!(plan::fitting(&rule, &gone).secrets.is_empty());
}

#[test]
fn of_two_keys_with_one_name_the_written_and_then_the_first_found_has_it() {
    let (a, b) = (rule("a", "llm/*"), rule("b", "**"));
    let of_a = found(&a, &nothing(), &all(&["llm/x", "llm/y", "llm/z"]), at(5)).discovered;
    let of_b = found(&b, &nothing(), &all(&["llm/z", "w/z", "w/free"]), at(1)).discovered;
    let (id, workspace) = (KeyId::new("written"), WorkspaceId::new("general"));
    let taken = Taken {
        ids: BTreeSet::from([&id]),
        names: BTreeMap::from([((&workspace, "x"), &id)]),
    };
    let (keys, problems) = plan::keys([(&a, &of_a), (&b, &of_b)], taken);
    let keys: Vec<_> = keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(keys, ["b.llm.z", "b.w.free", "a.llm.y"]);
    let problems: Vec<_> = problems
        .iter()
        .map(|(rule, it)| (rule.as_str(), &*it.path))
        .collect();
    assert_eq!(problems, [("b", "w/z"), ("a", "llm/x"), ("a", "llm/z")]);
}

#[test]
fn each_path_has_an_id_of_its_own() {
    let long = "x".repeat(300);
    let other = format!("{long}y");
    let paths = [
        "a/b", "a.b", "a_b", "a b", "a-b", "ä", "ö", &long, &other, "A/b",
    ];
    let ids: BTreeSet<KeyId> = paths
        .iter()
        .map(|path| super::made::key_id(&RuleId::new("r"), path))
        .collect();
    assert_eq!(ids.len(), paths.len());
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(
        ids.iter()
            .all(|id| id.as_str().len() <= 100 && id.as_str().chars().all(fits))
    );
}

/// What happens to the secrets of a source, and to those who list them.
#[derive(Clone, Debug)]
enum Event {
    /// So many secrets from this one on appear, or disappear.
    Appear(usize, usize),
    Disappear(usize, usize),
    /// Time passes, in seconds.
    Pass(i64),
    /// A full listing, of which only this share is there, in percent: nothing says that it was cut short.
    List(usize),
    /// An event tells of a secret.
    Hear(usize),
}

const SECRETS: usize = 1000;

fn event() -> impl Strategy<Value = Event> {
    let range = || (0..SECRETS, 1..400usize);
    prop_oneof![
        range().prop_map(|(from, many)| Event::Appear(from, many)),
        range().prop_map(|(from, many)| Event::Disappear(from, many)),
        (1..400i64).prop_map(Event::Pass),
        Just(Event::List(100)),
        (0..100usize).prop_map(Event::List),
        (0..SECRETS).prop_map(Event::Hear),
    ]
}

/// A source, and what a rule knows of it.
struct World {
    rule: Rule,
    there: BTreeSet<usize>,
    known: Discovered,
    now: i64,
}

fn path(secret: usize) -> String {
    format!("llm/{}/key-{secret}", secret % 7)
}

impl World {
    fn hear(&mut self, secret: usize) {
        let path = path(secret);
        let found = self.there.contains(&secret).then(|| listed(&path, &[]));
        let (rule, known) = (&self.rule, &mut self.known);
        let looked = plan::looked_up(rule, known, &path, found.as_ref(), at(self.now));
        assert_eq!(looked, Ok(None));
    }

    fn list(&mut self, percent: usize) {
        let listing: Vec<Listed> = self
            .there
            .iter()
            .filter(|secret| (*secret * 37) % 100 < percent)
            .map(|secret| listed(&path(*secret), &[]))
            .collect();
        let change = found(&self.rule, &self.known, &listing, at(self.now));
        self.known = change.discovered;
        for doubtful in change.doubtful {
            let number = doubtful
                .rsplit('-')
                .next()
                .and_then(|text| text.parse().ok());
            self.hear(number.expect("its number"));
        }
    }

    fn step(&mut self, event: &Event) {
        let range = |from: usize, many: usize| from..(from + many).min(SECRETS);
        match *event {
            Event::Appear(from, many) => self.there.extend(range(from, many)),
            Event::Disappear(from, many) => {
                self.there
                    .retain(|secret| !range(from, many).contains(secret));
            }
            Event::Pass(seconds) => self.now += seconds,
            Event::List(percent) => self.list(percent),
            Event::Hear(secret) => self.hear(secret),
        }
    }

    fn keys(&self) -> Vec<KeyId> {
        let (keys, problems) = plan::keys([(&self.rule, &self.known)], Taken::default());
        assert_eq!(problems, []);
        keys.into_iter().map(|key| key.id).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_there_is_removed_and_nothing_is_doubled(
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let mut world = World {
            rule: rule("r", "llm/**"),
            there: BTreeSet::new(),
            known: nothing(),
            now: 0,
        };
        for event in &events {
            let before: BTreeSet<String> = world.known.secrets.keys().cloned().collect();
            world.step(event);
            let lost = world.there.iter().map(|secret| path(*secret)).find(|path| {
                before.contains(path) && !world.known.secrets.contains_key(path)
            });
            prop_assert_eq!(lost, None, "{:?}", event);
        }
        let keys = world.keys();
        let different: BTreeSet<&KeyId> = keys.iter().collect();
        prop_assert_eq!(different.len(), keys.len());
        // Two full listings later everything is known as it is.
        for _ in 0..2 {
            world.list(100);
            world.now += EVERY.as_secs() as i64 + 1;
        }
        world.list(100);
        let there: BTreeSet<String> = world.there.iter().map(|secret| path(*secret)).collect();
        let known: BTreeSet<String> = world.known.secrets.keys().cloned().collect();
        prop_assert_eq!(known, there);
    }
}

#[test]
fn a_wait_between_listings_is_not_shorter_after_the_clock_was_set_forward() {
    let rule = rule("r", "llm/*");
    let first = found(&rule, &nothing(), &all(&["llm/a"]), at(0)).discovered;
    let second = found(&rule, &first, &[], at(0) + TimeDelta::days(1));
    assert!(second.doubtful.is_empty());
}
