//! Schedules become wake-ups.
