//! The kinds of source that this program has.

use std::sync::OnceLock;

use crate::source::Kinds;

static KINDS: OnceLock<Kinds> = OnceLock::new();

/// Sets the kinds of source, once and before any command runs.
pub fn set_kinds(kinds: Kinds) {
    let _ = KINDS.set(kinds);
}

/// Returns the kinds of source.
pub fn kinds() -> Kinds {
    KINDS.get().copied().unwrap_or_default()
}
