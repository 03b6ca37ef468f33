//! Builds the data of the status page from the runtime and the records.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::{Config, KeyConfig};
use crate::engine::ManagedKey;
use crate::engine::report::KeyReport;
use crate::http::page::{Key, Replica, Service};
use crate::model::{KeyId, Record, ServiceHealth};
use crate::redact::host_and_port;
use crate::runtime::Runtime;
use crate::state::membership;
use crate::telemetry::metrics::{FLASHBACK, service_of};
use crate::upstream::UpstreamView;

/// Returns Flashback, then the sources by name, then the providers by name.
pub fn services(runtime: &Runtime) -> Vec<Service> {
    let flashback = Service {
        name: "Flashback".to_owned(),
        kind: "Flashback",
        place: host_and_port(&runtime.config.flashback.base_url),
        keys: runtime.managed_keys.len(),
        ..standing(runtime, FLASHBACK)
    };
    let sources = runtime.config.sources.iter().map(|(id, config)| {
        let managed_keys = runtime.managed_keys.values();
        Service {
            name: id.to_string(),
            kind: config.title,
            place: config.kind.place(),
            keys: managed_keys
                .filter(|managed| &managed.config.origin.source == id)
                .count(),
            health: ServiceHealth {
                events: runtime.events(id),
                ..health(runtime, id.as_str())
            },
            ..standing(runtime, id.as_str())
        }
    });
    let providers = runtime.config.providers.iter().map(|(id, config)| {
        let by = |managed: &&Arc<ManagedKey>| {
            let rotate = managed.config.rotate.as_deref();
            rotate.is_some_and(|rotate| rotate.provider == *id)
        };
        Service {
            name: id.to_string(),
            kind: config.kind.title,
            place: config.settings.place(),
            keys: runtime.managed_keys.values().filter(by).count(),
            makes_keys: true,
            ..standing(runtime, &service_of(id))
        }
    });
    let sources = std::iter::once(flashback).chain(sources);
    sources.chain(providers).collect()
}

/// Returns a service of which only the health and the last outage are filled in.
fn standing(runtime: &Runtime, service: &str) -> Service {
    let upstream = runtime.upstreams.get(service);
    Service {
        name: String::new(),
        kind: "",
        place: String::new(),
        keys: 0,
        makes_keys: false,
        health: health(runtime, service),
        last_outage: upstream.and_then(UpstreamView::last_outage),
    }
}

fn health(runtime: &Runtime, service: &str) -> ServiceHealth {
    let upstream = runtime.upstreams.get(service);
    upstream.map(UpstreamView::health).unwrap_or_default()
}

/// Returns the processes that share the keys, including commands that are running.
pub fn replicas(all: Vec<membership::Replica>) -> Vec<Replica> {
    let replica = |replica: membership::Replica| Replica {
        name: replica.member.name,
        keys: replica.keys as usize,
        alive: replica.alive,
    };
    all.into_iter().map(replica).collect()
}

/// Returns every configured key, reconciled before or not.
pub fn keys(config: &Config, records: Vec<Record>, now: DateTime<Utc>) -> Vec<Key> {
    let mut records: HashMap<KeyId, Record> = records
        .into_iter()
        .map(|record| (record.key.clone(), record))
        .collect();
    let key = |(id, config): (&KeyId, &Arc<KeyConfig>)| {
        let record = records
            .remove(id)
            .unwrap_or_else(|| Record::new(id.clone()));
        let look = &record.look;
        let held = record.held.as_ref();
        Key {
            row: KeyReport::of_record(id, config, &record),
            path: config.origin.path.clone(),
            seen: record.seen.as_ref().map(|seen| seen.label().to_owned()),
            held: held
                .filter(|held| record.seen.as_ref() == Some(&held.version))
                .map(|held| held.reason.clone()),
            timeline: look.timeline.until(look.checked_at, look.next_at, now),
        }
    };
    config.keys.iter().map(key).collect()
}
