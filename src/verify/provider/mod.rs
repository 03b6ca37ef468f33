//! Asking the provider whether it takes a key: the cheapest call that needs one.
//!
//! The call goes where Flashback's own would go, to the key's endpoint, and nowhere else: a redirect
//! is not followed. Only a refusal of the key is a rejection. Everything else, silence included, is
//! inconclusive, so that no outage of a provider holds a rotation back. What each answer means, and
//! where that is documented, stands in `docs/keys.md`.

mod answer;
mod http;
mod not_taken;
mod sts;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, ConfigLoader};
use parking_lot::Mutex;

use self::http::Http;
use self::not_taken::{Kind, NotTaken};
use self::sts::Sts;
use super::{Probe, Prober};
use crate::model::{AiType, Settings};
use crate::retry::Limits;
use crate::secret::Credentials;
use crate::telemetry::metrics::{Metrics, PROVIDER};
use crate::upstream::{Terms, Unreported, Upstream};

/// The timeout of one call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most calls to one host under way at once.
const PLACES: usize = 16;

/// The most calls to one host in a second, so that a change of many keys at once does not use up their rate limits.
const MAX_RPS: f64 = 20.0;

/// Verifies keys by calling their providers; one for all keys.
pub struct LiveProber {
    metrics: Arc<Metrics>,
    terms: Terms,
    /// The upstream of each host that was called. The configuration names the hosts, so there are few.
    upstreams: Mutex<HashMap<String, Arc<Upstream>>>,
    http: Http,
    sts: Sts,
}

impl LiveProber {
    /// Makes a prober that reads and calls nothing before the first probe. `region` is the region in which AWS keys are
    /// verified whose endpoint names none.
    pub fn new(metrics: Arc<Metrics>, retry: Limits, region: Option<String>) -> Self {
        Self::with_loader(metrics, retry, region, || {
            aws_config::defaults(BehaviorVersion::v2026_01_12())
        })
    }

    /// Does the same as [`new`](Self::new), with the AWS SDK's own settings (endpoints, profile files) from `loader`
    /// instead of the process's environment.
    pub fn with_loader(
        metrics: Arc<Metrics>,
        retry: Limits,
        region: Option<String>,
        loader: impl Fn() -> ConfigLoader + Send + Sync + 'static,
    ) -> Self {
        let terms = Terms {
            max_rps: Some(MAX_RPS),
            timeout: TIMEOUT,
            permits: PLACES,
            retry,
        };
        Self {
            metrics,
            terms,
            upstreams: Mutex::default(),
            http: Http::default(),
            sts: Sts::new(region, Box::new(loader)),
        }
    }

    /// Sets another timeout of one call than ten seconds.
    #[must_use]
    pub fn timing_out_after(mut self, timeout: Duration) -> Self {
        self.terms.timeout = timeout;
        self
    }

    fn upstream(&self, host: &str) -> Arc<Upstream> {
        let mut upstreams = self.upstreams.lock();
        let upstream = upstreams.entry(host.to_owned()).or_insert_with(|| {
            let metrics = Arc::clone(&self.metrics);
            Arc::new(Upstream::new(
                PROVIDER,
                self.terms,
                metrics,
                Arc::new(Unreported),
            ))
        });
        Arc::clone(upstream)
    }

    async fn ask(&self, settings: &Settings, credentials: &Credentials) -> Result<(), NotTaken> {
        if settings.ai_type == AiType::Aws {
            let region = self.sts.region_of(&settings.endpoint);
            let place = match &region {
                Some(region) => format!("STS in {region}"),
                None => "STS".to_owned(),
            };
            let call = self.sts.ask(region, credentials);
            let asked = self.upstream(&place).call("GetCallerIdentity", call).await;
            return asked.map_err(|error| error.naming(&place));
        }
        let question = self.http.question(settings, credentials)?;
        let host = question.host();
        let call = self.http.ask(&question);
        let asked = self.upstream(host).call(question.operation(), call).await;
        asked.map_err(|error| error.naming(host))
    }
}

#[async_trait]
impl Prober for LiveProber {
    async fn probe(&self, settings: &Settings, credentials: &Credentials) -> Probe {
        match self.ask(settings, credentials).await {
            Ok(()) => Probe::Works,
            Err(NotTaken {
                kind: Kind::Rejected,
                what,
                ..
            }) => Probe::Rejected(what),
            Err(NotTaken { what, .. }) => Probe::Inconclusive(what),
        }
    }
}
