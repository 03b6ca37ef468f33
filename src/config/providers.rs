//! `[providers.…]`: the providers that make and revoke keys. Their settings stand with their kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kinds::{KIND, Kinds, choose};
use super::model::ProviderConfig;
use crate::model::ProviderId;
use crate::provider::{Kind, ProviderKind};
use crate::setting::diagnostics::{Diagnostics, Reference};
use crate::setting::suggest::which_there_are;
use crate::setting::{Described, Input, Reader, Shape, Span, ValueType, settings};

settings! {
    /// Which provider it is.
    TYPE: () = "type", KIND, Required;
}

/// The settings of `[providers.…]`, for the schema.
pub const PROVIDERS: ValueType<()> = ValueType::described(Shape::Ids(&Shape::Provider));

/// Returns the settings of a kind's table.
pub fn settings_of(kind: &Kind) -> Vec<&'static dyn Described> {
    [ALL, kind.settings].concat()
}

/// A provider, as its own table describes it.
pub struct Provider {
    /// The name of its table.
    pub id: ProviderId,
    /// The secrets that its table refers to.
    pub references: Vec<Reference>,
    /// Its settings; `None` where they are wrong.
    pub config: Option<ProviderConfig>,
}

/// Reads all `[providers.…]` tables.
pub fn read(root: &mut Reader<'_, '_>, kinds: Kinds) -> Vec<Provider> {
    root.entries("providers", "provider", |id, input| Provider {
        id: ProviderId::new(id),
        config: read_one(input, kinds),
        references: std::mem::take(&mut input.diagnostics.references),
    })
}

fn read_one(input: &mut Input<'_>, kinds: Kinds) -> Option<ProviderConfig> {
    let mut table = input.table("`type`, and what belongs to it, below `[providers.ID]`")?;
    let words = kinds.providers.iter().map(|kind| (kind.name, kind));
    let kind = choose(&mut table, &TYPE, &words.collect::<Vec<_>>(), settings_of)?;
    table.of_variant(TYPE.name, kind.name);
    table.only(&settings_of(kind));
    let settings: Arc<dyn ProviderKind> = (kind.read)(&mut table)?;
    Some(ProviderConfig { kind, settings })
}

/// The providers, including those with mistakes, so that a key which names one of them is not reported for naming an
/// unknown provider.
pub struct Providers(pub BTreeMap<ProviderId, Option<ProviderConfig>>);

impl Providers {
    /// Returns a provider without mistakes. Reports at `span` if there is none of that name.
    pub fn get(
        &self,
        id: &ProviderId,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) -> Option<&ProviderConfig> {
        if let Some(config) = self.0.get(id) {
            return config.as_ref();
        }
        let names = self.0.keys().map(ProviderId::as_str);
        diagnostics
            .missing(span, "there is no such provider")
            .help(which_there_are(id.as_str(), "provider", names));
        None
    }

    /// Returns the providers if none of them has a mistake.
    pub fn finish(self) -> Option<BTreeMap<ProviderId, ProviderConfig>> {
        self.0
            .into_iter()
            .map(|(id, config)| Some((id, config?)))
            .collect()
    }
}
