//! An outage in which Flashback answers 503, and during which every key is rotated.

use std::time::Duration;

use chrono::{DateTime, Utc};
use flashback_rotator::flashback::sandbox::{Rule, sha256_hex};
use tokio::time::{Instant, sleep_until};

use crate::common::report::{Report, millis};
use crate::common::store::{Store, secret};
use crate::contender::{Contender, Kind, Roles};
use crate::length::Length;

/// The contenders. None uses so much CPU that it would slow another down, so all see the same rotations.
const CONTENDERS: [Kind; 4] = [Kind::Rotator, Kind::Agent, Kind::PatientAgent, Kind::Loop];

const INTERVAL: Duration = Duration::from_secs(1);

const PATIENCE: Duration = Duration::from_secs(60);

pub async fn hold(report: &mut Report, length: &Length) {
    let (keys, outage, after) = length.outage;
    eprintln!("an outage of {outage:?}");
    let store = Store::start().await;
    let roles = Roles::make(&store).await;
    store.fill(keys, "before").await;
    let mut contenders = Vec::new();
    for kind in CONTENDERS {
        contenders.push(Contender::start(kind, &store, &roles, keys, INTERVAL).await);
    }
    for contender in &contenders {
        contender.flashback.filled(keys, "before", PATIENCE).await;
    }

    for contender in &contenders {
        contender.flashback.sandbox.fail(Rule::status(503));
    }
    let begun = Instant::now();
    let rotations = (0..keys).map(|key| {
        let (store, at) = (&store, begun + outage.mul_f64(rand::random()));
        async move {
            sleep_until(at).await;
            store.write(key, &secret(key, "meanwhile")).await;
        }
    });
    futures_util::future::join_all(rotations).await;
    sleep_until(begun + outage).await;
    let healed_at = Utc::now();
    for contender in &contenders {
        contender.flashback.sandbox.heal();
    }
    sleep_until(begun + outage + after).await;

    report_outage(report, &contenders, length, healed_at);
}

/// Reports what each contender has lost, and when the last key became current.
fn report_outage(
    report: &mut Report,
    contenders: &[Contender],
    length: &Length,
    healed_at: DateTime<Utc>,
) {
    let (keys, outage, after) = length.outage;
    let newest: Vec<String> = (0..keys).map(|key| secret(key, "meanwhile")).collect();
    let lost = |contender: &Contender| contender.flashback.stale(newest.iter().enumerate()).len();
    let lost: Vec<usize> = contenders.iter().map(lost).collect();
    let last = |contender: &Contender| {
        let arrivals = contender.flashback.arrivals();
        let arrived = newest
            .iter()
            .filter_map(|one| arrivals.get(&sha256_hex(one)));
        let last = arrived
            .max()
            .map(|at| (*at - healed_at).to_std().unwrap_or_default());
        last.map_or_else(|| "none".to_owned(), millis)
    };
    report.table(&CONTENDERS.map(Kind::name));
    report.row(
        &format!(
            "keys of {keys} not current {after:?} after an outage of {outage:?} in which each was rotated"
        ),
        &lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "none of ours",
        Some(lost[0] == 0),
    );
    report.row(
        "end of the outage to the last key that became current",
        &contenders.iter().map(last).collect::<Vec<_>>(),
        "",
        None,
    );
}
