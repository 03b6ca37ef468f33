//! Histories that random ones have found, each with a fault that it has had.

use super::happening::Happening::*;
use super::happening::{Fault, Happening};
use super::readers::Pushing;
use super::*;

/// A provider that keeps names, and a source that one key reads.
fn setting() -> Setting {
    Setting {
        abilities: Abilities {
            mints: true,
            names: true,
            last_use: false,
            disables: true,
            slots: false,
            limit: None,
        },
        telling: Telling::Truth,
        findable: false,
        compares: true,
        revoke: Revoke::Disable,
        adopt: true,
        readers: 1,
    }
}

/// A provider like IAM: without names, and with two keys at most.
fn limited() -> Setting {
    let mut setting = setting();
    setting.abilities.names = false;
    setting.abilities.last_use = true;
    setting.abilities.limit = Some(2);
    setting
}

/// A provider with two slots.
fn slots() -> Setting {
    let mut setting = setting();
    setting.abilities = Abilities {
        mints: true,
        names: false,
        last_use: false,
        disables: false,
        slots: true,
        limit: Some(2),
    };
    setting
}

fn pass(due: bool) -> Happening {
    with_faults(due, &[])
}

fn with_faults(due: bool, faults: &[Fault]) -> Happening {
    Pass {
        faults: faults.to_vec(),
        dies_after: None,
        lag: 0,
        due,
    }
}

fn wait(seconds: i64) -> Happening {
    Wait { seconds }
}

fn command(compromised: bool) -> Happening {
    Command {
        compromised,
        even_if_broken: false,
    }
}

/// Plays a history, and returns what is to be seen at its end.
fn play(setting: Setting, happenings: &[Happening]) -> Simulation {
    let mut simulation = Simulation::new(setting);
    for happening in happenings {
        simulation.happen(happening);
        assert_eq!(simulation.breach, None, "{happening:?}");
    }
    let end = simulation.calm_down();
    assert_eq!(simulation.breach, None);
    let trace = simulation.trace.as_deref().unwrap_or_default().join("\n");
    assert_eq!(simulation.fault_in_the_end(&end), None, "{trace}");
    simulation
}

#[test]
fn value_that_was_stored_and_moved_back_is_stored_again() {
    let lost = [Fault::Fine, Fault::Fine, Fault::Fine, Fault::LostAnswer];
    for compares in [true, false] {
        let setting = Setting {
            compares,
            ..setting()
        };
        let history = [with_faults(true, &lost), MoveBack { back: 1 }];
        let simulation = play(setting, &history);
        let newest = simulation.versions[simulation.newest].1;
        assert_eq!(simulation.readers[0].live, newest);
        assert!(simulation.rotation.old.is_empty() && simulation.rotation.next.is_none());
    }
}

#[test]
fn deleted_key_that_is_rolled_back_to_is_not_enabled_for_ever() {
    let setting = Setting {
        abilities: Abilities {
            mints: false,
            ..setting().abilities
        },
        ..setting()
    };
    play(
        setting,
        &[
            WriteOther,
            wait(20),
            Deliver,
            Deliver,
            pass(false),
            wait(310),
            pass(false),
            pass(false),
            DeleteKey { key: 0 },
            RollBack { reader: 0 },
            pass(false),
        ],
    );
}

/// The key that the configuration names was an old one already, and left to people.
#[test]
fn key_that_was_left_is_not_adopted_for_another_value() {
    let setting = Setting {
        revoke: Revoke::None,
        compares: false,
        ..limited()
    };
    let history = [
        WriteOther,
        Deliver,
        wait(5),
        Deliver,
        command(false),
        pass(false),
        WriteOlder { back: 1 },
        command(true),
    ];
    play(setting, &history);
}

/// People bring back the key that was revoked a moment ago, and want the one that works revoked.
#[test]
fn list_that_is_behind_is_not_believed_of_a_key_that_was_revoked_here() {
    for revoke in [Revoke::None, Revoke::Delete, Revoke::Disable] {
        let setting = Setting {
            revoke,
            findable: true,
            adopt: false,
            ..limited()
        };
        let history = [
            pass(true),
            Deliver,
            wait(2),
            Deliver,
            command(true),
            pass(false),
            RollBack { reader: 0 },
            command(true),
            WriteOlder { back: 1 },
            Pass {
                faults: Vec::new(),
                dies_after: None,
                lag: 2,
                due: false,
            },
        ];
        play(setting, &history);
    }
}

