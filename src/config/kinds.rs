//! The kinds of source, trigger and provider that a program has, and how a table selects one.

use serde_json::json;

use crate::setting::suggest::list;
use crate::setting::{Described, Reader, Setting, Shape, ValueType};
use crate::{provider, source, trigger};

/// The value type of `type`. [`choose`] knows which words there are.
pub const KIND: ValueType<()> = ValueType::described(Shape::Text(|| json!({ "type": "string" })));

/// The kinds of source, trigger and provider that a program has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kinds {
    /// The kinds of source.
    pub sources: &'static [source::Kind],
    /// The kinds of trigger.
    pub triggers: &'static [trigger::Kind],
    /// The kinds of provider.
    pub providers: &'static [provider::Kind],
}

/// The kinds of this program.
pub const KINDS: Kinds = Kinds {
    sources: source::KINDS,
    triggers: trigger::KINDS,
    providers: provider::KINDS,
};

impl Kinds {
    /// Returns the kinds of trigger that can listen to sources of this kind.
    pub fn triggers_of(
        self,
        source: &source::Kind,
    ) -> impl Iterator<Item = &'static trigger::Kind> {
        let name = source.name;
        let triggers = self.triggers.iter();
        triggers.filter(move |trigger| trigger.sources.contains(&name))
    }
}

/// Returns the description of `type`, with the names of the kinds.
pub fn about(setting: &dyn Described, names: impl Iterator<Item = &'static str>) -> String {
    let about = setting.about().trim().trim_end_matches('.');
    format!("{about}: {}", list(names).replace('`', ""))
}

/// Reads the kind that `type` selects, one of `kinds`. Where it selects none, the settings of all of them are accepted.
pub fn choose<K>(
    table: &mut Reader<'_, '_>,
    setting: &Setting<()>,
    kinds: &[(&'static str, &'static K)],
    settings_of: impl Fn(&'static K) -> Vec<&'static dyn Described>,
) -> Option<&'static K> {
    let about = about(setting, kinds.iter().map(|(name, _)| *name));
    let kind = table.get_with(setting, &about, |input| input.choice(kinds));
    if kind.is_none() {
        let any = kinds.iter().flat_map(|(_, kind)| settings_of(kind));
        table.only(&any.collect::<Vec<_>>());
    }
    kind
}
