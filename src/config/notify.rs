//! `[notify.…]`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::credential::SecretRef;
use crate::model::ReceiverId;
use crate::notify::{Event, FORMATS, Format};
use crate::setting::diagnostics::Reference;
use crate::setting::tree::Value;
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::time::SPAN;
use crate::setting::{Input, Reader, Shape, ValueType, settings};

settings! {
    /// `[notify.…]`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NotifyConfig, read by NotifyTable {
        /// Where notices are sent, by POST. It is a secret: whoever knows the address of a Slack webhook can write there.
        url: SecretRef = SECRET, Required;
        /// How a notice is written: slack or cloudevents.
        format: Format = FORMAT, Required;
        /// What is told. States, once they have lasted for `after`: failing, held, missing, old, rotation_stuck, source_down, flashback_down, state_failing, config_rejected. Changes, at once: rotated, rolled_back, drift_repaired, old_key_revoked. The end of a state that was told: recovered.
        on: BTreeSet<Event> = ON, Default;
        /// How long a state lasts before it is told; and how often a change of the same kind and key is told at most.
        after: Duration = SPAN, Default;
        /// What notices are signed with, as Standard Webhooks has it: `whsec_` and base64. Default: they are not signed.
        secret: SecretRef = SECRET, Optional;
    }
}

/// A receiver, as its own table describes it.
pub struct Receiver {
    /// The name of its table.
    pub id: ReceiverId,
    /// The secrets that its table refers to.
    pub references: Vec<Reference>,
    /// Its settings; `None` if one of them is wrong.
    pub config: Option<NotifyConfig>,
}

/// The settings of `[notify.…]`, for the schema.
pub const NOTIFY: ValueType<()> = ValueType::described(Shape::Ids(&Shape::Table(NotifyTable::ALL)));

/// Reads all `[notify.…]` tables.
pub fn read(root: &mut Reader<'_, '_>) -> Vec<Receiver> {
    root.entries("notify", "receiver", |id, input| Receiver {
        id: ReceiverId::new(id),
        config: read_one(input),
        references: std::mem::take(&mut input.diagnostics.references),
    })
}

fn read_one(input: &mut Input<'_>) -> Option<NotifyConfig> {
    let mut table = input.table("the receiver's settings below `[notify.ID]`")?;
    table.only(NotifyTable::ALL);
    NotifyTable::read(&mut table).finish()
}

const FORMAT: ValueType<Format> = ValueType {
    shape: Shape::Text(|| {
        let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
        json!({ "enum": names })
    }),
    read: |input| {
        let words: Vec<_> = FORMATS
            .iter()
            .map(|format| (format.name, *format))
            .collect();
        input.choice(&words)
    },
};

const ON: ValueType<BTreeSet<Event>> = ValueType {
    shape: Shape::Leaf(|| {
        let words: Vec<_> = Event::ALL.iter().map(|event| event.as_str()).collect();
        json!({ "type": "array", "items": { "enum": words }, "minItems": 1, "uniqueItems": true })
    }),
    read: |input| {
        const EXAMPLE: &str = "write `on = [\"failing\", \"held\"]`";
        let Value::Array(items) = &input.node.value else {
            input.wrong_kind("a list of events").help(EXAMPLE);
            return None;
        };
        if items.is_empty() {
            input.wrong("names no event").help(EXAMPLE);
            return None;
        }
        // Each is read before any is missed, so that every mistake is found.
        let words: Vec<_> = Event::ALL
            .iter()
            .map(|event| (event.as_str(), *event))
            .collect();
        let mut events = Vec::new();
        for item in items {
            let mut item = Input {
                node: item,
                path: input.path,
                defaults: Vec::new(),
                variable: input.variable,
                diagnostics: input.diagnostics,
            };
            events.push(item.choice(&words));
        }
        events.into_iter().collect()
    },
};
