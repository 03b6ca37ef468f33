//! List entries that violate the contract, described by data.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::contract::Operation;

/// A rule that makes one entry of a list violate the contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OddEntry {
    /// The operation that returns the list; [`Operation::List`] by default.
    #[serde(default = "list")]
    pub operation: Operation,
    /// The position in the answer, from 0. A position past the end stands for the end.
    #[serde(default)]
    pub at: usize,
    /// The violation.
    pub make: Oddity,
}

fn list() -> Operation {
    Operation::List
}

/// A violation of the contract in a list entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oddity {
    /// An entry of any JSON type is inserted before the one at that position.
    Insert(Value),
    /// A JSON merge patch (RFC 7396) is applied to the entry: a field that is `null` in it is removed.
    Patch(Value),
    /// These fields of the entry are set to these values, which may be `null`.
    Set(Map<String, Value>),
}

/// Applies the rules for `operation` to the list in its answer.
pub(super) fn make_odd(entries: &[OddEntry], operation: Operation, body: &mut Value) {
    let mut here = entries.iter().filter(|odd| odd.operation == operation);
    let Some(first) = here.next() else {
        return;
    };
    let Some(list) = body
        .as_object_mut()
        .and_then(|body| body.values_mut().find_map(Value::as_array_mut))
    else {
        return;
    };
    for odd in std::iter::once(first).chain(here) {
        match &odd.make {
            Oddity::Insert(entry) => list.insert(odd.at.min(list.len()), entry.clone()),
            Oddity::Patch(patch) => {
                if let Some(entry) = list.get_mut(odd.at) {
                    merge(entry, patch);
                }
            }
            Oddity::Set(fields) => {
                if let Some(Value::Object(entry)) = list.get_mut(odd.at) {
                    entry.extend(fields.clone());
                }
            }
        }
    }
}

/// Applies a JSON merge patch.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn makes_entries_odd_in_the_order_given() {
        let entries: Vec<OddEntry> = serde_json::from_value(json!([
            {"make": {"patch": {"endpoint": null, "repos": {"id": 1}}}},
            {"make": {"set": {"workspaceId": null, "id": 7}}},
            {"at": 1, "make": {"insert": null}},
            {"at": 99, "make": {"insert": "text"}},
            {"at": 99, "make": {"patch": {"name": "nobody"}}},
            {"operation": "list_stored_keys", "make": {"insert": 1}},
        ]))
        .expect("entries");
        let mut body = json!({"success": true, "aiLlms": [
            {"id": "a", "endpoint": "e", "workspaceId": "w", "repos": []}, {"id": "b"},
        ]});
        make_odd(&entries, Operation::List, &mut body);
        let expected = json!([
            {"id": 7, "workspaceId": null, "repos": {"id": 1}}, null, {"id": "b"}, "text",
        ]);
        assert_eq!(body["aiLlms"], expected);
        let text = serde_json::to_string(&entries).expect("JSON");
        let again: Vec<OddEntry> = serde_json::from_str(&text).expect("again");
        assert_eq!(again, entries);
    }
}
