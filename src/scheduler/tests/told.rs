//! Tests of keys that an event has told of.

use super::*;

fn ids(keys: &[Scheduled]) -> Vec<KeyId> {
    keys.iter().map(|scheduled| scheduled.key.clone()).collect()
}

/// Keys whose intervals end after every test.
fn lasting(count: usize) -> Vec<Scheduled> {
    let with_period = |scheduled: Scheduled| Scheduled {
        check: Check::Every(HOUR * 10_000),
        ..scheduled
    };
    many(count, "s").into_iter().map(with_period).collect()
}

#[tokio::test(start_paused = true)]
async fn a_told_key_is_checked_without_a_wait() {
    let bench = Bench::new();
    bench.does("retries", ends(0, retry(900)));
    bench.scheduler.replace(hourly(&["retries", "well"]));
    a_moment().await;
    let told_at = Instant::now();
    let keys = vec![KeyId::new("retries"), KeyId::new("well")];
    bench.scheduler.told(keys);
    sleep(Duration::from_millis(1)).await;
    let begun = bench.fake.begun.lock().clone();
    let since: Vec<_> = begun[2..].iter().map(|(at, _)| *at - told_at).collect();
    assert_eq!(since, [Duration::ZERO; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_check_and_one_during_a_check_is_one_more() {
    let bench = Bench::new();
    bench.scheduler.replace(hourly(&["a"]));
    a_moment().await;
    bench.does("a", ends(10, WELL));
    for _ in 0..1_000 {
        bench.scheduler.told(vec![KeyId::new("a")]);
    }
    a_moment().await;
    assert_eq!(bench.looks("a"), 2);
    sleep(Duration::from_secs(5)).await;
    bench.does("a", ends(0, WELL));
    for _ in 0..1_000 {
        bench.scheduler.told(vec![KeyId::new("a")]);
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.looks("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_for_one_key_is_thinned_out_and_its_last_one_counts() {
    let bench = Bench::new();
    bench.scheduler.replace(hourly(&["a"]));
    a_moment().await;
    for _ in 0..1_000 {
        bench.scheduler.told(vec![KeyId::new("a")]);
        sleep(Duration::from_millis(1)).await;
    }
    let last = Instant::now();
    a_moment().await;
    assert!(bench.looks("a") < 60, "{}", bench.looks("a"));
    let begun = bench.fake.begun.lock().clone();
    assert!(
        begun
            .last()
            .is_some_and(|(at, _)| *at >= last - Duration::from_millis(1))
    );
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_told_keys_are_bounded_and_hold_up_no_other_source() {
    let bench = Bench::new();
    let keys = lasting(10_000);
    let all = keys
        .iter()
        .cloned()
        .chain([every(HOUR * 10_000, "other", "t")]);
    bench.scheduler.replace(all.collect());
    sleep(Duration::from_secs(60)).await;
    for key in ids(&keys) {
        bench.does(key.as_str(), ends(1, WELL));
    }
    let before = bench.fake.begun.lock().len();
    bench.scheduler.told(ids(&keys));
    bench.scheduler.told(vec![KeyId::new("other")]);
    a_moment().await;
    assert_eq!(bench.under_way(), LOOKS_PER_QUEUE);
    assert_eq!(bench.looks("other"), 2);
    sleep(Duration::from_secs(200)).await;
    assert_eq!(bench.fake.begun.lock().len() - before, 10_001);
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_each_key_of_the_source_is_checked_once() {
    let bench = Bench::new();
    bench.does("hangs", Does::Hangs);
    let mut keys = hourly(&["a", "b", "hangs"]);
    keys.push(every(HOUR, "other", "t"));
    bench.scheduler.replace(keys);
    a_moment().await;
    bench.scheduler.missed(SourceId::new("s"));
    sleep(Duration::from_secs(3)).await;
    let looks = ["a", "b", "hangs", "other"].map(|key| bench.looks(key));
    assert_eq!(looks, [2, 2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_costs_no_second_check_of_keys_whose_first_is_to_come() {
    let bench = Bench::new();
    let keys = lasting(200);
    for key in ids(&keys) {
        bench.does(key.as_str(), ends(1, WELL));
    }
    bench.scheduler.replace(keys);
    a_moment().await;
    bench.scheduler.missed(SourceId::new("s"));
    sleep(Duration::from_secs(60)).await;
    let again = bench.fake.begun.lock().len() - 200;
    assert_eq!(again, LOOKS_PER_QUEUE, "only of those under way");
}
