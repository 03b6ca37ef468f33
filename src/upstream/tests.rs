use super::*;
use crate::model::KeyId;

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("outage")]
    Outage,
    #[error("429")]
    Busy(Option<Duration>),
    #[error("500")]
    Ill,
    #[error("refused")]
    Refused,
    #[error("timed out")]
    TimedOut,
    #[error("{1}")]
    CircuitOpen(Duration, String),
}

impl Failure for Fault {
    fn class(&self) -> Class {
        match self {
            Self::Outage | Self::TimedOut => Class::Outage { retry_after: None },
            Self::Busy(retry_after) => Class::Outage {
                retry_after: *retry_after,
            },
            Self::Ill => Class::Transient { retry_after: None },
            Self::Refused | Self::CircuitOpen(..) => Class::Refused,
        }
    }
    fn status(&self) -> String {
        self.to_string()
    }
    fn timed_out(_: Duration) -> Self {
        Self::TimedOut
    }
    fn circuit_open(retry_in: Duration, cause: &str) -> Self {
        Self::CircuitOpen(retry_in, cause.to_owned())
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<&'static str>>);

impl Outages for Seen {
    fn unavailable(&self, _: &str, _: &str, _: Duration) {
        self.0.lock().push("unavailable");
    }
    fn recovered(&self, _: &str, _: Duration) {
        self.0.lock().push("recovered");
    }
}

fn upstream(max_rps: Option<f64>) -> (Upstream, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let retry = Limits {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(30),
        give_up_after: Duration::from_secs(300),
    };
    let terms = Terms {
        max_rps,
        timeout: Duration::from_secs(10),
        permits: 16,
        retry,
    };
    (
        Upstream::new("s", terms, Arc::new(Metrics::new()), seen.clone()),
        seen,
    )
}

async fn well() -> Result<(), Fault> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_reported_once_and_probed_by_one_call() {
    let (upstream, seen) = upstream(None);
    for _ in 0..5 {
        let _ = upstream
            .call("op", async { Err::<(), _>(Fault::Outage) })
            .await;
    }
    assert!(matches!(
        upstream.call("op", well()).await,
        Err(Fault::CircuitOpen(..))
    ));
    assert_eq!(*seen.0.lock(), ["unavailable"]);

    tokio::time::advance(upstream.down_for().expect("down")).await;
    let hang = upstream.call("op", std::future::pending::<Result<(), Fault>>());
    tokio::pin!(hang);
    assert!(
        futures_util::poll!(&mut hang).is_pending(),
        "the probe goes"
    );
    assert!(matches!(
        upstream.call("op", well()).await,
        Err(Fault::CircuitOpen(..))
    ));
    assert!(matches!(hang.await, Err(Fault::TimedOut)));

    tokio::time::advance(upstream.down_for().expect("still down")).await;
    upstream.call("op", well()).await.expect("back");
    assert_eq!(*seen.0.lock(), ["unavailable", "recovered"]);
    assert!(upstream.down_for().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_probe_leaves_its_place() {
    let (upstream, _) = upstream(None);
    let _ = upstream
        .call("op", async { Err::<(), _>(Fault::Outage) })
        .await;
    tokio::time::advance(upstream.down_for().expect("down")).await;
    {
        let hang = upstream.call("op", std::future::pending::<Result<(), Fault>>());
        tokio::pin!(hang);
        assert!(futures_util::poll!(&mut hang).is_pending());
    }
    upstream
        .call("op", well())
        .await
        .expect("the next one may see");
}

#[tokio::test(start_paused = true)]
async fn a_single_hanging_call_among_successful_ones_is_no_outage() {
    let (upstream, seen) = upstream(None);
    let hang = upstream.call("op", std::future::pending::<Result<(), Fault>>());
    let work = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            upstream.call("op", well()).await.expect("well");
        }
    };
    let (hung, ()) = tokio::join!(hang, work);
    assert!(matches!(hung, Err(Fault::TimedOut)));
    assert!(seen.0.lock().is_empty());
    let _ = upstream
        .call("op", async { Err::<(), _>(Fault::Refused) })
        .await;
    assert!(upstream.down_for().is_none(), "a refusal is an answer");
}

#[tokio::test(start_paused = true)]
async fn the_budget_spaces_calls() {
    let (upstream, _) = upstream(Some(10.0));
    let started = Instant::now();
    for _ in 0..21 {
        upstream.call("op", well()).await.expect("well");
    }
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(1_800) && took <= Duration::from_millis(2_100),
        "{took:?}"
    );
}

/// Waits for `time` seconds and returns `result`.
async fn after(time: u64, result: Result<(), Fault>) -> Result<(), Fault> {
    tokio::time::sleep(Duration::from_secs(time)).await;
    result
}

#[tokio::test(start_paused = true)]
async fn quiet_that_was_asked_for_outlasts_the_answers_under_way() {
    for asked in [Some(Duration::from_secs(60)), None] {
        let (upstream, seen) = upstream(None);
        let (busy, answer) = tokio::join!(
            upstream.call("op", after(1, Err(Fault::Busy(asked)))),
            upstream.call("op", after(2, Ok(()))),
        );
        assert!(matches!(busy, Err(Fault::Busy(_))) && answer.is_ok());
        assert_eq!(*seen.0.lock(), ["unavailable"], "{asked:?}");
        let left = upstream.down_for().expect("still quiet");
        assert!(asked.is_none_or(|asked| left + Duration::from_secs(1) >= asked));
        tokio::time::advance(left).await;
        upstream.call("op", well()).await.expect("asked again");
        assert_eq!(*seen.0.lock(), ["unavailable", "recovered"]);
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_hold_back_all_though_others_are_answered() {
    let (upstream, seen) = upstream(None);
    let (_, well) = tokio::join!(
        upstream.call("op", after(2, Err(Fault::Busy(None)))),
        upstream.call("op", after(1, Ok(()))),
    );
    well.expect("answered before");
    assert_eq!(*seen.0.lock(), ["unavailable"]);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_wait_does_not_cut_a_longer_one() {
    let (upstream, _) = upstream(None);
    let busy = |time, asked| after(time, Err(Fault::Busy(Some(Duration::from_secs(asked)))));
    let _ = tokio::join!(
        upstream.call("op", busy(1, 60)),
        upstream.call("op", busy(2, 1))
    );
    let left = upstream.down_for().expect("down");
    assert!(left >= Duration::from_secs(59), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_rejected_by_an_open_circuit_use_no_budget() {
    let (upstream, _) = upstream(Some(1.0));
    let outage = Err(Fault::Busy(Some(Duration::from_secs(60))));
    let _ = upstream.call("op", after(0, outage)).await;
    let started = Instant::now();
    for _ in 0..1_000 {
        let turned_away = upstream.call("op", well()).await;
        assert!(matches!(turned_away, Err(Fault::CircuitOpen(..))));
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    tokio::time::advance(upstream.down_for().expect("down")).await;
    let started = Instant::now();
    upstream.call("op", well()).await.expect("back");
    assert!(started.elapsed() <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn while_one_goes_to_see_the_others_do_not_come_back_at_once() {
    let (upstream, _) = upstream(None);
    let _ = upstream
        .call("op", async { Err::<(), _>(Fault::Outage) })
        .await;
    tokio::time::advance(upstream.down_for().expect("down")).await;
    let hang = upstream.call("op", std::future::pending::<Result<(), Fault>>());
    tokio::pin!(hang);
    assert!(futures_util::poll!(&mut hang).is_pending());
    let Err(Fault::CircuitOpen(wait, _)) = upstream.call("op", well()).await else {
        panic!("turned away")
    };
    assert_eq!(wait, WHILE_PROBED);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_upstream_reports_no_further_outages() {
    let (upstream, seen) = upstream(None);
    let view = upstream.view();
    assert!(view.is_up() && view.is(&upstream.view()));
    let outage = async || {
        let ended: Result<(), _> = upstream.call("x", async { Err(Fault::Outage) }).await;
        ended.expect_err("an outage");
    };
    outage().await;
    assert!(!view.is_up());
    view.replaced();
    tokio::time::advance(Duration::from_secs(60)).await;
    let back: Result<(), Fault> = upstream.call("x", async { Ok(()) }).await;
    back.expect("an answer");
    assert!(view.is_up(), "calls go on as they did");
    outage().await;
    assert_eq!(*seen.0.lock(), ["unavailable"]);
    let metrics = upstream.metrics.render();
    assert!(metrics.contains("source_up{source=\"s\"} 0"), "{metrics}");
}

/// Returns the order in which calls were made that were all requested at the same time: first `looks` background calls,
/// then `urgent` ones.
async fn order(looks: usize, urgent: usize) -> Vec<&'static str> {
    let (upstream, _) = upstream(Some(10.0));
    let made = Mutex::new(Vec::new());
    let call = async |what: &'static str| {
        let _ = upstream
            .call(what, async {
                made.lock().push(what);
                tokio::time::sleep(Duration::from_millis(250)).await;
                well().await
            })
            .await;
    };
    let in_background =
        futures_util::future::join_all((0..looks).map(|_| in_background(call("look"))));
    let hurried = futures_util::future::join_all((0..urgent).map(|_| call("read")));
    tokio::join!(biased; in_background, hurried);
    made.into_inner()
}

#[tokio::test(start_paused = true)]
async fn urgent_calls_go_before_background_calls() {
    let made = order(100, 3).await;
    assert_eq!(made.len(), 103);
    let last = made.iter().rposition(|what| *what == "read");
    // At most the two calls with a saved budget and the background call in the queue were made before it.
    assert!(last <= Some(5), "{last:?} in {:?}", &made[..10]);
}

#[tokio::test(start_paused = true)]
async fn background_calls_are_not_starved_by_urgent_ones() {
    let (upstream, _) = upstream(Some(10.0));
    let upstream = Arc::new(upstream);
    let stop = tokio_util::sync::CancellationToken::new();
    for _ in 0..8 {
        let (upstream, stop) = (Arc::clone(&upstream), stop.clone());
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                let _ = upstream.call("read", well()).await;
            }
        });
    }
    let start = Instant::now();
    for _ in 0..10 {
        let _ = in_background(upstream.call("look", well())).await;
    }
    stop.cancel();
    let most = Duration::from_millis(10 * 9 * 100);
    assert!(start.elapsed() <= most, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn hanging_background_calls_leave_permits_for_urgent_ones() {
    let (upstream, _) = upstream(None);
    let hangs = || async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        well().await
    };
    let looks = (0..50).map(|_| in_background(upstream.call("look", hangs())));
    let looks = futures_util::future::join_all(looks);
    let start = Instant::now();
    let read = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        upstream.call("read", well()).await.expect("called");
        start.elapsed()
    };
    let (_, read) = tokio::join!(biased; looks, read);
    assert!(read < Duration::from_secs(1), "{read:?}");
}

/// Makes a call for the key with this number. Returns `true` if it was made.
async fn call_for(upstream: &Upstream, key: usize, result: Result<(), Fault>) -> bool {
    let key = KeyId::new(format!("k{key}"));
    let mut made = false;
    let call = upstream.call("op", async {
        made = true;
        result
    });
    let _ = on_behalf_of(&key, call).await;
    made
}

#[tokio::test(start_paused = true)]
async fn faults_of_several_keys_with_nothing_between_are_an_outage() {
    let (upstream, seen) = upstream(None);
    let mut made = 0;
    for key in 0..30 {
        made += usize::from(call_for(&upstream, key, Err(Fault::Ill)).await);
    }
    assert!((2..=5).contains(&made), "{made} calls");
    assert_eq!(*seen.0.lock(), ["unavailable"]);
    for key in 0..3 {
        let left = upstream.down_for().expect("still ill");
        tokio::time::advance(left).await;
        assert!(
            call_for(&upstream, key, Err(Fault::Ill)).await,
            "it goes to see"
        );
        assert!(!call_for(&upstream, 7, Ok(())).await, "held back");
    }
    tokio::time::advance(upstream.down_for().expect("still ill")).await;
    assert!(call_for(&upstream, 9, Ok(())).await);
    assert_eq!(*seen.0.lock(), ["unavailable", "recovered"]);
    assert!(upstream.down_for().is_none());
}

#[tokio::test(start_paused = true)]
async fn faults_of_one_key_beside_working_ones_are_its_own() {
    let (upstream, seen) = upstream(None);
    for round in 0..100 {
        assert!(call_for(&upstream, 0, Err(Fault::Ill)).await);
        assert!(call_for(&upstream, 1 + round % 9, Ok(())).await);
    }
    for _ in 0..100 {
        assert!(
            call_for(&upstream, 0, Err(Fault::Ill)).await,
            "nobody else calls"
        );
    }
    for key in [0, 1, 2, 3, 0, 1, 2, 3] {
        assert!(
            call_for(&upstream, key, Err(Fault::Ill)).await,
            "others are not known to fail"
        );
    }
    assert!(seen.0.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_service_of_two_keys_is_ill_when_both_fail_and_of_one_never() {
    let (upstream, seen) = upstream(None);
    for _ in 0..20 {
        assert!(call_for(&upstream, 0, Err(Fault::Ill)).await);
    }
    assert!(seen.0.lock().is_empty());
    call_for(&upstream, 1, Err(Fault::Ill)).await;
    assert_eq!(*seen.0.lock(), ["unavailable"]);
}

#[tokio::test(start_paused = true)]
async fn faults_of_calls_that_began_before_another_worked_do_not_count() {
    let (upstream, seen) = upstream(None);
    let slow = |key: usize| {
        let upstream = &upstream;
        let key = KeyId::new(format!("slow-{key}"));
        async move { on_behalf_of(&key, upstream.call("op", after(2, Err(Fault::Ill)))).await }
    };
    let all = futures_util::future::join_all((0..10).map(slow));
    let (_, well) = tokio::join!(all, upstream.call("op", after(1, Ok(()))));
    well.expect("answered");
    assert!(seen.0.lock().is_empty());
}
