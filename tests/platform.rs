//! The platform as it is: lists with odd entries, answers of gateways, stored keys, and people who
//! edit beside the rotator.

#[path = "platform/accounts.rs"]
mod accounts;
#[path = "platform/edits.rs"]
mod edits;
#[path = "platform/gateway.rs"]
mod gateway;
#[path = "platform/odd_entries.rs"]
mod odd_entries;
#[path = "platform/stored_key_commands.rs"]
mod stored_key_commands;
#[path = "platform/stored_key_crashes.rs"]
mod stored_key_crashes;
#[path = "platform/stored_keys.rs"]
mod stored_keys;

use flashback_rotator::flashback::sandbox::{Entry, Operation, Sandbox};
use serde_json::Value;

use crate::support::eventually;
use crate::support::rotator::Rotator;

/// Lists are asked for this often, in place of every five minutes.
const OFTEN: (&str, &str) = ("FLASHBACK_ROTATOR_LIST_EVERY_MS", "300");

/// The key's row of `status`.
async fn row(rotator: &Rotator, key: &str) -> Value {
    let status = rotator.json(&["status"]).await;
    let rows = status["keys"].as_array().expect("rows");
    rows.iter()
        .find(|row| row["key"] == key)
        .cloned()
        .expect("the key's row")
}

/// Waits until `status` says so of a key, and gives its row.
async fn stands(rotator: &Rotator, key: &str, state: &str) -> Value {
    let what = format!("{key} is {state}; the log is\n{}", rotator.log());
    eventually(&what, || async {
        let row = row(rotator, key).await;
        (row["state"] == state).then_some(row)
    })
    .await
}

/// The requests of one kind, oldest first.
fn requests(sandbox: &Sandbox, operation: Operation) -> Vec<Entry> {
    let mut journal = sandbox.journal();
    journal.retain(|entry| entry.operation == operation);
    journal
}
