use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{SourceId, Version, WorkspaceId};

const AFTER: i64 = 300;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).expect("a time")
}

fn all() -> Terms {
    Terms {
        on: Event::ALL.iter().copied().collect(),
        after: Duration::from_secs(AFTER as u64),
    }
}

fn without(event: Event) -> Terms {
    let mut terms = all();
    terms.on.remove(&event);
    terms
}

fn ledger() -> Ledger {
    Ledger::new(ReceiverId::new("ops"))
}

fn key(id: &str) -> Subject {
    Subject::Key(KeyId::new(id))
}

fn rotation(id: &str, version: &str, second: i64) -> Change {
    Change {
        kind: ChangeKind::Rotated,
        at: at(second),
        key: KeyId::new(id),
        source: SourceId::new("vault"),
        name: id.to_owned(),
        workspace_id: WorkspaceId::new("w"),
        ai_llm_id: None,
        version: Some(Version::new(version)),
        previous_version: Some(Version::new("0")),
        reason: None,
    }
}

/// Delivers everything that is due, and returns it as text.
fn deliver(ledger: &mut Ledger, terms: &Terms, most: usize, second: i64) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(dispatch) = ledger.next(terms, most, at(second)) {
        let what: Vec<String> = match &dispatch.what {
            What::States(states) => states.iter().map(|(it, _)| it.to_string()).collect(),
            What::Changes(changes) => changes
                .iter()
                .map(|it| format!("{}@{}", it.key, it.version.as_ref().expect("a version")))
                .collect(),
        };
        told.push(format!("{} {}", dispatch.event.as_str(), what.join(" ")));
        ledger.delivered(at(second));
    }
    told
}

#[test]
fn notifies_once_of_a_lasting_state_and_once_of_its_end() {
    let (mut ledger, terms) = (ledger(), all());
    for second in 0..AFTER {
        ledger.observe(&key("k"), Some(Event::Failing), &terms, at(second));
        assert!(ledger.next(&terms, 1, at(second)).is_none(), "{second}");
    }
    for second in AFTER..AFTER + 1_000 {
        ledger.observe(&key("k"), Some(Event::Failing), &terms, at(second));
        let told = deliver(&mut ledger, &terms, 1, second);
        let expected = if second == AFTER {
            vec!["failing key:k"]
        } else {
            Vec::new()
        };
        assert_eq!(told, expected, "{second}");
    }
    for second in 2_000..2_003 {
        ledger.observe(&key("k"), None, &terms, at(second));
        let told = deliver(&mut ledger, &terms, 1, second);
        let expected = if second == 2_000 {
            vec!["recovered key:k"]
        } else {
            Vec::new()
        };
        assert_eq!(told, expected, "{second}");
    }
    assert!(ledger.is_idle(&terms, at(2_003)));
    let saved = ledger.unsaved();
    assert_eq!(saved.len(), 1);
    assert!(saved[0].is_over(), "{saved:?}");
    assert_eq!(ledger.subjects().count(), 0);
}

#[test]
fn never_notifies_of_states_shorter_than_the_delay() {
    let (mut ledger, terms) = (ledger(), all());
    for round in 0..10 {
        let begin = round * 400;
        ledger.observe(&key("k"), Some(Event::Held), &terms, at(begin));
        ledger.observe(&key("k"), None, &terms, at(begin + AFTER - 1));
        assert!(ledger.next(&terms, 1, at(begin + AFTER + 50)).is_none());
    }
}

#[test]
fn a_state_that_becomes_another_one_is_not_over() {
    let (mut ledger, terms) = (ledger(), all());
    ledger.observe(&key("k"), Some(Event::Failing), &terms, at(0));
    assert_eq!(deliver(&mut ledger, &terms, 1, AFTER), ["failing key:k"]);
    ledger.observe(&key("k"), Some(Event::Held), &terms, at(400));
    assert!(ledger.next(&terms, 1, at(401)).is_none());
    // The subject is well before the other state has lasted: the state that was sent is over.
    ledger.observe(&key("k"), None, &terms, at(500));
    assert_eq!(deliver(&mut ledger, &terms, 1, 500), ["recovered key:k"]);
    ledger.observe(&key("k"), Some(Event::Held), &terms, at(600));
    assert_eq!(deliver(&mut ledger, &terms, 1, 600 + AFTER), ["held key:k"]);
}

#[test]
fn notifies_only_of_the_events_that_a_receiver_wants() {
    let (mut ledger, terms) = (ledger(), without(Event::Failing));
    ledger.observe(&key("k"), Some(Event::Failing), &terms, at(0));
    assert!(ledger.next(&terms, 1, at(1_000)).is_none());
    assert_eq!(ledger.subjects().count(), 0);
    assert!(ledger.happened(rotation("k", "1", 0), &without(Event::Rotated)));
    assert!(ledger.next(&all(), 1, at(0)).is_none());

    let terms = without(Event::Recovered);
    ledger.observe(&key("k"), Some(Event::Failing), &terms, at(0));
    assert_eq!(deliver(&mut ledger, &terms, 1, AFTER), ["failing key:k"]);
    ledger.observe(&key("k"), None, &terms, at(400));
    assert!(ledger.next(&terms, 1, at(1_000)).is_none());
    // The next failure is sent again.
    ledger.observe(&key("k"), Some(Event::Failing), &terms, at(1_000));
    assert_eq!(
        deliver(&mut ledger, &terms, 1, 1_000 + AFTER),
        ["failing key:k"]
    );
}

