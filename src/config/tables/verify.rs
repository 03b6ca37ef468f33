//! `[verify]`, and a key's own `verify`.

use std::time::Duration;

use super::{Form, Need, Setting, Settings, Shape, settings};
use crate::config::VerifyConfig;
use crate::config::value_types::time::{INTERVAL, SPAN};
use crate::config::value_types::{self, Choice};

/// What is written, setting by setting: a key's own overrides the general one's.
#[derive(Clone, Copy, Default)]
pub(in crate::config) struct Verify {
    before_provider: Option<bool>,
    after_flashback: Option<bool>,
    grace: Option<Duration>,
    rollback: Option<bool>,
    settle: Option<Duration>,
}

impl Verify {
    /// With what is missing taken from `general`.
    pub(in crate::config) fn or(self, general: Self) -> Self {
        Self {
            before_provider: self.before_provider.or(general.before_provider),
            after_flashback: self.after_flashback.or(general.after_flashback),
            grace: self.grace.or(general.grace),
            rollback: self.rollback.or(general.rollback),
            settle: self.settle.or(general.settle),
        }
    }

    /// The whole of it, where nothing is missing.
    pub(in crate::config) fn finish(self) -> Option<VerifyConfig> {
        Some(VerifyConfig {
            before_provider: self.before_provider?,
            after_flashback: self.after_flashback?,
            grace: self.grace?,
            rollback: self.rollback?,
            settle: self.settle?,
        })
    }
}

const BEFORES: Choice<bool> = &[("none", false), ("provider", true)];
const AFTERS: Choice<bool> = &[("flashback", true), ("none", false)];
const FAILURES: Choice<bool> = &[("rollback", true), ("hold", false)];

const BEFORE_FORM: Form<bool> = Form {
    shape: Shape::Text(|| value_types::words(BEFORES)),
    read: |look| look.choice(BEFORES),
};

const AFTER_FORM: Form<bool> = Form {
    shape: Shape::Text(|| value_types::words(AFTERS)),
    read: |look| look.choice(AFTERS),
};

const ON_FAILURE_FORM: Form<bool> = Form {
    shape: Shape::Text(|| value_types::words(FAILURES)),
    read: |look| look.choice(FAILURES),
};

settings! {
    /// "provider": ask the provider before pushing.
    BEFORE: bool = "before", Default, BEFORE_FORM;
    /// "flashback": have Flashback validate the key after pushing.
    AFTER: bool = "after", Default, AFTER_FORM;
    /// How long a fresh key may take to work at the provider.
    GRACE: Duration = "grace", Default, INTERVAL;
    /// "rollback": put the previous key back when the new one fails; "hold": leave it in place and report it.
    ON_FAILURE: bool = "on_failure", Default, ON_FAILURE_FORM;
    /// How long after it was verified a version is acknowledged to the source: the gateway's nodes may use the older one a little longer.
    SETTLE: Duration = "settle", Default, SPAN;
}

pub(in crate::config) const VERIFY: Form<Verify> = Form {
    shape: Shape::Shared("verify", &Shape::Table(ALL)),
    read: |look| {
        let mut table = look.table("`verify = { before = \"provider\" }`")?;
        table.only(ALL);
        Some(Verify {
            before_provider: table.get(&BEFORE),
            after_flashback: table.get(&AFTER),
            grace: table.get(&GRACE),
            rollback: table.get(&ON_FAILURE),
            settle: table.get(&SETTLE),
        })
    },
};
