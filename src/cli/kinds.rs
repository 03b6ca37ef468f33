//! The kinds of source and of trigger that this program has.

use std::sync::OnceLock;

use crate::config::Kinds;

static KINDS: OnceLock<Kinds> = OnceLock::new();

/// Sets the kinds, once and before any command runs.
pub fn set_kinds(kinds: Kinds) {
    let _ = KINDS.set(kinds);
}

/// Returns the kinds.
pub fn kinds() -> Kinds {
    KINDS.get().copied().unwrap_or_default()
}
