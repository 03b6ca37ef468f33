//! The kinds of source, trigger and provider that a program has.

use crate::{provider, source, trigger};

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
