//! With PostgreSQL any number of replicas share the keys.

mod commands;
mod fail_over;
mod outage;
mod sharing;

use crate::logs::all_conform;
use crate::support::replicas::Replicas;

/// Fails where Flashback does not have this round's values as it should, or the replicas logged what is
/// not described.
fn sound(replicas: &Replicas, round: u32) {
    replicas.sound(round);
    for rotator in &replicas.all {
        all_conform(&rotator.events());
    }
}
