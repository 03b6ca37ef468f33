//! Who holds how many keys. PURE: what is known goes in, what is to be done comes out.
//!
//! Everybody comes to the same shares from what the state says: `n` keys among `k` daemons, the
//! ones that joined first having one more where it does not come out even. A replica claims what is
//! free up to its share, and says how many more it would like; who has more than its share gives
//! back what others would like, and nothing else. So nobody takes from anybody, keys move only
//! towards their place, and where all have what they want nothing moves.
//!
//! Replicas need not have the same configuration (during an upgrade they have not). What stays free
//! all the same is for whoever can use it, over the share.

use std::time::Duration;

use tokio::time::Instant;

use crate::state::membership::{Role, Standing};

/// So many ticks keys have to be free before somebody claims them over its share: those who are
/// short of keys take them first …
const PATIENCE: u32 = 3;

/// … and so many more as long as somebody is short of keys.
const MORE_PATIENCE: u32 = 3;

/// After a claim that brought nothing this many ticks pass before the next one: what is free then is
/// of another configuration.
const REST: u32 = 15;

/// The keys a replica should have: its part of `keys` among `daemons`.
pub fn part(keys: u32, daemons: u32, rank: u32) -> u32 {
    let daemons = daemons.max(1);
    keys / daemons + u32::from(rank < keys % daemons)
}

/// What is to be done about the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Claim so many.
    pub claim: u32,
    /// They are over the share.
    pub over: bool,
    /// Give so many back.
    pub give: u32,
    /// How many more it would like, before it claims.
    pub wants: u32,
}

/// What a replica remembers between two decisions.
#[derive(Debug, Default)]
pub struct Balance {
    /// Ticks in a row in which keys were free that it had no place for.
    free_for: u32,
    /// Ticks until it may claim over its share again.
    rest: u32,
}

impl Balance {
    /// What a replica with `held` of its `configured` keys does.
    pub fn decide(&mut self, role: Role, standing: &Standing, configured: u32, held: u32) -> Wish {
        let membership = match role {
            Role::Daemon => part(configured, standing.daemons, standing.rank),
            Role::Command => configured,
        };
        let wants = membership.saturating_sub(held);
        self.rest = self.rest.saturating_sub(1);
        let room = configured.saturating_sub(held);
        if wants > 0 || standing.free == 0 || room == 0 {
            self.free_for = 0;
            let above = held.saturating_sub(membership);
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
        // Others wait for the same moment, and are to have as many.
        let each = standing.free.div_ceil(standing.daemons.max(1));
        Wish {
            claim: if patient { each.min(room) } else { 0 },
            over: patient,
            give: held.saturating_sub(membership).min(standing.wanted),
            wants,
        }
    }

    /// What was claimed over the share brought nothing.
    pub fn in_vain(&mut self) {
        self.rest = REST;
    }
}

/// Since when this replica has been in touch with the state.
#[derive(Debug, Default)]
pub struct Contact {
    /// Of the renewals in a row: the first and the last.
    steady: Option<(Instant, Instant)>,
}

impl Contact {
    /// A renewal that was asked for at `asked_at` was answered.
    pub fn renewed(&mut self, asked_at: Instant, lease: Duration) {
        let since = match self.steady {
            Some((since, last)) if asked_at.duration_since(last) <= gap(lease) => since,
            _ => asked_at,
        };
        self.steady = Some((since, asked_at));
    }

    /// Whether the last renewal was asked for a short while ago.
    pub fn is_fresh(&self, now: Instant, lease: Duration) -> bool {
        self.steady
            .is_some_and(|(_, last)| now.duration_since(last) <= lease / 4)
    }

    /// Whether the others have had a whole lease to renew theirs, as this one had. Who was away
    /// itself, or found the state away, cannot tell the dead from those who were away with it.
    pub fn may_evict(&self, now: Instant, lease: Duration) -> bool {
        self.steady.is_some_and(|(since, last)| {
            now.duration_since(last) <= gap(lease) && now.duration_since(since) > lease
        })
    }
}

/// Renewals no further apart than this are in a row. An outage that is shorter leaves every lease
/// enough of its time.
fn gap(lease: Duration) -> Duration {
    lease / 2
}

#[cfg(test)]
mod tests;
