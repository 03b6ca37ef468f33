//! The rules of discovery on the page.

use chrono::{TimeDelta, Utc};
use flashback_rotator::engine::report::State;
use flashback_rotator::model::{RuleId, RuleReport, SourceId};

use super::page::{EVIL, key};
use super::{Page, text};

/// A rule of each condition.
pub fn rules() -> Vec<RuleReport> {
    let rule = |id: &str, keys| RuleReport {
        rule: RuleId::new(id),
        source: SourceId::new("vault"),
        keys,
        listed_at: Some(Utc::now() - TimeDelta::seconds(200)),
        error: None,
        problems: Vec::new(),
    };
    let away = RuleReport {
        error: Some("nothing at this path".to_owned()),
        ..rule("rule-away", 2)
    };
    let new = RuleReport {
        listed_at: None,
        ..rule("rule-new", 0)
    };
    let in_part = RuleReport {
        problems: vec![format!("llm/{EVIL} has no field `key`")],
        ..rule("rule-in-part", 1)
    };
    vec![rule("rule-well", 12), away, new, in_part]
}

#[tokio::test]
async fn rules_are_shown_with_what_is_wrong_and_keys_with_their_rule() {
    let mut discovered = key("found", State::InSync);
    discovered.row.rule = Some(RuleId::new("rule-well"));
    let page = Page::with(vec![discovered, key("own", State::InSync)]).await;
    let said = text(&page.html("").await);
    for words in [
        "Discovery rule-well Listed vault · 12 keys · 3 min ago",
        "rule-away Not listed vault · 2 keys · 3 min ago nothing at this path",
        "rule-new Not listed yet vault · 0 keys",
        "rule-in-part In part vault · 1 key · 3 min ago llm/",
        "vault · llm/found · by rule-well In sync",
        "vault · llm/own In sync",
    ] {
        assert!(said.contains(words), "no `{words}` in\n{said}");
    }
    page.end().await;
}