#[test]
fn many_keys_are_one_notice_where_the_format_can() {
    let (mut ledger, terms) = (ledger(), all());
    for id in ["c", "a", "b"] {
        ledger.observe(&key(id), Some(Event::Failing), &terms, at(0));
    }
    ledger.observe(&key("z"), Some(Event::Held), &terms, at(0));
    let told = deliver(&mut ledger, &terms, 2, AFTER);
    assert_eq!(told, ["failing key:a key:b", "failing key:c", "held key:z"]);
    for id in ["a", "b"] {
        assert!(ledger.happened(rotation(id, "1", 0), &terms));
    }
    assert_eq!(deliver(&mut ledger, &terms, 9, AFTER), ["rotated a@1 b@1"]);
}

#[test]
fn notifies_of_a_change_at_once_and_then_of_the_newest_per_delay() {
    let (mut ledger, terms) = (ledger(), all());
    assert!(ledger.happened(rotation("k", "1", 0), &terms));
    assert_eq!(deliver(&mut ledger, &terms, 1, 0), ["rotated k@1"]);
    for (second, version) in [(10, "2"), (20, "3"), (30, "4")] {
        assert!(ledger.happened(rotation("k", version, second), &terms));
        assert!(ledger.next(&terms, 1, at(second)).is_none());
    }
    assert!(ledger.happened(rotation("other", "1", 40), &terms));
    assert_eq!(deliver(&mut ledger, &terms, 1, 40), ["rotated other@1"]);
    assert_eq!(deliver(&mut ledger, &terms, 1, AFTER), ["rotated k@4"]);
    assert_eq!(ledger.waiting(), 0);
}

#[test]
fn notifies_of_every_change_without_a_delay() {
    let mut terms = all();
    terms.after = Duration::ZERO;
    let mut ledger = ledger();
    for version in ["1", "2", "3"] {
        assert!(ledger.happened(rotation("k", version, 0), &terms));
    }
    let told = deliver(&mut ledger, &terms, 1, 0);
    assert_eq!(told, ["rotated k@1", "rotated k@2", "rotated k@3"]);
}

#[test]
fn waiting_changes_are_bounded() {
    let (mut ledger, terms) = (ledger(), all());
    for number in 0..MOST_WAITING {
        assert!(ledger.happened(rotation(&format!("k{number}"), "1", 0), &terms));
    }
    assert!(!ledger.happened(rotation("one-more", "1", 0), &terms));
    assert!(
        ledger.happened(rotation("k7", "2", 0), &terms),
        "it takes the place of the earlier"
    );
    assert_eq!(ledger.waiting(), MOST_WAITING);
}

#[test]
fn notice_is_moot_when_all_its_states_end_before_delivery() {
    let (mut ledger, terms) = (ledger(), all());
    for id in ["a", "b"] {
        ledger.observe(&key(id), Some(Event::Failing), &terms, at(0));
    }
    let sending = ledger.next(&terms, 9, at(AFTER)).expect("due");
    assert!(ledger.next(&terms, 9, at(AFTER)).is_none(), "one at a time");
    ledger.observe(&key("a"), None, &terms, at(400));
    assert!(!sending.is_moot(), "the other one lasts");
    ledger.observe(&key("b"), None, &terms, at(401));
    assert!(sending.is_moot());
    ledger.was_moot();
    assert!(
        ledger.next(&terms, 9, at(1_000)).is_none(),
        "nobody was told of any of it"
    );
}

#[test]
fn notifies_of_recovery_when_a_state_ended_during_delivery() {
    let (mut ledger, terms) = (ledger(), all());
    ledger.observe(&key("k"), Some(Event::Failing), &terms, at(0));
    let _sending = ledger.next(&terms, 1, at(AFTER)).expect("due");
    ledger.observe(&key("k"), None, &terms, at(400));
    ledger.delivered(at(401));
    assert_eq!(deliver(&mut ledger, &terms, 1, 401), ["recovered key:k"]);
}

#[test]
fn refused_notice_is_sent_again_only_by_the_next_process() {
    let (mut first, terms) = (ledger(), all());
    first.observe(&key("k"), Some(Event::Failing), &terms, at(0));
    let _sending = first.next(&terms, 1, at(AFTER)).expect("due");
    first.refused(at(AFTER));
    first.observe(&key("k"), Some(Event::Failing), &terms, at(9_000));
    assert!(first.next(&terms, 1, at(9_000)).is_none());
    let saved = first.unsaved();
    let mut next = ledger();
    for line in &saved {
        let subject = Subject::parse(&line.subject).expect("a subject");
        next.load(subject, line, &terms, at(9_000));
    }
    next.observe(&key("k"), Some(Event::Failing), &terms, at(9_001));
    assert_eq!(deliver(&mut next, &terms, 1, 9_001), ["failing key:k"]);
}

