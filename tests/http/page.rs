//! The page for people: what stands in it, and what cannot get into it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use flashback_rotator::engine::report::{Ended, KeyReport, Standing, State};
use flashback_rotator::http::page::{Key, Overview, Replica, Service};
use flashback_rotator::model::timeline::SLOTS;
use flashback_rotator::model::{
    Action, HistoryRow, KeyId, Mark, Outage, Outcome, ServiceHealth, ServiceStatus, SourceId,
    Version,
};
use reqwest::Method;
use tokio::io::AsyncWriteExt as _;

use super::{Page, text, until_closed};
use crate::support::LONG;

/// What would be a tag, an attribute's end or a script, if it were not escaped.
pub const EVIL: &str = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&lt;\u{202e}";

pub fn key(id: &str, state: State) -> Key {
    let now = Utc::now();
    Key {
        row: KeyReport {
            key: KeyId::new(id),
            source: SourceId::new("vault"),
            name: format!("Name of {id}"),
            ai_llm_id: Some("5a4db0c5".to_owned()),
            target: None,
            rule: None,
            version: Some("3".to_owned()),
            error: (state == State::Failing).then(|| format!("what is wrong with {id}")),
            action: None,
            reason: None,
            rotates: None,
            standing: Some(Standing {
                rotation: None,
                state,
                workspace_id: "w".to_owned(),
                pushed_at: Some(now - TimeDelta::hours(3)),
                verified_by: None,
                held_version: None,
                held_reason: None,
                version_created_at: None,
                warning: None,
                checked_at: Some(now),
                next_check: Some(now + TimeDelta::seconds(25)),
            }),
            ended: Ended::Done,
        },
        path: format!("llm/{id}"),
        seen: Some("3".to_owned()),
        held: None,
        timeline: [Some(Mark::InSync); SLOTS],
    }
}

fn service(name: &str, health: ServiceHealth) -> Service {
    Service {
        name: name.to_owned(),
        kind: "Vault or OpenBao",
        place: "vault.internal:8200/secret".to_owned(),
        keys: 2,
        makes_keys: false,
        health,
        last_outage: None,
    }
}

fn replica(name: &str, alive: bool) -> Replica {
    Replica {
        name: name.to_owned(),
        keys: 5,
        alive,
    }
}

fn event(id: &str, outcome: Outcome) -> HistoryRow {
    HistoryRow {
        at: Utc::now(),
        key: KeyId::new(id),
        source: SourceId::new("vault"),
        name: id.to_owned(),
        ai_llm_id: None,
        previous_version: Some(Version::numbered(2, "secret-birthday")),
        version: Version::numbered(3, "secret-birthday"),
        action: Action::Update,
        outcome,
        elapsed: Duration::from_millis(12),
        verified_by: Some("flashback".to_owned()),
        reason: "rotated".to_owned(),
        error: (outcome == Outcome::Failed).then(|| "Flashback refused it".to_owned()),
    }
}

pub fn overview(keys: Vec<Key>) -> Overview {
    let now = Utc::now();
    let since = now - TimeDelta::minutes(12);
    let away = ServiceHealth {
        status: ServiceStatus::Down,
        since: Some(since),
        error: Some("connection refused".to_owned()),
        ..ServiceHealth::default()
    };
    let until = now - TimeDelta::minutes(5);
    let back = ServiceHealth {
        status: ServiceStatus::Up,
        since: Some(until),
        ..ServiceHealth::default()
    };
    let recovered = Service {
        last_outage: Some(Outage {
            since,
            until,
            error: "connection refused".to_owned(),
        }),
        ..service("aws", back)
    };
    let provider = Service {
        kind: "OpenAI",
        place: "the project proj_abc".to_owned(),
        makes_keys: true,
        ..service("openai", ServiceHealth::default())
    };
    Overview {
        at: now,
        started_at: now - TimeDelta::hours(5),
        live: true,
        missing: vec!["not signed in to Flashback yet".to_owned()],
        state: None,
        refused: true,
        services: vec![
            service("Flashback", ServiceHealth::default()),
            service("vault", away),
            recovered,
            provider,
        ],
        replicas: vec![replica("host-1/17", true), replica("host-2/4", false)],
        rules: super::page_rules::rules(),
        keys,
        events: vec![
            event("newest", Outcome::Failed),
            event("older", Outcome::Succeeded),
        ],
    }
}

impl Page {
    pub async fn with(keys: Vec<Key>) -> Self {
        let page = Self::start().await;
        *page.status_source.keys.lock() = keys;
        page
    }

