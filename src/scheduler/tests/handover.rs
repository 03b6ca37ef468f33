//! Tests of keys that another process hands over, and of keys that are handed over to another.

use super::*;
use crate::config::CronLine;

fn line(expression: &str) -> CronLine {
    CronLine {
        expression: expression.into(),
        timezone: "UTC".to_owned(),
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

#[tokio::test(start_paused = true)]
async fn a_key_checked_by_another_process_waits_for_its_schedule() {
    let bench = Bench::new();
    let yearly = line("0 0 0 1 1 *");
    let rests = Scheduled {
        check: Check::Cron(yearly.clone()),
        first: First::OnSchedule,
        ..every(HOUR, "rests", "s")
    };
    bench
        .scheduler
        .replace(vec![rests, every(HOUR, "fresh", "s")]);
    a_moment().await;
    assert_eq!((bench.looks("rests"), bench.looks("fresh")), (0, 1));
    assert_eq!(bench.scheduler.unseen(), 0, "nothing is waited for");
    bench.scheduler.send(Event::Cron(yearly, Utc::now()));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(bench.looks("rests"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_with_another_cause_counts_for_no_cron_occurrence() {
    let bench = Bench::new();
    let yearly = line("0 0 0 1 1 *");
    let key = Scheduled {
        check: Check::Cron(yearly.clone()),
        ..every(HOUR, "a", "s")
    };
    bench.scheduler.replace(vec![key]);
    a_moment().await;
    bench.scheduler.send(Event::Cron(yearly, Utc::now()));
    bench.scheduler.changed(vec![KeyId::new("a")]);
    sleep(Duration::from_secs(5)).await;
    assert!(bench.looks("a") >= 2);
    let told = bench.fake.occurrences.lock().len();
    assert!(told < bench.looks("a") - 1, "the change is looked at");
}

#[tokio::test(start_paused = true)]
async fn half_the_keys_gone_the_others_keep_their_pace() {
    let bench = Bench::new();
    let minute = Duration::from_secs(60);
    let keys: Vec<Scheduled> = (0..40)
        .map(|number| every(minute, &format!("k{number:02}"), "s"))
        .collect();
    bench.scheduler.replace(keys.clone());
    sleep(minute * 2).await;
    // The first half leaves and comes back in turn, which moves the slot of every key that stays.
    for round in 0..6 {
        let from = if round % 2 == 0 { 20 } else { 0 };
        bench.scheduler.replace(keys[from..].to_vec());
        sleep(Duration::from_secs(25)).await;
    }
    sleep(minute * 3).await;
    let begun = bench.fake.begun.lock().clone();
    for key in keys[20..].iter().map(|scheduled| scheduled.key.as_str()) {
        let of_key: Vec<Instant> = begun
            .iter()
            .filter(|(_, name)| name == key)
            .map(|(at, _)| *at)
            .collect();
        // The first run is at once, and not on schedule.
        for pair in of_key[1..].windows(2) {
            let apart = pair[1] - pair[0];
            let slack = Duration::from_secs(3);
            assert!(apart + slack >= minute / 4, "{key}: {apart:?}");
            assert!(apart <= minute * 3 / 2 + slack, "{key}: {apart:?}");
        }
    }
}

#[test]
fn an_occurrence_is_served_by_whoever_wrote_down_the_next_one() {
    let daily = Check::Cron(line("0 0 3 * * *"));
    let occurrence = at("2026-05-01T03:00:00Z");
    let served = |next_at: &str| is_served(&daily, occurrence, Some(at(next_at)));
    assert!(served("2026-05-02T03:00:00Z"), "the next one is waited for");
    assert!(served("2026-05-01T03:15:00Z"), "what failed is tried again");
    assert!(
        !served("2026-05-01T03:00:00Z"),
        "it is this one that is waited for"
    );
    assert!(!served("2026-04-30T03:15:00Z"), "nobody has looked");
    assert!(!served("2026-06-01T00:00:00Z"), "that is of another line");
    assert!(!is_served(&daily, occurrence, None));
    assert!(!is_served(
        &Check::Every(HOUR),
        occurrence,
        Some(at("2026-05-01T04:00:00Z"))
    ));
}
