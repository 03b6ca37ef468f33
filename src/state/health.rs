//! The health of a state, judged by its last operations.

use parking_lot::Mutex;

use super::StateError;

/// The error of the last operation of a kind, if it failed.
#[derive(Default)]
pub(super) struct Health {
    /// The question for requests, which is asked all the time.
    answers: Mutex<Option<StateError>>,
    /// Records, notes and whatever else is to be kept.
    writes: Mutex<Option<StateError>>,
}

impl Health {
    /// Remembers how the question for requests ended.
    pub(super) fn answered<T>(&self, result: Result<T, StateError>) -> Result<T, StateError> {
        take_down(&self.answers, result)
    }

    /// Remembers how a write ended.
    pub(super) fn written<T>(&self, result: Result<T, StateError>) -> Result<T, StateError> {
        take_down(&self.writes, result)
    }

    /// Returns `true` if the last write failed.
    pub(super) fn is_to_write_again(&self) -> bool {
        self.writes.lock().is_some()
    }

    /// Returns why the state cannot be used.
    pub(super) fn failing(&self) -> Option<StateError> {
        let writes = self.writes.lock().clone();
        writes.or_else(|| self.answers.lock().clone())
    }
}

/// Records the outcome of an operation. A lost lease is a valid answer and no sign of a failing state.
fn take_down<T>(
    last: &Mutex<Option<StateError>>,
    result: Result<T, StateError>,
) -> Result<T, StateError> {
    let error = result.as_ref().err();
    *last.lock() = error.filter(|error| **error != StateError::Lost).cloned();
    result
}
