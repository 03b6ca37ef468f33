use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt as _;
use tokio::io::{AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::credential::SecretRef;
use crate::model::SourceId;
use crate::source::vault::{KvVersion, VaultAuth, VaultConfig, VaultLook};
use crate::telemetry::metrics::Metrics;
use crate::trigger::feed::{Feed, News};

const RECORD: &[u8] =
    b"{\"type\":\"response\",\"request\":{\"operation\":\"update\",\"path\":\"secret/data/x\"}}\n";

struct Bed {
    ear: Ear,
    feed: Arc<Feed>,
    engine: Engine,
}

impl Bed {
    fn new() -> Self {
        let feed = Arc::new(Feed::new(Arc::new(Metrics::new())));
        let engine = Engine::of(&VaultConfig {
            address: "http://127.0.0.1:8200".to_owned(),
            namespace: None,
            mount: "secret".to_owned(),
            kv_version: KvVersion::V2,
            ca_file: None,
            look: VaultLook::Auto,
            auth: VaultAuth::Token {
                token: SecretRef::Env("UNUSED".to_owned()),
            },
        });
        let ear = Ear::new(SourceId::new("vault"), Arc::clone(&feed));
        Self { ear, feed, engine }
    }

    fn is_up(&self) -> bool {
        self.feed.is_up(self.ear.source())
    }

    fn news(&self) -> News {
        match self.feed.take().now_or_never() {
            Some(mut taken) => {
                self.feed.done(&taken[0]);
                std::mem::take(&mut taken[0].news)
            }
            None => News::default(),
        }
    }
}

fn connection() -> (DuplexStream, Connection) {
    let (ours, theirs) = tokio::io::duplex(4 << 20);
    (ours, Box::new(theirs))
}

/// Lets a reader do all it can.
async fn run(reading: impl Future<Output = ()>) -> bool {
    let mut reading = pin!(reading);
    for _ in 0..1000 {
        let ended = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context).is_ready())).await;
        if ended {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn changes_are_heard_from_the_first_record_to_the_end_of_the_last_connection() {
    let bed = Bed::new();
    let senders = Senders::new(&bed.ear, &bed.engine);
    let (mut first, to_first) = connection();
    let (mut second, to_second) = connection();
    let mut one = Box::pin(senders.read(to_first));
    let mut two = Box::pin(senders.read(to_second));
    assert!(!run(&mut one).await);
    assert!(!bed.is_up(), "a connection alone is no audit device");
    first.write_all(RECORD).await.expect("written");
    second.write_all(RECORD).await.expect("written");
    assert!(!run(&mut one).await && !run(&mut two).await);
    assert!(bed.is_up());
    assert_eq!(bed.news().heard.len(), 1);

    drop(first);
    assert!(run(one).await);
    assert!(bed.is_up(), "the other one is open");
    assert!(bed.news().missed.is_some());
    drop(second);
    assert!(run(two).await);
    assert!(!bed.is_up());
}

#[tokio::test]
async fn what_is_no_audit_device_is_disconnected_and_changes_nothing() {
    let bed = Bed::new();
    let senders = Senders::new(&bed.ear, &bed.engine);
    let endless = vec![b'a'; 2 << 20];
    for sent in [&b"GET / HTTP/1.1\r\n"[..], &endless] {
        let (mut ours, theirs) = connection();
        ours.write_all(sent).await.expect("written");
        assert!(run(senders.read(theirs)).await, "it is disconnected");
    }
    assert!(!bed.is_up());
    let news = bed.news();
    assert!(news.missed.is_none() && news.heard.is_empty());
}

#[tokio::test]
async fn a_record_without_an_end_is_missed_and_the_next_one_is_heard() {
    let bed = Bed::new();
    let senders = Senders::new(&bed.ear, &bed.engine);
    let (mut ours, theirs) = connection();
    let mut reading = Box::pin(senders.read(theirs));
    ours.write_all(b"{\"type\":\"request\"}\n")
        .await
        .expect("written");
    assert!(!run(&mut reading).await);
    bed.news();
    ours.write_all(&vec![b'a'; 2 << 20]).await.expect("written");
    assert!(!run(&mut reading).await);
    let news = bed.news();
    assert_eq!(news.missed, Some("an audit record was too long to be read"));
    ours.write_all(b"\n").await.expect("written");
    ours.write_all(RECORD).await.expect("written");
    assert!(!run(&mut reading).await);
    assert_eq!(bed.news().heard.len(), 1);
}

#[tokio::test]
async fn connections_are_bounded_and_the_oldest_silent_one_is_ended() {
    let bed = Bed::new();
    let senders = Senders::new(&bed.ear, &bed.engine);
    let mut open = Vec::new();
    for number in 0..MOST {
        let (mut ours, theirs) = connection();
        if number == 0 {
            ours.write_all(RECORD).await.expect("written");
        }
        let mut reading = Box::pin(senders.read(theirs));
        assert!(!run(&mut reading).await);
        open.push((ours, reading));
    }
    let (_ours, theirs) = connection();
    let mut reading = Box::pin(senders.read(theirs));
    assert!(!run(&mut reading).await, "the newest one is read");
    assert!(run(&mut open[1].1).await, "the oldest silent one has ended");
    assert!(!run(&mut open[0].1).await && bed.is_up());
}
