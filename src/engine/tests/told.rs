//! What an event has told of.

use super::*;

fn told(version: &str) -> Told {
    Told {
        version: Some(Version::new(version)),
        ..Told::default()
    }
}

impl Bench {
    /// Checks the key after an event has told of this version. Returns how often the source was asked for the version
    /// alone, and how often for the newest value.
    async fn check_told(&self, version: &str) -> (usize, usize) {
        self.engine
            .told
            .tell(&self.managed.key, told(version), None);
        let before = self.source.asked();
        assert!(self.reconcile().await.well);
        let after = self.source.asked();
        (after.0 - before.0, after.1 - before.1)
    }

    fn writes(&self) -> usize {
        self.flashback.writes.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_told_version_is_read_in_one_call() {
    let bench = Bench::new().await;
    bench.reconcile().await;
    *bench.source.read.lock() = ("2", "sk-two");
    assert_eq!(bench.check_told("2").await, (0, 1));
    assert_eq!(bench.writes(), 2);
}

#[tokio::test]
async fn a_version_that_is_told_twice_costs_a_question_and_no_write() {
    let bench = Bench::new().await;
    bench.reconcile().await;
    assert_eq!(bench.check_told("1").await, (1, 0));
    assert_eq!(bench.writes(), 1);
}

#[tokio::test]
async fn an_older_version_that_is_told_late_does_not_become_live() {
    let bench = Bench::new().await;
    *bench.source.read.lock() = ("2", "sk-two");
    bench.check_told("2").await;
    *bench.source.look.lock() = Ok("2");
    assert_eq!(bench.check_told("1").await, (0, 1 + STALE.len()));
    assert_eq!(bench.writes(), 1);
    let record = bench.engine.store.load(&bench.managed.key).await;
    let live = record.expect("a record").live.expect("a live version");
    assert_eq!(live.version, Version::new("2"));
}

#[tokio::test]
async fn a_source_that_is_behind_its_event_is_asked_again() {
    let bench = Bench::new().await;
    bench.reconcile().await;
    *bench.source.behind.lock() = 2;
    *bench.source.read.lock() = ("2", "sk-two");
    assert_eq!(bench.check_told("2").await, (0, 3));
    assert_eq!(bench.writes(), 2);
}

#[tokio::test]
async fn what_was_told_counts_for_one_check() {
    let bench = Bench::new().await;
    bench.reconcile().await;
    *bench.source.read.lock() = ("2", "sk-two");
    bench.check_told("2").await;
    *bench.source.look.lock() = Ok("2");
    let before = bench.source.asked();
    bench.reconcile().await;
    assert_eq!(bench.source.asked(), (before.0 + 1, before.1));
}
