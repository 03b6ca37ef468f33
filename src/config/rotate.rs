//! `[keys.….rotate]`: how a key is rotated.

use std::collections::HashMap;
use std::time::Duration;

use chrono_tz::Tz;
use serde_json::json;

use super::key::Key;
use super::providers::Providers;
use crate::model::{Check, CronLine, ProviderId, ProviderKeyId, Revoke, RotateConfig};
use crate::setting::suggest::list;
use crate::setting::value_types::text::{SHORT, TEXT, words};
use crate::setting::value_types::time::{RHYTHM, Rhythm, SPAN};
use crate::setting::{Choice, Diagnostics, Shape, Span, ValueType, settings};

settings! {
    /// The settings of `rotate`, as they are written.
    pub table Rotate {
        /// The provider that makes and revokes its keys: the name of a `[providers.…]` table.
        provider: String = TEXT, Required;
        /// When it is rotated: an interval, counted from the creation of the live version, or a cron line. Default: when `rotate` is called.
        every: Rhythm = EVERY, Optional;
        /// How long the old key lives on after the new one is live and verified in every key that reads it.
        overlap: Duration = SPAN, Default;
        /// And for how long the provider must have seen no use of it, where it can tell.
        idle: Duration = SPAN, Default;
        /// "disable": the old key is disabled, and deleted after `cool_off`, where the provider can disable keys, and deleted at once where it cannot; "delete"; "none": it is left to people.
        revoke: Revoke = REVOKE, Default;
        /// How long a key is disabled before it is deleted.
        cool_off: Duration = SPAN, Default;
        /// The provider's id of the key that is live already. Without it, that key is looked for by what the provider shows of its value.
        adopt: String = SHORT, Optional;
    }
}

/// The value type of `rotate`.
pub const ROTATE: ValueType<Rotate> = ValueType {
    shape: Shape::Table(Rotate::ALL),
    read: Rotate::of,
};

/// As `check`, and no shorter than what a rotation can take.
const EVERY: ValueType<Rhythm> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["30d", "12h", "0 4 1 * *"] })),
    read: RHYTHM.read,
};

const REVOKES: Choice<Revoke> = &[
    ("disable", Revoke::Disable),
    ("delete", Revoke::Delete),
    ("none", Revoke::None),
];

const REVOKE: ValueType<Revoke> = ValueType {
    shape: Shape::Text(|| words(REVOKES)),
    read: |input| input.choice(REVOKES),
};

impl Rotate {
    /// Returns the settings, where nothing that is needed is missing or wrong.
    pub fn finish(self, timezone: Option<Tz>) -> Option<RotateConfig> {
        let every = match self.every.value {
            Some(Rhythm::Every(interval)) => Some(Check::Every(interval)),
            Some(Rhythm::Cron(expression)) => Some(Check::Cron(CronLine {
                expression,
                timezone: timezone?,
            })),
            // What is written and wrong has been reported.
            None if self.every.span.is_some() => return None,
            None => None,
        };
        Some(RotateConfig {
            provider: ProviderId::new(self.provider.value?),
            every,
            overlap: self.overlap.value?,
            idle: self.idle.value?,
            revoke: self.revoke.value?,
            cool_off: self.cool_off.value?,
            adopt: self.adopt.value.map(ProviderKeyId::new),
        })
    }
}

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
