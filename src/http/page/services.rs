//! The sections on Flashback, the sources and the providers, and on the replicas.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::mark::{icon, moment, plural, rfc3339};
use super::overview::{Replica, Service};
use crate::engine::report::State;
use crate::humanize::{ago, duration};
use crate::model::{Outage, ServiceStatus};

/// Renders the section on Flashback, the sources and the providers.
pub fn section(services: &[Service], now: DateTime<Utc>) -> Markup {
    html! {
        section aria-labelledby="services" {
            h2 #services { (title(services)) }
            ul.services role="list" {
                @for service in services { (one(service, now)) }
            }
        }
    }
}

fn title(services: &[Service]) -> &'static str {
    match services.iter().any(|service| service.makes_keys) {
        true => "Flashback, sources and providers",
        false => "Flashback and sources",
    }
}

/// Renders the section on the replicas that share the keys, if there are any.
pub fn replicas(replicas: &[Replica]) -> Markup {
    html! {
        @if !replicas.is_empty() {
            section aria-labelledby="replicas" {
                h2 #replicas { "Replicas" }
                ul.services role="list" {
                    @for replica in replicas { (replica_of(replica)) }
                }
            }
        }
    }
}

fn replica_of(replica: &Replica) -> Markup {
    let (state, word) = match replica.alive {
        true => (State::InSync, "Up"),
        false => (State::Failing, "Not heard of"),
    };
    html! {
        li class=(state.as_str()) {
            h3 { bdi { (replica.name) } }
            span class={ "badge " (state.as_str()) } { (icon(state)) (word) }
            p.from { span.count { (plural(replica.keys, "key")) } }
        }
    }
}

fn one(service: &Service, now: DateTime<Utc>) -> Markup {
    // Services have the icons of key states, so that an icon has one meaning on the page.
    let (state, word) = match service.health.status {
        ServiceStatus::Up => (State::InSync, "Up"),
        ServiceStatus::Down => (State::Failing, "Down"),
        ServiceStatus::Unknown if service.keys == 0 => (State::Disabled, "Not used"),
        ServiceStatus::Unknown => (State::Pending, "No answer yet"),
    };
    html! {
        li class=(state.as_str()) {
            h3 { bdi { (service.name) } }
            span class={ "badge " (state.as_str()) } { (icon(state)) (word) }
            p.from {
                @if service.kind != service.name { (service.kind) " · " }
                bdi { (service.place) } " · "
                span.count { (plural(service.keys, "key")) }
            }
            (events(service))
            (outage(service, now))
        }
    }
}

/// Renders whether changes in the source are heard of as they happen, where they should be.
fn events(service: &Service) -> Markup {
    let events = service.health.events.as_ref();
    html! {
        @if let Some(events) = events {
            @match &events.error {
                _ if events.up => p.from { "Changes are heard of as they happen" },
                Some(error) => p.outage { "Polled, because events are down: " bdi { (error) } },
                None => p.from { "Polled until the events begin" },
            }
        }
    }
}

/// Renders the service's present outage, or else the latest one.
fn outage(service: &Service, now: DateTime<Utc>) -> Markup {
    let health = &service.health;
    match (health.since, &health.error, &service.last_outage) {
        (Some(since), Some(error), _) => html! {
            @let exact = rfc3339(since);
            p.outage {
                "No answer for " time datetime=(exact) title=(exact) { (duration(now - since)) }
                ": " bdi { (error) }
            }
        },
        (
            _,
            _,
            Some(Outage {
                since,
                until,
                error,
            }),
        ) => html! {
            p.outage.over {
                "Was away for " (duration(*until - *since)) " until "
                (moment(*until, &ago(*until, now))) ": " bdi { (error) }
            }
        },
        (_, _, None) => html! {},
    }
}
