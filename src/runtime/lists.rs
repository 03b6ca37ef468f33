//! The lists that Flashback returned last.

use std::sync::Arc;

use super::instance::Runtime;
use crate::engine::Lists;
use crate::flashback::Flashback;

/// Returns the old lists if they are of the same Flashback, seen by the same account, and empty ones otherwise.
pub(super) fn lists(flashback: &Arc<dyn Flashback>, old: Option<&Runtime>) -> Arc<Lists> {
    match old {
        Some(old) if Arc::ptr_eq(flashback, &old.engine.flashback) => Arc::clone(&old.engine.lists),
        _ => Arc::default(),
    }
}
