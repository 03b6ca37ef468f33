//! How long a rotation takes with each way of hearing about it, beside polling, OpenBao's agent and a shell
//! loop. One after the other, all with as many keys, rotations at random moments, and one OpenBao with both of
//! its audit devices.

mod discovered;
pub mod faults;
mod others;
mod queue;
mod rotations;
mod row;
pub mod stalled;
mod vault;

use crate::common::report::Report;
use crate::common::store::Store;
use crate::contender::{Kind, Roles};
use crate::length::Length;
use vault::Way;

pub async fn hold(report: &mut Report, length: &Length) {
    let store = Store::with_socket().await;
    let roles = Roles::make(&store).await;
    let mut rows = Vec::new();
    let ways = [
        Way::File,
        Way::Socket,
        Way::Notify,
        Way::Replicas,
        Way::Poll("1s"),
        Way::Poll("30s"),
    ];
    for way in ways {
        eprintln!("events: {way:?}");
        let row = vault::measure(way, &store, roles.of(Kind::Rotator), length).await;
        eprintln!("{}", row.latency.shown());
        rows.push(row);
        store.audit.clear();
    }
    eprintln!("events: files");
    rows.insert(3, others::files(length).await);
    eprintln!("events: a queue");
    rows.splice(4..4, queue::measure(length).await);
    for kind in [Kind::Agent, Kind::Loop] {
        eprintln!("events: {kind:?}");
        rows.push(others::contender(kind, &store, &roles, length).await);
        store.audit.clear();
    }
    eprintln!("events: discovery");
    // The secrets of the other ways are not to be discovered.
    let empty = Store::start().await;
    let lists = empty.listing_role("rotator").await;
    let discovered = discovered::measure(&empty, &lists, length).await;
    let (keys, rotations) = length.events;
    println!("\n{keys} keys, {rotations} rotations of each:");
    report.table(&[
        "latency",
        "median, by that of the audit file",
        "calls to OpenBao a key and minute",
        "CPU, of one core",
    ]);
    let unit = rows[0].latency.median();
    for row in rows {
        row.print(report, unit);
    }
    discovered.print(report, unit);
}
