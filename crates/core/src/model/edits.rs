//! Changes that other users make to a key's configuration or stored key in Flashback.
//!
//! Credentials cannot be read back. Only the platform's system events show that another user has changed them: they
//! name an update that is not one of the rotator's own.

use serde::{Deserialize, Serialize};

/// An update of the configuration or stored key that holds a key's credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The number of the system event.
    pub id: i64,
    /// The user who made it.
    pub user_id: String,
    /// It was made by the account that the rotator uses, which people may use, too.
    pub own: bool,
}

/// The updates in Flashback that a key's record knows of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edits {
    /// The number of writes of the rotator that were begun and are not in the events yet.
    pub expected: u32,
    /// The user who has changed the credentials, until the rotator writes them again.
    pub changed_by: Option<String>,
}

/// The most writes that are expected in the events. One that was lost on its way never gets there.
const MOST_EXPECTED: u32 = 64;

impl Edits {
    /// Expects one more write of the rotator in the events. After a `pause` the earlier ones are in the events, or
    /// never will be.
    #[must_use]
    pub fn begun(&self, pause: bool) -> Self {
        let before = if pause { 0 } else { self.expected };
        Self {
            expected: (before + 1).min(MOST_EXPECTED),
            ..self.clone()
        }
    }

    /// Takes in updates that were made. Those of the rotator's own account are its own writes, up to as many as it has
    /// made.
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
    fn expected_updates_are_bounded_and_reset() {
        let mut all = Edits::default();
        for _ in 0..1_000 {
            all = all.begun(false);
        }
        assert_eq!(all.expected, MOST_EXPECTED);
        assert_eq!(all.begun(true).expected, 1);
    }
}
