//! The status of Flashback, of the sources and of the providers, as the running daemons have found it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::{DaemonReport, Daemons, ProviderId, ServiceHealth, ServiceStatus, SourceId};

/// The status of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Its health; down if any replica finds it down.
    #[serde(flatten)]
    pub health: ServiceHealth,
    /// The number of replicas for which it is down, if that is not all of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_at: Option<usize>,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The name of the source.
    pub source: SourceId,
    /// The status of its service.
    #[serde(flatten)]
    pub service: Service,
}

/// A provider that makes and revokes keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provider {
    /// The name of the provider.
    pub provider: ProviderId,
    /// The status of its service.
    #[serde(flatten)]
    pub service: Service,
}

impl Service {
    pub(super) fn flashback(daemons: &Daemons) -> Self {
        Self::of(daemons, |report| Some(&report.flashback))
    }

    /// Combines what the running daemons have found. If none runs, the status is unknown, and `error` is what
    /// the last daemon had found.
    fn of(daemons: &Daemons, health: impl Fn(&DaemonReport) -> Option<&ServiceHealth>) -> Self {
        let of = |alive: bool| {
            let all = daemons.all.iter().filter(move |one| one.alive == alive);
            all.filter_map(|one| health(&one.last.as_ref()?.report))
        };
        let running = || of(true);
        let with = |status| running().filter(move |health| health.status == status);
        let down = with(ServiceStatus::Down).count();
        let first_down = with(ServiceStatus::Down).min_by_key(|health| health.since);
        let first_up = with(ServiceStatus::Up).min_by_key(|health| health.since);
        let events = running().filter_map(|health| health.events.clone());
        let events = events.min_by_key(|events| events.up);
        let health = match first_down.or(first_up) {
            Some(health) => health.clone(),
            None => ServiceHealth {
                error: of(false).find_map(|health| health.error.clone()),
                ..ServiceHealth::default()
            },
        };
        Self {
            health: ServiceHealth { events, ..health },
            down_at: Some(down).filter(|down| *down > 0 && *down < running().count()),
        }
    }
}

impl Source {
    /// Returns the sources of the running daemons and those in `configured`.
    pub(super) fn all(daemons: &Daemons, configured: Vec<SourceId>) -> Vec<Self> {
        let names = names(daemons, |report| &report.sources, configured);
        let source = |source: SourceId| Self {
            service: Service::of(daemons, |report| report.sources.get(&source)),
            source,
        };
        names.into_iter().map(source).collect()
    }
}

impl Provider {
    /// Returns the providers of the running daemons and those in `configured`.
    pub(super) fn all(
        daemons: &Daemons,
        configured: impl IntoIterator<Item = ProviderId>,
    ) -> Vec<Self> {
        let names = names(daemons, |report| &report.providers, configured);
        let provider = |provider: ProviderId| Self {
            service: Service::of(daemons, |report| report.providers.get(&provider)),
            provider,
        };
        names.into_iter().map(provider).collect()
    }
}

/// Returns the ids of the services that the running daemons have reported, and those in `configured`.
fn names<Id: Clone + Ord>(
    daemons: &Daemons,
    of: impl Fn(&DaemonReport) -> &BTreeMap<Id, ServiceHealth>,
    configured: impl IntoIterator<Item = Id>,
) -> BTreeSet<Id> {
    let running = daemons.all.iter().filter(|one| one.alive);
    let reports = running.filter_map(|one| Some(&one.last.as_ref()?.report));
    let known = reports.flat_map(|report| of(report).keys().cloned());
    known.chain(configured).collect()
}
