//! The decision against the one it replaces, over states that are made up at random.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::before;
use super::scenario::{Scenario, now, scenario};
use super::*;

fn old(scenario: &Scenario) -> before::Step {
    before::decide(&before::Facts {
        settings: &scenario.settings,
        origin: &scenario.origin,
        record: &scenario.record,
        observation: &scenario.observation,
        reading: scenario.reading.as_ref(),
        older: scenario.older.as_ref(),
        before: scenario.before.as_ref(),
        cleared: scenario.cleared,
        remote: &scenario.remote,
        compared: scenario.compared.as_ref(),
        may_create: scenario.may_create,
        rejection: scenario.rejection.as_ref(),
        command: scenario.command,
        rules: scenario.rules,
        verify: &scenario.verify,
        now: now(),
    })
}

fn new(scenario: &Scenario) -> before::Step {
    let reading = scenario.reading.clone().map(|read| match read {
        before::Read::Value {
            version,
            fingerprint,
        } => Read::Value {
            version,
            fingerprint,
        },
        before::Read::Malformed { version, error } => Read::Malformed { version, error },
        before::Read::Missing(why) => Read::Missing(why),
    });
    let older = scenario.older.clone().map(|older| Older {
        version: older.version,
        origin: older.origin,
        found: older.found,
    });
    let step = decide(&Facts {
        settings: &scenario.settings,
        origin: &scenario.origin,
        record: &scenario.record,
        observation: &scenario.observation,
        reading: reading.as_ref(),
        older: older.as_ref(),
        before: scenario.before.as_ref(),
        cleared: scenario.cleared,
        remote: &scenario.remote,
        compared: scenario.compared.as_ref(),
        may_create: scenario.may_create,
        rejection: scenario.rejection.as_ref(),
        command: scenario.command,
        rules: scenario.rules,
        verify: &scenario.verify,
        now: now(),
    });
    as_before(step)
}

fn as_before(step: Step) -> before::Step {
    use before::Step as Before;
    match step {
        Step::Read(version) => Before::Read(version),
        Step::List => Before::List,
        Step::Compare(age) => Before::Compare(age),
        Step::Push {
            action,
            id,
            reason,
            what,
        } => Before::Push {
            action,
            id,
            reason,
            what,
        },
        Step::ReadOlder { version, origin } => Before::ReadOlder { version, origin },
        Step::FindOlder(version) => Before::FindOlder(version),
        Step::Probe => Before::Probe,
        Step::Validate(id) => Before::Validate(id),
        Step::Hold { version, reason } => Before::Hold { version, reason },
        Step::TurnBack { to, from, reason } => Before::TurnBack { to, from, reason },
        Step::LetStand { stand, why } => Before::LetStand { stand, why },
        Step::Keep => Before::Keep,
        Step::EndTrial => Before::EndTrial,
        Step::Leave(why) => Before::Leave(why),
        Step::Note(version) => Before::Note(version),
        Step::Refuse { version, error } => Before::Refuse { version, error },
        Step::Rest(rest) => Before::Rest(rest),
    }
}

/// The outcome in a word or two, to count by.
fn outcome(step: &before::Step) -> String {
    use before::Step as Before;
    let word = |debug: String| {
        let end = debug.find(|letter: char| !letter.is_alphanumeric());
        debug[..end.unwrap_or(debug.len())].to_owned()
    };
    match step {
        Before::Push {
            action,
            reason,
            what,
            ..
        } => format!("Push {what:?} {action:?} {}", word(format!("{reason:?}"))),
        Before::Rest(rest) => format!("Rest {}", word(format!("{rest:?}"))),
        Before::Hold { reason, .. } => format!("Hold {}", word(format!("{reason:?}"))),
        Before::TurnBack { reason, .. } => format!("TurnBack {}", word(format!("{reason:?}"))),
        Before::LetStand { stand, .. } => format!("LetStand {stand:?}"),
        Before::Compare(age) => format!("Compare {age:?}"),
        step => word(format!("{step:?}")),
    }
}

/// Set `FLASHBACK_ROTATOR_SCENARIOS` to try more than a few thousand, and to have them counted.
#[test]
fn the_new_decision_is_the_old_one() {
    let asked = std::env::var("FLASHBACK_ROTATOR_SCENARIOS").ok();
    let cases = asked.as_ref().and_then(|text| text.parse().ok());
    let counts = RefCell::new(BTreeMap::<String, usize>::new());
    let mut runner = TestRunner::new(Config {
        cases: cases.unwrap_or(4_000),
        failure_persistence: None,
        ..Config::default()
    });
    let ended = runner.run(&scenario(), |scenario| {
        let before = old(&scenario);
        let after = new(&scenario);
        prop_assert_eq!(&after, &before);
        *counts.borrow_mut().entry(outcome(&before)).or_default() += 1;
        Ok(())
    });
    if asked.is_some() {
        for (outcome, count) in counts.borrow().iter() {
            println!("{count:>9}  {outcome}");
        }
    }
    if let Err(error) = ended {
        panic!("{error}");
    }
}
