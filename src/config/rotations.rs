//! Checks that keys and the providers that rotate them fit together.

use std::collections::HashMap;

use super::key::Key;
use super::providers::Providers;
use crate::model::ProviderId;
use crate::setting::suggest::list;
use crate::setting::{Diagnostics, Span};

/// Checks `rotate` of each key that has it: the provider must make keys of the key's type, and one key alone may rotate
/// a secret.
pub fn check_rotations(keys: &[Key], providers: &Providers, diagnostics: &mut Diagnostics) {
    let mut rotated: HashMap<(&str, &str), Span> = HashMap::new();
    for key in keys {
        let table = &key.table;
        let (Some(rotate), Some(span)) = (&table.rotate.value, table.rotate.span) else {
            continue;
        };
        if let (Some(source), Some(path)) = (&table.source.value, &table.path.value)
            && let Some(first) = rotated.insert((source, path), span)
        {
            diagnostics
                .mistake(span, "two keys rotate the same secret")
                .help("leave `rotate` with one of them: the other one reads what is stored, and is waited for")
                .also(first, "the other is here");
        }
        let (Some(id), Some(provider_span)) = (&rotate.provider.value, rotate.provider.span) else {
            continue;
        };
        let id = ProviderId::new(id);
        let Some(kind) = providers
            .get(&id, provider_span, diagnostics)
            .map(|it| it.kind)
        else {
            continue;
        };
        if let Some(ai_type) = table.ai_type.value
            && !kind.ai_types.contains(&ai_type)
        {
            let types = list(kind.ai_types.iter().map(|ai_type| ai_type.as_str()));
            diagnostics
                .mistake(
                    provider_span,
                    format!(
                        "{} makes no keys of the type {}",
                        kind.title,
                        ai_type.as_str()
                    ),
                )
                .help(format!("its keys can be of the type {types}"));
        }
        if let Some(fields) = &table.fields.value
            && kind.pairs != fields.key.is_some()
        {
            let what = match kind.pairs {
                true => "its keys are pairs: write `fields = { key = \"…\", secret = \"…\" }`",
                false => "its keys are one value: leave `fields.key` out",
            };
            diagnostics
                .mistake(
                    provider_span,
                    format!("{} makes other keys than `fields` describes", kind.title),
                )
                .help(what);
        }
    }
}
