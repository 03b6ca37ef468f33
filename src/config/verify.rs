//! `[verify]`, and a key's own `verify`.

use std::time::Duration;

use crate::model::VerifyConfig;
use crate::setting::value_types::text::words;
use crate::setting::value_types::time::{INTERVAL, SPAN};
use crate::setting::{Choice, Shape, ValueType, settings};

settings! {
    /// The settings of `[verify]`, or of a key's own `verify`, which takes precedence setting by setting.
    #[derive(Clone, Copy, Default)]
    pub table Verify fills VerifyConfig {
        /// "provider": ask the provider before pushing.
        before_provider("before"): bool = BEFORE, Default;
        /// "flashback": have Flashback validate the key after pushing.
        after_flashback("after"): bool = AFTER, Default;
        /// How long a fresh key may take to work at the provider.
        grace: Duration = INTERVAL, Default;
        /// "rollback": put the previous key back when the new one fails; "hold": leave it in place and report it.
        rollback("on_failure"): bool = ON_FAILURE, Default;
        /// How long after it was verified a version is acknowledged to the source: the gateway's nodes may use the older one a little longer.
        settle: Duration = SPAN, Default;
    }
}

const BEFORES: Choice<bool> = &[("none", false), ("provider", true)];
const AFTERS: Choice<bool> = &[("flashback", true), ("none", false)];
const FAILURES: Choice<bool> = &[("rollback", true), ("hold", false)];

const BEFORE: ValueType<bool> = ValueType {
    shape: Shape::Text(|| words(BEFORES)),
    read: |input| input.choice(BEFORES),
};

const AFTER: ValueType<bool> = ValueType {
    shape: Shape::Text(|| words(AFTERS)),
    read: |input| input.choice(AFTERS),
};

const ON_FAILURE: ValueType<bool> = ValueType {
    shape: Shape::Text(|| words(FAILURES)),
    read: |input| input.choice(FAILURES),
};

/// The value type of `verify`.
pub const VERIFY: ValueType<Verify> = ValueType {
    shape: Shape::Shared("verify", &Shape::Table(Verify::ALL)),
    read: |input| {
        let mut table = input.table("`verify = { before = \"provider\" }`")?;
        table.only(Verify::ALL);
        Some(Verify::read(&mut table))
    },
};
