//! Where the answers come from: what the daemon lets be seen of itself.

use std::time::Duration;

use async_trait::async_trait;

use super::page::Overview;

/// How long answers may take, and how long one under way is waited for at the end.
pub const ANSWER_TIME: Duration = Duration::from_secs(5);

/// What is to be seen from outside.
#[async_trait]
pub trait StatusSource: Send + Sync {
    /// Whether the engine makes progress.
    ///
    /// # Errors
    /// What does not, in a line.
    fn live(&self) -> Result<(), String>;

    /// Whether the state can be used.
    ///
    /// # Errors
    /// Why not, for people.
    fn state(&self) -> Result<(), String>;

    /// Whether everything was looked at once, and the state can be used.
    ///
    /// # Errors
    /// What is still missing, a line each.
    fn ready(&self) -> Result<(), Vec<String>>;

    /// The text of `/metrics`, as [`Metrics::render`](crate::telemetry::metrics::Metrics::render)
    /// makes it.
    fn metrics(&self) -> String;

    /// What `status --json` prints.
    ///
    /// # Errors
    /// Why it cannot be told, for people.
    async fn status(&self) -> Result<serde_json::Value, String>;

    /// What the page for people shows.
    ///
    /// # Errors
    /// Why it cannot be told, for people.
    async fn overview(&self) -> Result<Overview, String>;
}
