//! `[sources.….events]`: the trigger of a source. Its settings stand with its kind.

use std::sync::Arc;

use super::kinds::{KIND, Kinds, choose};
use crate::setting::{Described, Input, Reader, Setting, Shape, ValueType, settings};
use crate::source::{self, SourceKind};
use crate::trigger::{self, TriggerKind};

settings! {
    /// What is listened to.
    TYPE: () = "type", KIND, Required;
}

/// The settings of `[sources.….events]`, for the schema.
pub const EVENTS: ValueType<()> = ValueType::described(Shape::Trigger);

/// Returns the settings of a kind's table.
pub fn settings_of(kind: &trigger::Kind) -> Vec<&'static dyn Described> {
    [ALL, kind.settings].concat()
}

/// Reads the trigger of a source, or takes the one that a source like this has by itself. `None` if it is wrong.
pub fn read(
    table: &mut Reader<'_, '_>,
    setting: &Setting<()>,
    source: &source::Kind,
    settings: &dyn SourceKind,
    kinds: Kinds,
) -> Option<Option<Arc<dyn TriggerKind>>> {
    if table.written(setting).is_none() {
        let mut implied = kinds.triggers.iter().map(|kind| (kind.implied)(settings));
        return Some(implied.find_map(|trigger| trigger));
    }
    let read = |input: &mut Input<'_>| read_one(input, source, kinds);
    table.get_with(setting, setting.about, read).map(Some)
}

fn read_one(
    input: &mut Input<'_>,
    source: &source::Kind,
    kinds: Kinds,
) -> Option<Arc<dyn TriggerKind>> {
    let mut table = input.table("`type`, and what belongs to it, below `[sources.ID.events]`")?;
    let words: Vec<_> = kinds
        .triggers_of(source)
        .map(|kind| (kind.name, kind))
        .collect();
    let kind = choose(&mut table, &TYPE, &words, settings_of)?;
    table.of_variant(TYPE.name, kind.name);
    table.only(&settings_of(kind));
    (kind.read)(&mut table)
}
