//! Changes by others to a key's configuration or stored key, as reported by Flashback.
//!
//! Credentials cannot be read back. A change of them by others can therefore be noticed in one way only: the
//! platform's system events list an update that is not one of the rotator's own.

use serde::{Deserialize, Serialize};

/// An update of the configuration or stored key that holds a key's credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The number of the system event.
    pub id: i64,
    /// The user who made it.
    pub user_id: String,
    /// `true` if it was made by the rotator's own account, which people may use as well.
    pub own: bool,
}

/// The part of a key's record about updates by others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edits {
    /// The number of writes the rotator has begun whose event has not been seen.
    pub expected: u32,
    /// The user who has changed the credentials, until the rotator writes them again.
    pub changed_by: Option<String>,
}

/// The most writes that are expected to be seen. Without a limit, writes that were lost on their way would be
/// expected forever.
const MOST_EXPECTED: u32 = 64;

impl Edits {
    /// Records that a write begins, for which Flashback will report an event if the write arrives. `pause`
    /// says that enough time has passed since earlier writes: their events have been seen, or never will be.
    #[must_use]
    pub fn begun(&self, pause: bool) -> Self {
        let before = if pause { 0 } else { self.expected };
        Self {
            expected: (before + 1).min(MOST_EXPECTED),
            ..self.clone()
        }
    }

    /// Records updates that were made. Those of the rotator's own account count as its own writes, up to the
    /// number of writes it has begun.
    #[must_use]
    pub fn heard(&self, edits: &[Edit]) -> Self {
        let mut own = edits.iter().filter(|edit| edit.own);
        let own_writes = u32::try_from(own.clone().count()).unwrap_or(u32::MAX);
        let surplus = own.next_back().filter(|_| own_writes > self.expected);
        let changed_by = edits.iter().find(|edit| !edit.own).or(surplus);
        Self {
            expected: self.expected.saturating_sub(own_writes),
            changed_by: changed_by
                .map(|edit| edit.user_id.clone())
                .or_else(|| self.changed_by.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(all: &[(&str, bool)]) -> Vec<Edit> {
        let edit = |(number, (user, own)): (i64, &(&str, bool))| Edit {
            id: number,
            user_id: (*user).to_owned(),
            own: *own,
        };
        (1..).zip(all).map(edit).collect()
    }

    #[test]
    fn updates_beyond_the_own_writes_are_somebody_elses() {
        let two = Edits::default().begun(false).begun(false);
        for (heard, expected, changed_by) in [
            (&[][..], 2, None),
            (&[("me", true)], 1, None),
            (&[("me", true), ("me", true)], 0, None),
            (&[("me", true), ("me", true), ("me", true)], 0, Some("me")),
            (&[("other", false)], 2, Some("other")),
            (&[("me", true), ("other", false)], 1, Some("other")),
        ] {
            let after = two.heard(&edits(heard));
            assert_eq!(
                (after.expected, after.changed_by.as_deref()),
                (expected, changed_by)
            );
        }
    }

    #[test]
    fn what_was_lost_on_the_way_is_not_expected_for_ever() {
        let mut all = Edits::default();
        for _ in 0..1_000 {
            all = all.begun(false);
        }
        assert_eq!(all.expected, MOST_EXPECTED);
        assert_eq!(all.begun(true).expected, 1);
    }
}