#[test]
fn states_of_the_process_itself_are_not_saved() {
    let (mut ledger, terms) = (ledger(), all());
    for (subject, event) in [
        (Subject::State, Event::StateFailing),
        (Subject::Configuration, Event::ConfigRejected),
    ] {
        ledger.observe(&subject, Some(event), &terms, at(0));
    }
    assert!(ledger.unsaved().is_empty());
    assert_eq!(deliver(&mut ledger, &terms, 1, AFTER).len(), 2);
}

#[test]
fn a_key_that_is_taken_out_is_forgotten_everywhere() {
    let (mut ledger, terms) = (ledger(), all());
    ledger.observe(&key("k"), Some(Event::Failing), &terms, at(0));
    assert_eq!(deliver(&mut ledger, &terms, 1, AFTER).len(), 1);
    assert_eq!(ledger.unsaved().len(), 1);
    ledger.end(&key("k"), at(400));
    assert!(ledger.next(&terms, 1, at(400)).is_none());
    let saved = ledger.unsaved();
    assert!(saved[0].is_over(), "{saved:?}");
}

#[test]
fn lines_that_could_not_be_saved_are_returned_again() {
    let (mut ledger, terms) = (ledger(), all());
    ledger.observe(&key("k"), Some(Event::Failing), &terms, at(0));
    let lines = ledger.unsaved();
    assert!(ledger.unsaved().is_empty());
    ledger.not_saved(key("k"), &lines[0]);
    assert_eq!(ledger.unsaved(), lines);
    // The end of a state that could not be saved is returned again, too.
    ledger.observe(&key("k"), None, &terms, at(1));
    let lines = ledger.unsaved();
    ledger.not_saved(key("k"), &lines[0]);
    assert_eq!(ledger.unsaved(), lines);
}

/// An event within one step of ten seconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    Well,
    Wrong(Event),
    Restart,
    /// The dispatch arrives, and the process dies before that is saved.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Well),
        8 => Just(Step::Wrong(Event::Failing)),
        3 => Just(Step::Wrong(Event::Held)),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ];
    // Steps are repeated, so that states last.
    prop::collection::vec((step, 1..40_usize), 1..30).prop_map(|runs| {
        let runs = runs.into_iter();
        runs.flat_map(|(step, times)| std::iter::repeat_n(step, times))
            .collect()
    })
}

proptest! {
    /// Checks, over any sequence of steps and restarts, that only states that have lasted are sent, that each
    /// end follows the state it ends, and that the receiver knows the true condition at last.
    #[test]
    fn a_receiver_believes_what_is_so(steps in steps()) {
        let terms = all();
        let mut kept: Option<Notified> = None;
        let mut ledger = ledger();
        let (mut now, mut since) = (0, (None, 0));
        let mut believed: Option<Event> = None;
        let mut wrong: Option<Event> = None;
        let mut restarted = false;
        // Set when the last event sent is missing in the state.
        let mut unknown = false;
        let quiet = std::iter::repeat_n(None, 60);
        for step in steps.into_iter().map(Some).chain(quiet) {
            now += 10;
            let mut crashes = false;
            match step {
                Some(Step::Well) => wrong = None,
                Some(Step::Wrong(event)) => wrong = Some(event),
                Some(Step::Crash) => crashes = true,
                Some(Step::Restart) | None => {}
            }
            if since.0 != wrong {
                since = (wrong, now);
            }
            restarted |= matches!(step, Some(Step::Restart | Step::Crash));
            if matches!(step, Some(Step::Restart)) {
                ledger = self::ledger();
                if let Some(line) = &kept {
                    ledger.load(key("k"), line, &terms, at(now));
                }
            }
            ledger.observe(&key("k"), wrong, &terms, at(now));
            while let Some(sending) = ledger.next(&terms, 1, at(now)) {
                if sending.event == Event::Recovered {
                    prop_assert_eq!(wrong, None);
                    prop_assert!(believed.is_some() || restarted);
                    believed = None;
                } else {
                    prop_assert_eq!(Some(sending.event), wrong);
                    prop_assert!(now - since.1 >= AFTER);
                    believed = wrong;
                }
                unknown = crashes;
                if crashes {
                    ledger = self::ledger();
                    if let Some(line) = &kept {
                        ledger.load(key("k"), line, &terms, at(now));
                    }
                    break;
                }
                ledger.delivered(at(now));
            }
            if !crashes {
                for line in ledger.unsaved() {
                    kept = (!line.is_over()).then_some(line);
                }
            }
        }
        // A process may have sent an event and died before it was saved. If the event sent before it is true
        // again, it is not repeated.
        let told = kept.and_then(|line| line.told);
        let again = unknown && told.as_deref() == wrong.map(Event::as_str);
        prop_assert!(again || believed == wrong, "{believed:?}, and it is {wrong:?}");
    }
}
