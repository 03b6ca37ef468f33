//! What the page shows, put together from the fleet and its records.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use url::Url;

use crate::config::{Config, KeyConfig, SourceKind};
use crate::engine::row::Row;
use crate::fleet::Fleet;
use crate::http::page::{Answers, Key, Outage, Service};
use crate::model::{KeyId, Record, SourceId};
use crate::telemetry::metrics::FLASHBACK;

/// What the process knows of a service besides the configuration.
pub struct Known {
    /// Whether its lane is open.
    pub up: bool,
    /// Its last outage.
    pub outage: Option<Outage>,
}

/// Flashback, then the sources by their names. `signed_in` says whether Flashback has taken the
/// rotator's own credentials; what was looked at before `since` was looked at by another process.
pub fn services(
    fleet: &Fleet,
    records: &[Record],
    since: DateTime<Utc>,
    signed_in: bool,
    known: impl Fn(&str) -> Known,
) -> Vec<Service> {
    let looked_at: BTreeSet<&SourceId> = records
        .iter()
        .filter(|record| record.look.checked_at.is_some_and(|at| at >= since))
        .filter_map(|record| Some(&fleet.units.get(&record.key)?.config.source))
        .collect();
    let flashback = Service {
        name: "Flashback".to_owned(),
        kind: "Flashback",
        place: host(&fleet.config.flashback.base_url),
        keys: fleet.units.len(),
        ..standing(known(FLASHBACK), signed_in)
    };
    let sources = fleet.config.sources.iter().map(|(id, config)| {
        let (kind, place) = kind(&config.kind);
        let units = fleet.units.values();
        Service {
            name: id.to_string(),
            kind,
            place,
            keys: units.filter(|unit| &unit.config.source == id).count(),
            ..standing(known(id.as_str()), looked_at.contains(id))
        }
    });
    std::iter::once(flashback).chain(sources).collect()
}

/// A service of which no more is filled in than how it stands.
fn standing(known: Known, asked: bool) -> Service {
    let answers = match (known.up, asked) {
        (false, _) => Answers::No,
        (true, true) => Answers::Yes,
        (true, false) => Answers::NotYet,
    };
    // A reload that makes a service anew ends its outage without a word.
    let over = |outage: &Outage| answers == Answers::No || outage.until.is_some();
    Service {
        name: String::new(),
        kind: "",
        place: String::new(),
        keys: 0,
        answers,
        outage: known.outage.filter(over),
    }
}

fn kind(kind: &SourceKind) -> (&'static str, String) {
    match kind {
        SourceKind::Vault(vault) => {
            let place = format!("{}/{}", host(&vault.address), vault.mount);
            ("Vault or OpenBao", place)
        }
        SourceKind::Aws(aws) => {
            let region = aws.region.as_deref().unwrap_or("region of the environment");
            let place = match &aws.endpoint_url {
                Some(endpoint) => format!("{region}, {}", host(endpoint)),
                None => region.to_owned(),
            };
            ("AWS Secrets Manager", place)
        }
        SourceKind::File { dir } => ("Directory", dir.display().to_string()),
    }
}

/// Host and port: whatever else stands in an address is nobody's business here.
fn host(address: &str) -> String {
    let Ok(address) = Url::parse(address) else {
        return String::new();
    };
    let host = address.host_str().unwrap_or_default();
    match address.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Every configured key, looked at or not.
pub fn keys(config: &Config, records: Vec<Record>, now: DateTime<Utc>) -> Vec<Key> {
    let mut records: HashMap<KeyId, Record> = records
        .into_iter()
        .map(|record| (record.key.clone(), record))
        .collect();
    let key = |(id, config): (&KeyId, &KeyConfig)| {
        let record = records
            .remove(id)
            .unwrap_or_else(|| Record::new(id.clone()));
        let look = &record.look;
        let held = record.held.as_ref();
        Key {
            row: Row::of_record(id, config, &record),
            path: config.path.clone(),
            seen: record.seen.as_ref().map(|seen| seen.label().to_owned()),
            held: held
                .filter(|held| record.seen.as_ref() == Some(&held.version))
                .map(|held| held.reason.clone()),
            strip: look.strip.until(look.checked_at, look.next_at, now),
        }
    };
    config.keys.iter().map(key).collect()
}
