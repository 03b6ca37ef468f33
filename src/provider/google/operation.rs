//! Calls that take a while: their answer is an operation, which is asked about until it is done
//! (<https://google.aip.dev/151>).

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::provider::api::{Api, Call};
use crate::provider::contract::ProviderError;
use crate::provider::fields;
use crate::secret::Secret;
use crate::words;

/// The wait before an operation is asked about for the first time; each one is twice the one before.
const FIRST: Duration = Duration::from_millis(250);

/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The time after which an operation that is not done is given up.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// `google.longrunning.Operation`, as far as it is of use. What it holds when it is done, a key with its value among
/// it, is read by calls of their own.
#[derive(Deserialize)]
pub(super) struct Operation {
    #[serde(default, deserialize_with = "fields::any_name")]
    name: Option<String>,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    error: Option<Status>,
}

/// `google.rpc.Status`.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
    #[serde(default, deserialize_with = "fields::any_secret")]
    message: Option<Secret>,
}

/// The end of an operation.
pub(super) enum Outcome {
    /// It was carried out.
    Done,
    /// It failed, and has changed nothing unless the error is uncertain.
    Failed(ProviderError),
}

impl Operation {
    /// Waits until it is done.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if it is not known whether it was carried out.
    pub(super) async fn end(self, api: &Api) -> Result<Outcome, ProviderError> {
        let began = Instant::now();
        let (mut operation, mut wait) = (self, FIRST);
        while !operation.done {
            if began.elapsed() + wait > GIVEN_UP {
                return Err(uncertain("the operation is not done yet", "operation"));
            }
            sleep(wait).await;
            wait = (2 * wait).min(LONGEST_WAIT);
            let name = operation.name.as_deref().unwrap_or_default();
            let path: Vec<_> = name.split('/').collect();
            if !matches!(path[..], ["operations", _]) {
                return Err(ProviderError::Protocol {
                    what: "an operation without a name".to_owned(),
                    status: "operation".to_owned(),
                });
            }
            let asked = api.call(Call::new("GET /operations/{id}", &path)).await;
            operation = asked.map_err(|error| after(&error))?;
        }
        Ok(operation
            .error
            .map_or(Outcome::Done, |error| Outcome::Failed(failed(&error))))
    }
}

/// Returns the error of an operation that failed
/// (<https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>).
fn failed(error: &Status) -> ProviderError {
    let message = error.message.as_ref().map_or("", Secret::expose);
    let code = error.code;
    let what = match words::shown(message, &[]) {
        said if said.is_empty() => format!("the operation failed with the code {code}"),
        said => format!("the operation failed with the code {code}: {said}"),
    };
    let status = "operation".to_owned();
    match code {
        // Invalid argument, not found, already exists, failed precondition.
        3 | 5 | 6 | 9 => ProviderError::Refused { what, status },
        7 => ProviderError::Denied { what, status },
        8 => ProviderError::LimitReached { what },
        _ => uncertain(&what, "operation"),
    }
}

/// Returns the error of a call that follows one which was accepted, and may have been carried out.
pub(super) fn after(error: &ProviderError) -> ProviderError {
    let what = format!("the call was accepted, and what became of it cannot be read: {error}");
    uncertain(&what, "unknown")
}

fn uncertain(what: &str, status: &str) -> ProviderError {
    ProviderError::Unavailable {
        what: what.to_owned(),
        status: status.to_owned(),
        retry_after: None,
    }
}
