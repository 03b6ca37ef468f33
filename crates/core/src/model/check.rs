//! When something is done again and again.

use std::time::Duration;

/// The times at which a key is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// At this interval.
    Every(Duration),
    /// At the times of a cron line.
    Cron(CronLine),
}

/// A valid cron line that fires at least once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CronLine {
    /// The line: six fields, seconds first.
    pub expression: String,
    /// The time zone in which the line is read: a name of the time zone database.
    pub timezone: String,
}
