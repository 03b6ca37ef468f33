//! A mount that does not answer, which no test can have for real.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::retry::Limits;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Outages, Terms};

struct Silent;

impl Outages for Silent {
    fn unavailable(&self, _: &str, _: &str, _: Duration) {}
    fn recovered(&self, _: &str, _: Duration) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_hangs_takes_no_more_than_its_threads() {
    let wait = Duration::from_millis(1);
    let terms = Terms {
        max_rps: None,
        timeout: wait,
        permits: 16,
        retry: Limits {
            initial: wait,
            max: wait,
            give_up_after: wait,
        },
    };
    let upstream = Upstream::new("files", terms, Arc::new(Metrics::new()), Arc::new(Silent));
    let source = FileSource::new(
        SourceId::new("files"),
        PathBuf::from("/"),
        Fingerprinter::ephemeral(),
        upstream,
    );
    let (answers, hung) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let mut timed_out = 0;
    while timed_out < 2 * THREADS {
        let (answers, hung) = (Arc::clone(&answers), Arc::clone(&hung));
        let work = move || {
            hung.fetch_add(1, Ordering::Relaxed);
            while !answers.load(Ordering::Relaxed) {
                std::thread::sleep(wait);
            }
            Ok(())
        };
        match source.blocking("read_file", work).await {
            Err(SourceError::Unavailable { .. }) => timed_out += 1,
            Err(SourceError::CircuitOpen { .. }) => tokio::time::sleep(wait).await,
            other => panic!("{other:?}"),
        }
    }
    let hung = hung.load(Ordering::Relaxed);
    answers.store(true, Ordering::Relaxed);
    assert_eq!(hung, THREADS);
    // It answers again, and so does the source.
    for _ in 0..10_000 {
        if source.blocking("read_file", || Ok(())).await.is_ok() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
    panic!("the source does not answer");
}
