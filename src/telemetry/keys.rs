//! The metrics of each key.
//!
//! A key has ten series, and up to four more if it is rotated, which make up most of the metrics where there are many
//! keys. The values of a key are therefore kept together in one small entry, and become series only when metrics are
//! read.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet};
use prometheus_client::metrics::MetricType;

use crate::model::{KeyId, SourceId, WorkspaceId};

/// The rotation of a key, as its metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationStanding {
    /// The word for the stage that it is in, one of a fixed set. There is a series for this stage alone, so that
    /// thousands of keys have thousands of series, and not eight times as many.
    pub stage: &'static str,
    /// The time at which the next rotation is due; `None` if only a person asks for one.
    pub due_at: Option<DateTime<Utc>>,
    /// The time at which the overlap of the oldest old key that still works is over; `None` if there is no such key.
    pub overlap_ends_at: Option<DateTime<Utc>>,
}

/// The values of one key's metrics, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub info: Option<(SourceId, WorkspaceId)>,
    pub in_sync: Option<bool>,
    pub held: Option<bool>,
    pub verified: Option<bool>,
    pub created: Seconds,
    pub max_age: Seconds,
    pub last_push: Seconds,
    pub last_check: Seconds,
    pub next_check: Seconds,
    pub interval: Seconds,
    /// Boxed, because most keys have none.
    pub rotation: Option<Box<RotationStanding>>,
}

/// A Unix time or a length of time, in seconds. It is NaN until it is known, which takes less memory than an
/// `Option`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seconds(pub f64);

impl Default for Seconds {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

/// Two lengths that are not known are equal.
impl PartialEq for Seconds {
    fn eq(&self, other: &Self) -> bool {
        self.known() == other.known()
    }
}

impl Seconds {
    /// Converts a length of time, if there is one.
    pub fn of(length: Option<Duration>) -> Self {
        Self(length.map_or(f64::NAN, |length| length.as_secs_f64()))
    }

    /// Converts a time.
    pub fn at(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros() as f64 / 1e6)
    }

    fn known(self) -> Option<f64> {
        Some(self.0).filter(|seconds| !seconds.is_nan())
    }
}

impl Figures {
    /// Returns `true` if any value is known.
    pub fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

/// The values of every key.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Arc<Mutex<BTreeMap<KeyId, Figures>>>);

impl Keys {
    /// Changes the values of a key.
    pub fn change(&self, key: &KeyId, change: impl FnOnce(&mut Figures)) {
        let mut keys = self.0.lock();
        match keys.get_mut(key) {
            Some(figures) => change(figures),
            None => change(keys.entry(key.clone()).or_default()),
        }
    }

    /// Changes the values of a key that has any. The key is removed if `change` returns `false`.
    pub fn retain(&self, key: &KeyId, change: impl FnOnce(&mut Figures) -> bool) {
        let mut keys = self.0.lock();
        if keys.get_mut(key).is_some_and(|figures| !change(figures)) {
            keys.remove(key);
        }
    }
}

impl Collector for Keys {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), Error> {
        // The values are copied first, so that reconciles do not wait while metrics are read.
        let all: Vec<(KeyId, Figures)> = {
            let keys = self.0.lock();
            let all = keys.iter();
            all.map(|(key, figures)| (key.clone(), figures.clone()))
                .collect()
        };
        Series { encoder, all }.encode()
    }
}

struct Series<'a> {
    encoder: DescriptorEncoder<'a>,
    all: Vec<(KeyId, Figures)>,
}

impl Series<'_> {
    fn encode(mut self) -> Result<(), Error> {
        self.info()?;
        self.switch(
            "key_in_sync",
            "1 while Flashback holds the store's version of the key",
            |figures| figures.in_sync,
        )?;
        self.switch(
            "key_held",
            "1 while the store's version of the key is held and is not pushed by itself",
            |figures| figures.held,
        )?;
        self.switch(
            "key_verified",
            "1 while what Flashback holds of the key is known to work",
            |figures| figures.verified,
        )?;
        self.gauge(
            "key_version_created_timestamp_seconds",
            "Unix time since which the source has what is live; of a source without versions, of its first push",
            |figures| figures.created.known(),
        )?;
        self.gauge(
            "key_max_age_seconds",
            "How old the live version of the key may be",
            |figures| figures.max_age.known(),
        )?;
        self.gauge(
            "key_last_push_timestamp_seconds",
            "Unix time of the last push of the key",
            |figures| figures.last_push.known(),
        )?;
        self.gauge(
            "key_last_check_timestamp_seconds",
            "Unix time of the last check of the key",
            |figures| figures.last_check.known(),
        )?;
        self.gauge(
            "key_next_check_timestamp_seconds",
            "Unix time of the next check of the key",
            |figures| figures.next_check.known(),
        )?;
        self.gauge(
            "key_check_interval_seconds",
            "Time between two checks of the key; for a cron line the mean of the next two",
            |figures| figures.interval.known(),
        )?;
        self.rotations()
    }

    /// Writes what only keys have that are rotated.
    fn rotations(&mut self) -> Result<(), Error> {
        let now = Seconds::at(Utc::now()).0;
        let all = self.all.iter().filter_map(|(key, figures)| {
            let rotation = figures.rotation.as_ref()?;
            Some(([("key", key.as_str()), ("stage", rotation.stage)], 1_i64))
        });
        let help = "1 for the stage that the rotation of the key is in; of keys that are rotated";
        write(&mut self.encoder, "rotation_stage", help, all)?;
        self.gauge(
            "key_age_seconds",
            "Time since which the source has what is live; of keys that are rotated",
            |figures| {
                figures.rotation.as_ref()?;
                figures
                    .created
                    .known()
                    .map(|created| (now - created).max(0.0))
            },
        )?;
        self.gauge(
            "rotation_due_timestamp_seconds",
            "Unix time at which the next rotation of the key is due",
            |figures| time(figures, |rotation| rotation.due_at),
        )?;
        self.gauge(
            "old_key_overlap_end_timestamp_seconds",
            "Unix time at which the overlap is over of the oldest old key that still works",
            |figures| time(figures, |rotation| rotation.overlap_ends_at),
        )
    }

    fn info(&mut self) -> Result<(), Error> {
        let all = self.all.iter().filter_map(|(key, figures)| {
            let (source, workspace) = figures.info.as_ref()?;
            let labels = [
                ("key", key.as_str()),
                ("source", source.as_str()),
                ("workspace_id", workspace.as_str()),
            ];
            Some((labels, 1_i64))
        });
        let help = "1 for each key that is switched on, with its source and its workspace";
        write(&mut self.encoder, "key_info", help, all)
    }

    fn switch(
        &mut self,
        name: &str,
        help: &str,
        of: impl Fn(&Figures) -> Option<bool>,
    ) -> Result<(), Error> {
        self.gauge(name, help, |figures| of(figures).map(i64::from))
    }

    fn gauge<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        of: impl Fn(&Figures) -> Option<V>,
    ) -> Result<(), Error> {
        let all = self.all.iter().filter_map(|(key, figures)| {
            let value = of(figures)?;
            Some(([("key", key.as_str())], value))
        });
        write(&mut self.encoder, name, help, all)
    }
}

fn time(figures: &Figures, of: impl Fn(&RotationStanding) -> Option<DateTime<Utc>>) -> Option<f64> {
    let time = of(figures.rotation.as_ref()?)?;
    Seconds::at(time).known()
}

/// Writes one metric, unless no key has it.
fn write<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    all: impl Iterator<Item = (L, V)>,
) -> Result<(), Error> {
    let mut all = all.peekable();
    if all.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in all {
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}
