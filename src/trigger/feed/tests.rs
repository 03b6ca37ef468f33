//! What is left in a feed, and what is taken out of it.

use super::*;

fn feed() -> (Feed, SourceId) {
    (Feed::new(Arc::default()), SourceId::new("s"))
}

async fn news(feed: &Feed) -> News {
    let mut taken = feed.take().await;
    let only = taken.pop().expect("news of the source");
    assert!(taken.is_empty());
    feed.done(&only);
    only.news
}

#[tokio::test]
async fn many_changes_of_one_secret_are_one() {
    let (feed, source) = feed();
    for number in 1..=1_000 {
        let version = Some(Version::new(number.to_string()));
        feed.heard(
            &source,
            Heard {
                version,
                ..Heard::of("a")
            },
        );
    }
    let news = news(&feed).await;
    let versions: Vec<_> = news.heard.values().map(|it| it.version.clone()).collect();
    assert_eq!(versions, [Some(Version::new("1000"))]);
    assert!(news.missed.is_none() && !news.turned);
}

#[tokio::test]
async fn more_than_is_kept_is_missed_and_nothing_else_is_lost() {
    let (feed, source) = feed();
    for number in 0..2 * MOST {
        feed.heard(&source, Heard::of(number.to_string()));
    }
    let news = news(&feed).await;
    assert_eq!(news.heard.len(), MOST);
    assert!(news.missed.is_some());
}

#[tokio::test]
async fn a_turn_is_told_once_and_misses_what_came_before() {
    let (feed, source) = feed();
    feed.down(&source, "not there");
    assert!(news(&feed).await.turned);
    feed.down(&source, "not there");
    assert!(!news(&feed).await.turned);
    feed.up(&source);
    let up = news(&feed).await;
    assert!(up.turned && up.missed.is_some() && feed.is_up(&source));
    assert_eq!(feed.why_down(&source), None);
}

#[tokio::test]
async fn what_was_left_counts_as_scheduled_once_the_router_says_so() {
    let (feed, source) = feed();
    feed.heard(&source, Heard::of("a"));
    let taken = feed.take().await;
    feed.heard(&source, Heard::of("b"));
    let scheduled = feed.scheduled(&source);
    tokio::pin!(scheduled);
    taken.iter().for_each(|taken| feed.done(taken));
    assert!(futures_util::poll!(&mut scheduled).is_pending());
    feed.take().await.iter().for_each(|taken| feed.done(taken));
    scheduled.await;
}

/// Returns a feed whose events have begun long ago, and a time at which a change was made since.
async fn long_up() -> (Feed, SourceId, DateTime<Utc>) {
    let (feed, source) = feed();
    feed.up(&source);
    news(&feed).await;
    (feed, source, Utc::now() + chrono::TimeDelta::minutes(1))
}

#[tokio::test(start_paused = true)]
async fn events_that_do_not_come_count_as_down_until_one_comes() {
    let (feed, source, at) = long_up().await;
    feed.unheard(&source, "a", Some(at));
    feed.doubt();
    assert!(feed.is_up(&source), "it may be on its way");
    tokio::time::sleep(std::time::Duration::from_secs(31)).await;
    feed.doubt();
    assert!(!feed.is_up(&source) && news(&feed).await.turned);
    feed.heard(&source, Heard::of("b"));
    assert!(feed.is_up(&source) && news(&feed).await.turned);
}

#[tokio::test(start_paused = true)]
async fn a_late_event_and_a_change_from_before_are_held_against_nothing() {
    let (feed, source, at) = long_up().await;
    feed.unheard(&source, "a", Some(at));
    feed.unheard(&source, "b", Some(Utc::now()));
    feed.unheard(&source, "c", None);
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    feed.heard(&source, Heard::of("a"));
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    feed.doubt();
    assert!(feed.is_up(&source));
}