/// Nothing can be done about it: the call that fills the slot of a value was under way when that was brought back.
#[test]
fn value_may_die_that_is_brought_back_while_its_slot_is_filled() {
    let late = Fault::Late {
        seconds: 2,
        taken_over: false,
    };
    let history = [
        pass(true),
        pass(false),
        pass(false),
        Deliver,
        Deliver,
        Configure {
            revoke: Revoke::None,
        },
        pass(false),
        command(false),
        wait(310),
        with_faults(false, &[Fault::Fine, Fault::Fine, late]),
        WriteOlder { back: 1 },
        RollBack { reader: 0 },
    ];
    play(slots(), &history);
}

/// Nor about a compromised key that people go back to while the call that disables it is under way.
#[test]
fn compromised_key_may_die_that_is_brought_back_while_it_is_disabled() {
    let late = Fault::Late {
        seconds: 2,
        taken_over: false,
    };
    let setting = Setting {
        revoke: Revoke::None,
        ..limited()
    };
    let history = [
        pass(true),
        command(true),
        pass(false),
        Deliver,
        wait(5),
        Deliver,
        with_faults(false, &[Fault::Fine, Fault::Fine, late]),
        RollBack { reader: 0 },
        WriteOlder { back: 1 },
    ];
    play(setting, &history);
}

/// The list still shows the key that was disabled in the same pass.
#[test]
fn key_that_is_to_die_stays_if_the_others_were_disabled_a_moment_ago() {
    let mut setting = setting();
    setting.abilities.names = false;
    let history = [
        pass(true),
        wait(3),
        Deliver,
        Deliver,
        pass(false),
        Command {
            compromised: true,
            even_if_broken: true,
        },
        pass(false),
        DeleteKey { key: 2 },
        pass(false),
        Force { reader: 0 },
        wait(297),
        Deliver,
        Pass {
            faults: Vec::new(),
            dies_after: None,
            lag: 1,
            due: false,
        },
    ];
    play(setting, &history);
}

#[test]
fn key_is_enabled_once_more_when_an_earlier_call_that_disables_it_comes_late() {
    let late = Fault::Late {
        seconds: 3,
        taken_over: false,
    };
    let mut setting = setting();
    setting.findable = true;
    setting.compares = false;
    setting.adopt = false;
    setting.readers = 2;
    let history = [
        pass(true),
        Deliver,
        pass(false),
        pass(false),
        Deliver,
        pass(false),
        Wait { seconds: 300 },
        with_faults(false, &[Fault::Fine, Fault::Fine, late]),
        // It is disabled by a second call, which is answered.
        pass(false),
        RollBack { reader: 0 },
        WriteOlder { back: 1 },
        pass(false),
    ];
    let simulation = play(setting, &history);
    assert!(simulation.works(simulation.readers[0].live));
}

#[test]
fn new_key_is_not_made_while_a_write_of_the_one_before_may_come() {
    let late = Fault::Late {
        seconds: 12,
        taken_over: false,
    };
    let mut setting = setting();
    setting.compares = false;
    setting.adopt = false;
    let wish = |compromised| Command {
        compromised,
        even_if_broken: false,
    };
    let history = [
        with_faults(true, &[Fault::Fine, Fault::Fine, Fault::Fine, late]),
        pass(false),
        pass(false),
        pass(false),
        Check {
            reader: 0,
            pushing: Pushing::Fine,
        },
        Deliver,
        pass(false),
        wish(false),
        pass(false),
        Deliver,
        Wait { seconds: 2 },
        Deliver,
        wish(true),
        pass(false),
    ];
    let simulation = play(setting, &history);
    let newest = simulation.versions[simulation.newest].1;
    assert_eq!(simulation.readers[0].live, newest);
}
