//! `[defaults]`: what keys have that do not say otherwise.

use super::key::KeyTable;
use super::verify::Verify;
use crate::setting::tree::{Tree, Value};
use crate::setting::{Settings, Shape, ValueType};

/// The settings of a key that can stand in `[defaults]`.
const ALL: Settings = &[
    &KeyTable::source,
    &KeyTable::ai_type,
    &KeyTable::endpoint,
    &KeyTable::workspace_id,
    &KeyTable::fields,
    &KeyTable::check,
    &KeyTable::max_age,
    &KeyTable::verify,
];

/// `[defaults]`. Its value is the `verify` in it, which fills the gaps of a key's own `verify`; [`inherit`] takes
/// care of the other settings.
pub const DEFAULTS: ValueType<Verify> = ValueType {
    shape: Shape::Table(ALL),
    read: |input| {
        let mut table = input.table("`[defaults]` and its settings below it")?;
        table.only(ALL);
        ALL.iter().for_each(|setting| setting.check(&mut table));
        Some(table.get(&KeyTable::verify).unwrap_or_default())
    },
};

/// Copies the settings of `[defaults]` into every key, and every rule that makes keys, that does not have them itself,
/// with their places.
pub fn inherit(tree: &mut Tree) {
    let Some(defaults) = tree.table("defaults") else {
        return;
    };
    let known = |name: &str| ALL.iter().any(|setting| setting.name() == name);
    let mut inherited = defaults.entries.clone();
    inherited.retain(|entry| known(&entry.name));
    inherited
        .iter_mut()
        .for_each(|entry| entry.inherited = true);
    let inheriting = tree
        .entries
        .iter_mut()
        .filter(|entry| ["keys", "discover"].contains(&entry.name.as_str()));
    let heirs = inheriting.filter_map(|entry| match &mut entry.node.value {
        Value::Table(heirs) => Some(&mut heirs.entries),
        _ => None,
    });
    for key in heirs.flatten() {
        if let Value::Table(key) = &mut key.node.value {
            let missing = inherited
                .iter()
                .filter(|entry| key.get(&entry.name).is_none());
            let missing: Vec<_> = missing.cloned().collect();
            key.entries.extend(missing);
        }
    }
}
