//! The conditions that receivers are notified about: what is wrong now.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::daemon::status_source::DaemonStatusSource;
use crate::engine::report::State;
use crate::engine::{ManagedKey, Seen};
use crate::model::{KeyId, Outage, ProblemKind, ServiceStatus, SourceId};
use crate::notify::{Event, Subject};
use crate::rotation::Stage;
use crate::runtime::Runtime;
use crate::telemetry::metrics::FLASHBACK;

/// A subject and the event for what is wrong with it; `None` if nothing is.
pub type Found = (Subject, Option<Event>);

/// Checks that the subject is in the configuration.
pub fn is_there(runtime: &Runtime, subject: &Subject) -> bool {
    match subject {
        Subject::Key(key) | Subject::Age(key) | Subject::Rotation(key) => {
            runtime.managed_keys.contains_key(key)
        }
        Subject::Source(source) => runtime.sources.contains_key(source),
        Subject::Flashback | Subject::State | Subject::Configuration => true,
    }
}

/// Checks that the process which has leased these keys is the one that notifies about the subject. A source
/// goes with its first key. Flashback, and a source without keys (one that only credentials are read from), go
/// with the first key of all.
pub fn is_told(runtime: &Runtime, subject: &Subject, leased: &BTreeSet<KeyId>) -> bool {
    let has = |key: Option<&KeyId>| match key {
        Some(key) => leased.contains(key),
        None => !runtime.engine.leases.is_shared(),
    };
    match subject {
        Subject::Key(key) | Subject::Age(key) | Subject::Rotation(key) => leased.contains(key),
        Subject::Source(source) => has(first_of(runtime, source).or(first(runtime))),
        Subject::Flashback => has(first(runtime)),
        Subject::State | Subject::Configuration => true,
    }
}

fn first(runtime: &Runtime) -> Option<&KeyId> {
    runtime.managed_keys.keys().next()
}

fn first_of<'a>(runtime: &'a Runtime, source: &SourceId) -> Option<&'a KeyId> {
    let mut managed_keys = runtime.managed_keys.values();
    let first = managed_keys.find(|managed| managed.source.id() == source);
    first.map(|managed| &managed.key)
}

/// Finds what is wrong.
#[derive(Default)]
pub struct Conditions {
    /// The time at which the state was last found unusable.
    state_failed_at: Option<DateTime<Utc>>,
}

impl Conditions {
    /// Returns the condition of each subject that a process with the leases `ours` notifies about. Keys that
    /// have not been reconciled (since the state last failed), services that have not been called yet, and
    /// keys that fail only because a service is down are left out.
    pub fn look<'a>(
        &mut self,
        runtime: &'a Runtime,
        status_source: &'a DaemonStatusSource,
        ours: &'a BTreeSet<KeyId>,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = Found> + use<'a> {
        let state_fails = runtime.engine.store.failing().is_some();
        if state_fails {
            self.state_failed_at = Some(now);
        }
        let own = [
            (Subject::State, state_fails.then_some(Event::StateFailing)),
            (
                Subject::Configuration,
                status_source.is_refused().then_some(Event::ConfigRejected),
            ),
        ];
        let sources = runtime.sources.keys().filter_map(move |id| {
            let subject = Subject::Source(id.clone());
            of_service(runtime, subject, id.as_str(), Event::SourceDown, ours)
        });
        let flashback = of_service(
            runtime,
            Subject::Flashback,
            FLASHBACK,
            Event::FlashbackDown,
            ours,
        );
        let failed_at = self.state_failed_at;
        let managed_keys = runtime
            .managed_keys
            .values()
            .filter(|managed| ours.contains(&managed.key));
        let keys = managed_keys.flat_map(move |managed| {
            let seen = managed.seen();
            let is_known = failed_at.is_none_or(|at| seen.at > at);
            let key = of_key(managed, &seen, runtime).filter(|_| is_known);
            let age = of_age(managed, &seen, now).filter(|_| is_known);
            let key = key.map(|event| (Subject::Key(managed.key.clone()), event));
            let rotation = of_rotation(managed.config.rotate.is_some(), &seen).filter(|_| is_known);
            key.into_iter()
                .chain(age.map(|event| (Subject::Age(managed.key.clone()), event)))
                .chain(rotation.map(|event| (Subject::Rotation(managed.key.clone()), event)))
        });
        own.into_iter().chain(flashback).chain(sources).chain(keys)
    }
}

