//! What the demo prints, and what it waits for.

use std::time::{Duration, Instant};

use crate::cli::{setup, table};
use crate::flashback::sandbox::{Sandbox, sha256_hex};

/// The time limit of a step, far more than any step needs. The demo names a step that does not succeed in time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Prints a line about what comes next.
pub fn say(line: &str) {
    setup::print(format!("{}\n", table::dim(line)));
}

/// Prints a line about something that took place, with the time since `started`.
pub fn tell(started: Instant, what: &str, line: &str) {
    let took = format!("{:>5} ms", started.elapsed().as_millis());
    setup::print(format!(
        "{took}  {} {line}",
        table::green(&format!("{what:<9}"))
    ));
}

/// Waits until a condition has a value.
///
/// # Errors
/// Returns the reason, for people, if it has none in time.
pub async fn until<T>(what: &str, condition: impl Fn() -> Option<T>) -> Result<T, String> {
    until_known(what, async || Ok(condition())).await
}

/// Waits until a condition that has to be asked for has a value.
///
/// # Errors
/// Returns the reason, for people, if it has none in time, or cannot be asked for.
pub async fn until_known<T>(
    what: &str,
    condition: impl AsyncFn() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{what}: not within {} s", PATIENCE.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until Flashback has this key under this name. Returns the configuration's id.
///
/// # Errors
/// Returns the reason, for people, if it has not in time.
pub async fn arrival(sandbox: &Sandbox, name: &str, key: &str) -> Result<String, String> {
    let digest = sha256_hex(key);
    let arrived = || {
        let all = sandbox.configurations();
        let there = all
            .into_iter()
            .find(|one| one.name == name && one.secret_sha256 == digest);
        there.map(|one| one.ai_llm_id)
    };
    until(name, arrived).await
}
