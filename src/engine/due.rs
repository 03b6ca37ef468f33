//! When a key's next rotation is due.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{Check, KeyId, Record, RotateConfig};
use crate::occurrence::Schedule;

/// The longest delay by which the rotations of keys that are of the same age are spread out.
const LONGEST_JITTER: Duration = Duration::from_secs(6 * 60 * 60);

/// Returns the time at which the next rotation of a key is due: counted from the time at which its live version was
/// written to the source, with a delay of up to a twentieth of the interval that is the key's own. `None` if only a
/// person asks for one, or nothing is live yet.
pub fn due_at(key: &KeyId, config: &RotateConfig, record: &Record) -> Option<DateTime<Utc>> {
    let live = record.live.as_ref()?;
    let from = live.created_at.unwrap_or(live.pushed_at);
    match config.every.as_ref()? {
        Check::Every(interval) => Some(from + *interval + jitter(key, *interval / 20)),
        Check::Cron(line) => {
            let schedule = Schedule::of(line)?;
            let at = schedule.next_after(from)?.at();
            let after = schedule.next_after(at).map(|next| next.at() - at);
            let between = after.and_then(|after| after.to_std().ok());
            Some(at + jitter(key, between.unwrap_or_default() / 20))
        }
    }
}

/// Returns a delay below `longest` that is always the same for this key.
fn jitter(key: &KeyId, longest: Duration) -> Duration {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
    let part = u32::try_from(hash % 1_000).unwrap_or_default();
    longest.min(LONGEST_JITTER) * part / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_same_age_are_not_due_at_once() {
        let day = Duration::from_secs(24 * 60 * 60);
        let delays: Vec<_> = (0..50)
            .map(|n| jitter(&KeyId::new(format!("key-{n}")), day / 20))
            .collect();
        assert!(delays.iter().all(|delay| *delay <= day / 20));
        let distinct: std::collections::BTreeSet<_> = delays.iter().collect();
        assert!(distinct.len() > 40);
        assert!(jitter(&KeyId::new("a"), 1_000 * day) <= LONGEST_JITTER);
    }
}
