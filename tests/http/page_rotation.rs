//! The page for people: what stands in it of keys that are rotated.

use chrono::{DateTime, TimeDelta, Utc};
use flashback_rotator::engine::report::State;
use flashback_rotator::engine::{OldKeyReport, RotationReport};
use flashback_rotator::http::page::Key;
use flashback_rotator::model::{ProviderId, ProviderKeyId, Times};
use flashback_rotator::rotation::Stage;

use super::page::key;
use super::{Page, text};

/// A rotation in which each text is this one.
pub fn of_text(text: &str) -> RotationReport {
    let id = || ProviderKeyId::new(text);
    RotationReport {
        provider: ProviderId::new(text),
        next: Some(id()),
        current: Some(id()),
        old: vec![old(text, None)],
        ..rotation(Stage::Stuck, Some(text))
    }
}

/// A key that was replaced nine hours ago.
fn old(id: &str, disabled_hours_ago: Option<i64>) -> OldKeyReport {
    OldKeyReport {
        id: ProviderKeyId::new(id),
        since: hours_ago(9),
        disabled_at: disabled_hours_ago.map(hours_ago),
        compromised: false,
        revoke_after: None,
        delete_after: None,
        stuck: None,
    }
}

fn hours_ago(hours: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(hours) - TimeDelta::minutes(1)
}

fn rotation(stage: Stage, waiting: Option<&str>) -> RotationReport {
    RotationReport {
        provider: ProviderId::new("openai"),
        stage,
        due_at: Some(Utc::now() + TimeDelta::days(12) + TimeDelta::hours(1)),
        waiting: waiting.map(str::to_owned),
        stuck: None,
        asked: None,
        current: Some(ProviderKeyId::new("key_current")),
        next: None,
        old: Vec::new(),
        times: Times::default(),
    }
}

fn rotated(id: &str, rotation: RotationReport) -> Key {
    let mut key = key(id, State::InSync);
    if let Some(standing) = &mut key.row.standing {
        standing.rotation = Some(rotation);
    }
    key
}

#[tokio::test]
async fn page_shows_how_far_each_rotation_has_got() {
    let mut draining = rotation(Stage::Draining, Some("the overlap is not over"));
    draining.old = vec![old("key_older", Some(5)), old("key_old", None)];
    let mut stuck = rotation(Stage::Stuck, Some("provider `openai`: 401"));
    stuck.next = Some(ProviderKeyId::new("key_next"));
    stuck.due_at = Some(hours_ago(3));
    let keys = vec![
        rotated("a", rotation(Stage::Idle, None)),
        rotated("b", draining),
        rotated("c", stuck),
        key("d", State::InSync),
    ];
    let page = Page::with(keys).await;
    let html = page.html("").await;
    let said = text(&html);
    for words in [
        "Flashback, sources and providers",
        "openai No answer yet OpenAI · the project proj_abc · 2 keys",
        "llm/a In sync 3 rotated in 12 days",
        "An old key is to be revoked by openai : the overlap is not over \
         Old key key_older , disabled 5 h ago Old key key_old , replaced 9 h ago",
        "llm/c In sync 3 rotation due since 3 h",
        "The rotation does not get on by openai : provider `openai`: 401 New key key_next",
    ] {
        assert!(said.contains(words), "no `{words}` in\n{said}");
    }
    assert_eq!(html.matches("<tr class=\"rotation").count(), 2, "{html}");
    assert_eq!(html.matches("<tr class=\"rotation stuck\"").count(), 1);
    page.end().await;
}