    pub async fn html(&self, query: &str) -> String {
        let (status, html) = self.get(&format!("/{query}")).await;
        assert_eq!(status, 200, "{html}");
        html
    }
}

#[tokio::test]
async fn page_shows_services_replicas_and_keys_with_problems_first() {
    let mut held = key("held", State::Held);
    held.held = Some("the provider refused it".to_owned());
    held.row.error.clone_from(&held.held);
    held.seen = Some("4".to_owned());
    let mut late = key("late", State::Pending);
    if let Some(standing) = &mut late.row.standing {
        (standing.next_check, standing.pushed_at) = (Some(Utc::now() - TimeDelta::hours(4)), None);
    }
    late.row.version = None;
    let keys = vec![
        key("well", State::InSync),
        held,
        key("broken", State::Failing),
        late,
        key("off", State::Disabled),
    ];
    let page = Page::with(keys).await;
    let html = page.html("").await;
    let said = text(&html);
    for words in [
        "1 failing, 1 held of 4 keys · flashback-rotator",
        "up 5 h",
        "Starting: not signed in to Flashback yet.",
        "The newest configuration is refused, and the one before goes on.",
        "Flashback No answer yet",
        "vault Down Vault or OpenBao · vault.internal:8200/secret · 2 keys \
         No answer for 12 min : connection refused",
        "Was away for 7 min until 5 min ago : connection refused",
        "host-1/17 Up 5 keys",
        "host-2/4 Not heard of 5 keys",
        "broken Name of broken vault · llm/broken Failing 3 3 h ago in 2",
        "what is wrong with broken",
        "held Name of held vault · llm/held Held 3 store has 4",
        "Version 4 is held: the provider refused it",
        "late Name of late vault · llm/late Pending none yet store has 3 never 4 h late",
        "Disabled 3 3 h ago switched off",
        "newest Update failed 2 → 3 12 ms rotated , verified by flashback : Flashback refused it",
        "Last 24 hours: in sync",
    ] {
        assert!(said.contains(words), "no `{words}` in\n{said}");
    }
    let order = ["broken", "held", "late", "well", "off"];
    let found = order.map(|id| said.find(&format!("Name of {id}")).expect("a key"));
    assert!(found.is_sorted(), "what is wrong comes first: {found:?}");
    assert!(
        !html.contains("secret-birthday"),
        "a version's inner text is not shown"
    );
    page.end().await;
}

#[tokio::test]
async fn where_there_is_nothing_it_says_so() {
    let page = Page::start().await;
    let said = text(&page.html("").await);
    assert!(said.contains("No keys are configured."), "{said}");
    page.status_source.state_away.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (status, html) = page.get("/").await;
    assert_eq!(status, 503);
    let said = text(&html);
    assert!(said.contains("The state cannot be read"), "{said}");
    assert!(html.contains("the state &lt;is&gt; away"), "{html}");
    page.end().await;
}

#[tokio::test]
async fn foreign_text_on_the_page_is_escaped() {
    let mut evil = key(EVIL, State::Failing);
    evil.row.name = EVIL.to_owned();
    evil.row.source = SourceId::new(EVIL);
    evil.row.version = Some(EVIL.to_owned());
    evil.row.error = Some(EVIL.to_owned());
    evil.path = EVIL.to_owned();
    evil.seen = Some(format!("{EVIL}2"));
    evil.held = Some(format!("{EVIL}3"));
    if let Some(standing) = &mut evil.row.standing {
        standing.rotation = Some(super::page_rotation::of_text(EVIL));
    }
    let page = Page::with(vec![evil]).await;
    let plain = page.html("").await;
    let asked = page
        .html("?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&state=%22%3E%3Cb%3E&page=%3C&x=%3Cx%3E")
        .await;
    for html in [plain, asked] {
        let own = html.matches("<script").count();
        assert_eq!(own, 1, "a script of others in {html}");
        for word in ["<img", "<b>&", "<x>", "\"><script", "\u{202e}"] {
            assert!(!html.contains(word), "`{word}` in {html}");
        }
        let quoted = "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;";
        assert!(html.contains(quoted), "{html}");
    }
    page.end().await;
}

#[tokio::test]
async fn nothing_comes_from_elsewhere_and_nobody_frames_it() {
    let page = Page::with(vec![key("a", State::InSync)]).await;
    let answer = page.ask(Method::GET, "/").await;
    let headers = answer.headers().clone();
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cross-origin-resource-policy"), "same-origin");
    let policy = header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = answer.text().await.expect("text");
    for word in [
        "http://", "https://", " style=", " onclick", "<iframe", "@import", "url(",
    ] {
        let found = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(word), "`{word}` in {html}");
    }
    page.end().await;
}

