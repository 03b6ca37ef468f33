//! `[notify.…]`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::{Form, Look, Need, Setting, Settings, Shape, check_id, settings};
use crate::config::setting::{list, suggest};
use crate::config::tree::{Value, join};
use crate::config::value_types::secret::SECRET;
use crate::config::value_types::time::SPAN;
use crate::config::{NotifyConfig, SecretRef};
use crate::model::ReceiverId;
use crate::notify::{Event, FORMATS, Format, Terms};

/// A receiver as its table has it.
pub(in crate::config) struct Notify {
    pub(in crate::config) id: ReceiverId,
    /// `None` where it is wrong.
    pub(in crate::config) config: Option<NotifyConfig>,
}

const FORMAT_FORM: Form<Format> = Form {
    shape: Shape::Text(|| {
        let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
        json!({ "enum": names })
    }),
    read: |look| {
        let names = || FORMATS.iter().map(|format| format.name);
        let text = look.text(FORMATS[0].name)?;
        let found = FORMATS.iter().find(|format| format.name == text);
        if found.is_none() {
            unknown(look, names());
        }
        found.copied()
    },
};

const ON_FORM: Form<BTreeSet<Event>> = Form {
    shape: Shape::Leaf(|| {
        let words: Vec<_> = Event::ALL.iter().map(|event| event.as_str()).collect();
        json!({ "type": "array", "items": { "enum": words }, "minItems": 1, "uniqueItems": true })
    }),
    read: |look| {
        const EXAMPLE: &str = "write `on = [\"failing\", \"held\"]`";
        let Value::Array(items) = &look.node.value else {
            look.wrong_kind("a list of events").help(EXAMPLE);
            return None;
        };
        if items.is_empty() {
            look.wrong("names no event").help(EXAMPLE);
            return None;
        }
        let mut events = Some(BTreeSet::new());
        for item in items {
            let mut item = Look {
                node: item,
                path: look.path,
                default: None,
                variable: look.variable,
                diagnostics: look.diagnostics,
            };
            events = match (events, event(&mut item)) {
                (Some(mut events), Some(event)) => {
                    events.insert(event);
                    Some(events)
                }
                _ => None,
            };
        }
        events
    },
};

fn event(look: &mut Look<'_>) -> Option<Event> {
    let found = Event::of_word(look.text("failing")?);
    if found.is_none() {
        unknown(look, Event::ALL.iter().map(|event| event.as_str()));
    }
    found
}

/// Reports a word that is none of `words`.
fn unknown<'w>(look: &mut Look<'_>, words: impl Iterator<Item = &'w str> + Clone) {
    let near = match &look.node.value {
        Value::Text(text) => suggest(text, words.clone()),
        _ => None,
    };
    let all = list(words);
    let help = match near {
        Some(word) => format!("did you mean `{word}`? It is one of {all}"),
        None => format!("it is one of {all}"),
    };
    let message = format!("unknown value for `{}`", look.name());
    look.diagnostics.mistake(look.node.span, message).help(help);
}

settings! {
    /// Where notices are sent, by POST. It is a secret: whoever knows the address of a Slack webhook can write there.
    URL: SecretRef = "url", Required, SECRET;
    /// How a notice is written: slack or cloudevents.
    FORMAT: Format = "format", Required, FORMAT_FORM;
    /// What is told. States, once they have lasted for `after`: failing, held, missing, old, source_down, flashback_down, state_failing, config_rejected. Changes, at once: rotated, rolled_back, drift_repaired. The end of a state that was told: recovered.
    ON: BTreeSet<Event> = "on", Default, ON_FORM;
    /// How long a state lasts before it is told; and how often a change of the same kind and key is told at most.
    AFTER: Duration = "after", Default, SPAN;
    /// What notices are signed with, as Standard Webhooks has it: `whsec_` and base64. Default: they are not signed.
    SIGNED_WITH: SecretRef = "secret", Optional, SECRET;
}

/// `[notify]`.
pub(in crate::config) const NOTIFY: Form<Vec<Notify>> = Form {
    shape: Shape::Ids(&Shape::Table(ALL)),
    read: |look| {
        let table = look.table("`[notify.ID]` and the receiver's settings below it")?;
        let examples = table.default.and_then(|tree| tree.tables().next());
        let mut receivers = Vec::new();
        for entry in &table.tree.entries {
            if !check_id(&entry.name, entry.name_span, "receiver", table.diagnostics) {
                continue;
            }
            let config = read(&mut Look {
                variable: None,
                node: &entry.node,
                path: &join(table.path, &entry.name),
                default: examples,
                diagnostics: table.diagnostics,
            });
            receivers.push(Notify {
                id: ReceiverId::new(&entry.name),
                config,
            });
        }
        Some(receivers)
    },
};

fn read(look: &mut Look<'_>) -> Option<NotifyConfig> {
    let mut table = look.table("the receiver's settings below `[notify.ID]`")?;
    table.only(ALL);
    let (url, format) = (table.get(&URL), table.get(&FORMAT));
    let (on, after) = (table.get(&ON), table.get(&AFTER));
    let signed = table.written(&SIGNED_WITH).is_some();
    let secret = table.get(&SIGNED_WITH);
    if signed && secret.is_none() {
        return None;
    }
    Some(NotifyConfig {
        url: url?,
        format: format?,
        terms: Terms {
            on: on?,
            after: after?,
        },
        secret,
    })
}
