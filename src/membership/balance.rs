//! The balance of keys among replicas. PURE: this module does no I/O and reads no clock; the caller passes in
//! what is known and carries out what is decided.
//!
//! All replicas compute the same shares from the state: with `n` keys and `k` daemons each gets `n / k`, and
//! the daemons that joined first get one more if there is a remainder. A replica claims free keys up to its
//! share and announces how many more it wants. A replica with more than its share releases as many as others
//! want, and no more. So no replica takes keys from another, keys move only towards their final place, and
//! nothing moves once every replica has its share.
//!
//! Replicas may have different configurations, as they do during an upgrade. A key that stays free for that
//! reason may be claimed beyond the share by any replica that has it configured.

use std::time::Duration;

use tokio::time::Instant;

use crate::state::membership::{Role, Standing};

/// The number of ticks for which keys must stay free before a replica claims them beyond its share. Replicas
/// that are short of keys claim them first.
const PATIENCE: u32 = 3;

/// The number of ticks that are added to [`PATIENCE`] while another replica is short of keys.
const MORE_PATIENCE: u32 = 3;

/// The number of ticks to wait after a claim that obtained nothing: the free keys then belong to another
/// configuration.
const REST: u32 = 15;

/// Returns a daemon's share of `keys` among `daemons`, of which `rank` joined before it.
pub fn part(keys: u32, daemons: u32, rank: u32) -> u32 {
    let daemons = daemons.max(1);
    keys / daemons + u32::from(rank < keys % daemons)
}

/// The changes that a replica makes to its leases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The number of keys to claim.
    pub claim: u32,
    /// `true` if the keys to claim are beyond the share.
    pub over: bool,
    /// The number of keys to release.
    pub give: u32,
    /// The number of keys that are missing from the share, before the claim.
    pub wants: u32,
}

/// The state that a replica keeps from one decision to the next.
#[derive(Debug, Default)]
pub struct Balance {
    /// The number of consecutive ticks in which keys were free although this replica had its share.
    free_for: u32,
    /// The number of ticks until it may claim beyond its share again.
    rest: u32,
}

impl Balance {
    /// Decides what a replica does that has leased `held` of its `configured` keys.
    pub fn decide(&mut self, role: Role, standing: &Standing, configured: u32, held: u32) -> Wish {
        let share = match role {
            Role::Daemon => part(configured, standing.daemons, standing.rank),
            Role::Command => configured,
        };
        let wants = share.saturating_sub(held);
        self.rest = self.rest.saturating_sub(1);
        let room = configured.saturating_sub(held);
        if wants > 0 || standing.free == 0 || room == 0 {
            self.free_for = 0;
            let above = held.saturating_sub(share);
            return Wish {
                claim: wants.min(standing.free),
                over: false,
                give: above.min(standing.wanted),
                wants,
            };
        }
        self.free_for += 1;
        let patience = match standing.wanted {
            0 => PATIENCE,
            _ => PATIENCE + MORE_PATIENCE,
        };
        let patient = self.free_for > patience && self.rest == 0;
        // Other replicas wait for the same moment and should get as many keys.
        let each = standing.free.div_ceil(standing.daemons.max(1));
        Wish {
            claim: if patient { each.min(room) } else { 0 },
            over: patient,
            give: held.saturating_sub(share).min(standing.wanted),
            wants,
        }
    }

    /// Records that a claim beyond the share obtained nothing.
    pub fn in_vain(&mut self) {
        self.rest = REST;
    }
}

/// The time for which this replica has been in contact with the state without interruption.
#[derive(Debug, Default)]
pub struct Contact {
    /// The first and the last renewal of the current uninterrupted series.
    steady: Option<(Instant, Instant)>,
}

impl Contact {
    /// Records that a renewal requested at `asked_at` was answered.
    pub fn renewed(&mut self, asked_at: Instant, lease: Duration) {
        let since = match self.steady {
            Some((since, last)) if asked_at.duration_since(last) <= gap(lease) => since,
            _ => asked_at,
        };
        self.steady = Some((since, asked_at));
    }

    /// Returns `true` if the last renewal was requested no longer than a quarter of a lease ago.
    pub fn is_fresh(&self, now: Instant, lease: Duration) -> bool {
        self.steady
            .is_some_and(|(_, last)| now.duration_since(last) <= lease / 4)
    }

    /// Returns `true` if this replica may evict others: only once they have had a whole lease to renew
    /// theirs, as it had itself. A replica that was cut off, or found the state unavailable, cannot tell dead
    /// replicas from those that were cut off with it.
    pub fn may_evict(&self, now: Instant, lease: Duration) -> bool {
        self.steady.is_some_and(|(since, last)| {
            now.duration_since(last) <= gap(lease) && now.duration_since(since) > lease
        })
    }
}

/// Returns the longest time between two renewals of one series. An interruption that is shorter leaves every
/// lease enough time.
fn gap(lease: Duration) -> Duration {
    lease / 2
}

#[cfg(test)]
mod tests;
