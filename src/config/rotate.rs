//! `[keys.….rotate]`: how a key is rotated.

use std::time::Duration;

use serde_json::json;

use crate::model::{Check, CronLine, ProviderId, ProviderKeyId, Revoke, RotateConfig};
use crate::setting::value_types::text::{SHORT, TEXT, words};
use crate::setting::value_types::time::{RHYTHM, Rhythm, SPAN};
use crate::setting::{Choice, Shape, ValueType, settings};

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
    pub fn finish(self, timezone: Option<&str>) -> Option<RotateConfig> {
        let every = match self.every.value {
            Some(Rhythm::Every(interval)) => Some(Check::Every(interval)),
            Some(Rhythm::Cron(expression)) => Some(Check::Cron(CronLine {
                expression,
                timezone: timezone?.to_owned(),
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