/// Returns the condition of a service; `None` if it is not known or another process notifies about it.
fn of_service(
    runtime: &Runtime,
    subject: Subject,
    service: &str,
    event: Event,
    ours: &BTreeSet<KeyId>,
) -> Option<Found> {
    let upstream = runtime.upstreams.get(service)?;
    let is_known = upstream.health().status != ServiceStatus::Unknown;
    let is_told = is_known && is_told(runtime, &subject, ours);
    is_told.then(|| (subject, (!upstream.is_up()).then_some(event)))
}

/// Returns the condition of a key: `None` if it is not known, `Some(None)` if nothing is wrong.
fn of_key(managed: &ManagedKey, seen: &Seen, runtime: &Runtime) -> Option<Option<Event>> {
    match seen.state {
        State::Pending => None,
        State::InSync | State::Disabled => Some(None),
        State::Held => Some(Some(Event::Held)),
        State::Missing => Some(Some(Event::Missing)),
        State::Failing => {
            let service = match seen.problem {
                Some(ProblemKind::Source) => Some(managed.source.id().as_str()),
                Some(ProblemKind::Flashback) => Some(FLASHBACK),
                _ => None,
            };
            let explained = service.is_some_and(|service| was_away(service, seen, runtime));
            (!explained).then_some(Some(Event::Failing))
        }
    }
}

/// Checks that a service is down, or has been since the key was reconciled. Receivers are then notified about
/// the service, and not about each of its keys.
fn was_away(service: &str, seen: &Seen, runtime: &Runtime) -> bool {
    let Some(upstream) = runtime.upstreams.get(service) else {
        return false;
    };
    let ended_since = |outage: Outage| outage.until >= seen.at;
    !upstream.is_up() || upstream.last_outage().is_some_and(ended_since)
}

/// Returns [`Event::Old`] if a key's live version is older than its `max_age`: `None` if that is not known,
/// `Some(None)` if it is not too old.
fn of_age(managed: &ManagedKey, seen: &Seen, now: DateTime<Utc>) -> Option<Option<Event>> {
    let Some(max_age) = managed.config.max_age else {
        return Some(None);
    };
    let max_age = TimeDelta::from_std(max_age).ok()?;
    let is_old = now - seen.created_at? > max_age;
    Some(is_old.then_some(Event::Old))
}

/// Returns [`Event::RotationStuck`] if the rotation of a key is stuck: `None` if that is not known, `Some(None)` if it
/// is not stuck.
fn of_rotation(is_rotated: bool, seen: &Seen) -> Option<Option<Event>> {
    let is_unseen = seen.at == Seen::default().at;
    let is_stuck = is_rotated && seen.rotation == Some(Stage::Stuck);
    (!is_rotated || !is_unseen).then_some(is_stuck.then_some(Event::RotationStuck))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_is_known_to_be_stuck_or_not_once_the_key_was_checked() {
        let unseen = Seen::default();
        let seen = |rotation| Seen {
            at: Utc::now(),
            rotation,
            ..unseen
        };
        assert_eq!(of_rotation(true, &unseen), None);
        assert_eq!(of_rotation(true, &seen(None)), Some(None));
        assert_eq!(of_rotation(true, &seen(Some(Stage::Draining))), Some(None));
        let stuck = seen(Some(Stage::Stuck));
        assert_eq!(of_rotation(true, &stuck), Some(Some(Event::RotationStuck)));
        assert_eq!(of_rotation(false, &stuck), Some(None), "not any more");
    }
}
