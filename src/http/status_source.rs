//! The source of the answers: the view of itself that the daemon offers to HTTP clients.

use std::time::Duration;

use async_trait::async_trait;

use super::page::Overview;

/// The time an answer may take, and the time an answer under way may still take at shutdown.
pub const ANSWER_TIME: Duration = Duration::from_secs(5);

/// A view of the daemon for HTTP clients.
#[async_trait]
pub trait StatusSource: Send + Sync {
    /// Checks that the engine makes progress.
    ///
    /// # Errors
    /// Returns one line that names the part that is stuck.
    fn live(&self) -> Result<(), String>;

    /// Checks that the state can be used.
    ///
    /// # Errors
    /// Returns the reason why it cannot, as text for people.
    fn state(&self) -> Result<(), String>;

    /// Checks that every key has been checked once since the start and that the state can be used.
    ///
    /// # Errors
    /// Returns one line for each condition that is not met yet.
    fn ready(&self) -> Result<(), Vec<String>>;

    /// Returns the text of `/metrics`, as rendered by
    /// [`Metrics::render`](crate::telemetry::metrics::Metrics::render).
    fn metrics(&self) -> String;

    /// Returns the document that `status --json` prints.
    ///
    /// # Errors
    /// Returns the reason why it is not available, as text for people.
    async fn status(&self) -> Result<serde_json::Value, String>;

    /// Returns the data that the page for people shows.
    ///
    /// # Errors
    /// Returns the reason why it is not available, as text for people.
    async fn overview(&self) -> Result<Overview, String>;
}