#[tokio::test]
async fn over_loopback_it_goes_by_local_names_only() {
    let page = Page::with(vec![key("a", State::InSync)]).await;
    let ask = async |host: &str, path: &str| {
        let client = reqwest::Client::builder()
            .timeout(LONG)
            .build()
            .expect("a client");
        let request = client.get(format!("http://{}{path}", page.address));
        let answer = request
            .header("host", host)
            .send()
            .await
            .expect("an answer");
        answer.status().as_u16()
    };
    for path in ["/", "/status", "/metrics"] {
        assert_eq!(ask("attacker.example", path).await, 421, "{path}");
        assert_eq!(ask("localhost:9464", path).await, 200, "{path}");
    }
    assert_eq!(
        ask("probe.example", "/livez").await,
        200,
        "health tells nothing"
    );
    page.end().await;
}

#[tokio::test]
async fn a_thousand_keys_are_shown_in_parts() {
    let keys = (0..1_000).map(|number| {
        let state = match number {
            999 => State::Failing,
            990..999 => State::Held,
            _ => State::InSync,
        };
        key(&format!("key-{number:04}"), state)
    });
    let page = Page::with(keys.collect()).await;
    let started = Instant::now();
    let html = page.html("").await;
    println!(
        "1,000 keys: {} bytes in {:?}",
        html.len(),
        started.elapsed()
    );
    assert!(html.len() < 200_000, "{} bytes", html.len());
    let said = text(&html);
    assert!(said.contains("1 failing, 9 held of 1000 keys"), "{said}");
    assert!(
        said.contains("All 1000 Failing 1 Held 9 In sync 990"),
        "{said}"
    );
    assert!(said.contains("1 to 100 of 1000 Next"), "{said}");
    let rows = |html: &str| html.matches("<tbody role=\"rowgroup\" class=").count();
    assert_eq!(rows(&html), 100);
    assert!(
        said.find("key-0999") < said.find("key-0990"),
        "failing first"
    );

    let last = text(&page.html("?page=10").await);
    assert!(last.contains("Previous 901 to 1000 of 1000"), "{last}");
    let past = text(&page.html("?page=4000").await);
    assert!(past.contains("901 to 1000"), "{past}");
    assert_eq!(rows(&page.html("?state=held").await), 9);
    let found = page.html("?q=NAME+OF+key-012&refresh=off").await;
    assert_eq!(rows(&found), 10);
    assert!(!found.contains("http-equiv=\"refresh\"") && !found.contains("<script"));
    let nothing = text(&page.html("?q=nowhere&state=missing").await);
    assert!(
        nothing.contains("No key is like that. Show all"),
        "{nothing}"
    );
    page.end().await;
}

#[tokio::test]
async fn huge_requests_and_unread_answers_block_no_other_client() {
    let page = Page::with(
        (0..200)
            .map(|n| key(&n.to_string(), State::Failing))
            .collect(),
    )
    .await;
    let long = page.html(&format!("?q={}", "x".repeat(10_000))).await;
    assert!(
        text(&long).contains("No key is like that."),
        "a long search is only a search"
    );
    let mut huge = page.connect().await;
    let head = format!("GET /?q={} HTTP/1.1\r\n", "x".repeat(1 << 20));
    let _ = huge.write_all(head.as_bytes()).await;
    let answer = until_closed(&mut huge).await;
    assert!(!answer.contains(" 200 "), "{answer}");

    let mut deaf = Vec::new();
    for _ in 0..300 {
        let mut stream = page.connect().await;
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.expect("sent");
        deaf.push(stream);
    }
    assert_eq!(page.get("/livez").await.0, 200);
    page.end().await;
}

#[tokio::test]
async fn concurrent_page_requests_share_reads_of_the_state() {
    let page = Page::with(vec![key("a", State::InSync)]).await;
    let looks = (0..50).map(|_| page.html(""));
    let shown = futures_util::future::join_all(looks).await;
    assert!(shown.iter().all(|html| html.contains("Name of a")));
    let asked = page.status_source.asked.load(Ordering::Relaxed);
    // A second after the first answer it is asked again; on a loaded machine fifty may take longer.
    assert!(asked <= 10, "asked {asked} times");
    page.end().await;
}
