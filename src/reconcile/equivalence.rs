//! The decision against the one it replaces, over states that are made up at random.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::before;
use super::scenario::{Scenario, now, scenario};
use super::*;
use crate::model::Origin;
use crate::secret::{Credentials, Secret};

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

/// A value without credentials: a decision does not look at them.
fn value(version: Version, fingerprint: Fingerprint, origin: Origin) -> ReadValue {
    ReadValue {
        stored: Stored {
            version,
            fingerprint,
            origin,
        },
        credentials: Arc::new(Credentials {
            key: None,
            secret: Secret::new(String::new()),
        }),
    }
}

fn new(scenario: &Scenario) -> before::Step {
    let scenario = scenario.clone();
    let origin = &scenario.origin;
    let newest = scenario.reading.map(|read| match read {
        before::Read::Value {
            version,
            fingerprint,
        } => Read::Value(value(version, fingerprint, origin.clone())),
        before::Read::Malformed { version, error } => Read::Malformed { version, error },
        before::Read::Missing(why) => Read::Missing(why),
    });
    let older = scenario.older.map(|older| Older {
        found: older
            .found
            .map(|found| value(older.version.clone(), found, older.origin.clone())),
        version: older.version,
        origin: older.origin,
    });
    let mut config = case::config(scenario.settings, scenario.origin, scenario.verify);
    config.may_create = scenario.may_create;
    let (rules, record) = (scenario.rules, scenario.record);
    let step = decide(&Knowledge {
        command: scenario.command,
        observation: scenario.observation,
        newest,
        older,
        before: scenario.before,
        clearance: scenario.cleared.then_some(Clearance::Unknown),
        remote: scenario.remote,
        compared: scenario.compared,
        rejection: scenario.rejection,
        ..Knowledge::new(Arc::new(config), rules, record, now())
    });
    as_before(step)
}

fn as_before(step: Step) -> before::Step {
    use before::Step as Before;
    match step {
        Step::Ask(Question::Read(version)) => Before::Read(version),
        Step::Ask(Question::List) => Before::List,
        Step::Ask(Question::Compare(age)) => Before::Compare(age),
        Step::Push(push) => Before::Push {
            action: push.action,
            id: push.id,
            reason: push.reason,
            what: push.what,
        },
        Step::Ask(Question::ReadOlder { version, origin }) => Before::ReadOlder { version, origin },
        Step::Ask(Question::FindOlder(version)) => Before::FindOlder(version),
        Step::Ask(Question::Probe(_)) => Before::Probe,
        Step::Validate { id, .. } => Before::Validate(id),
        Step::Conclude(Conclusion::Hold { version, reason }) => Before::Hold { version, reason },
        Step::Conclude(Conclusion::TurnBack { to, from, reason }) => {
            Before::TurnBack { to, from, reason }
        }
        Step::Conclude(Conclusion::LetStand { stand, why }) => Before::LetStand { stand, why },
        Step::Conclude(Conclusion::Keep) => Before::Keep,
        Step::Conclude(Conclusion::EndVerification) => Before::EndTrial,
        Step::Conclude(Conclusion::Leave(why)) => Before::Leave(why),
        Step::Conclude(Conclusion::Note(version)) => Before::Note(version),
        Step::Conclude(Conclusion::Refuse { version, error }) => Before::Refuse { version, error },
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
