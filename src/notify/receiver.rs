//! Receivers of notices, and the HTTP POST that sends one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode, Uri};

use super::format::Format;
use super::ledger::Terms;
use super::notice::Notice;
use super::signature;
use crate::credential::SharedCredential;
use crate::model::ReceiverId;
use crate::outbound::{CallError, Outbound, Settings};
use crate::retry::{Class, Limits, class_of_status};
use crate::telemetry::metrics::{Metrics, RECEIVER};
use crate::upstream::{Failure, Unreported, Upstream};
use crate::words;

/// The time limit of one POST.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes that are read of the answer that refuses a notice.
const LONGEST_REFUSAL: usize = 1 << 10;

/// A receiver of notices.
pub struct Receiver {
    /// The name of its `[notify.…]` table.
    pub id: ReceiverId,
    /// The format of its notices.
    pub format: Format,
    /// The events that it is sent, and when.
    pub terms: Terms,
    /// Its address.
    pub url: SharedCredential,
    /// The secret with which its notices are signed.
    pub secret: Option<SharedCredential>,
}

/// The client for one receiver. Each notice is sent over a connection of its own: the address is a secret,
/// and must not stay in the buffers of a connection that is kept open.
pub struct Way {
    upstream: Upstream,
    outbound: Outbound,
}

/// A notice that did not arrive. The texts hold no secrets and may be shown.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct Undelivered {
    /// The description of the refusal or failure.
    what: String,
    /// The label for metrics.
    status: String,
    /// Whether the notice may arrive if it is sent again. No failure is an outage: the notifier itself waits after a
    /// receiver's failure, one notice at a time.
    class: Class,
}

impl Way {
    /// Returns the client for one receiver, without calling it yet.
    pub fn new(metrics: Arc<Metrics>, retry: Limits) -> Self {
        let terms = crate::upstream::Terms {
            max_rps: None,
            timeout: TIMEOUT,
            permits: 1,
            retry,
        };
        Self {
            // The notifier logs the fate of its notices itself.
            upstream: Upstream::new(RECEIVER, terms, metrics, Arc::new(Unreported)),
            outbound: Outbound::new(Settings {
                user_agent: Some(
                    concat!("flashback-rotator/", env!("CARGO_PKG_VERSION")).to_owned(),
                ),
                ..Settings::default()
            }),
        }
    }

    /// Sends a notice once.
    ///
    /// # Errors
    /// Returns [`Undelivered`] if the receiver refused it, or if it could not be sent.
    pub async fn send(&self, receiver: &Receiver, notice: &Notice) -> Result<(), Undelivered> {
        let post = async {
            let request = request(receiver, notice).await?;
            self.post(request).await
        };
        self.upstream.call("POST", post).await
    }

    async fn post(&self, request: Request<Bytes>) -> Result<(), Undelivered> {
        let silent = |error: CallError| Undelivered::failed(error.to_string(), error.status());
        let address = request.uri().to_string();
        let answer = self.outbound.send_alone(request).await.map_err(silent)?;
        let (status, retry_after) = (answer.status(), answer.retry_after());
        if status.is_success() {
            return Ok(());
        }
        let said = answer.beginning(LONGEST_REFUSAL).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().next().unwrap_or_default();
        let said = words::shown(said, &[&address]);
        Err(judge(status, &said, retry_after))
    }
}

/// Classifies an answer whose status is not a success.
fn judge(status: StatusCode, said: &str, retry_after: Option<Duration>) -> Undelivered {
    let code = status.as_u16();
    let said = match said {
        "" => String::new(),
        said => format!(": {said}"),
    };
    let what = match status.is_redirection() {
        true => {
            format!("the receiver redirects ({code}), which is not followed: write its own address")
        }
        false => format!("the receiver answered {code}{said}"),
    };
    let class = match class_of_status(code, retry_after) {
        Class::Outage { retry_after } => Class::Transient { retry_after },
        class => class,
    };
    Undelivered {
        what,
        status: code.to_string(),
        class,
    }
}

/// Builds the request from the current values of the address and the secret.
async fn request(receiver: &Receiver, notice: &Notice) -> Result<Request<Bytes>, Undelivered> {
    let cannot = |what: String| Undelivered::failed(what, "setup");
    let url = receiver.url.fetch().await;
    let url = url.map_err(|error| cannot(format!("`url` cannot be had: {error}")))?;
    let address: Option<Uri> = url.expose().trim().parse().ok();
    let address = address
        .filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    let address = address
        .ok_or_else(|| cannot("what `url` refers to is not an http or https URL".to_owned()))?;
    let (id, now) = (notice.id(), Utc::now().timestamp());
    let body = (receiver.format.body)(notice);
    let mut request = Request::post(address)
        .header(
            CONTENT_TYPE,
            HeaderValue::from_static(receiver.format.content_type),
        )
        .header("webhook-id", &id)
        .header("webhook-timestamp", now);
    if let Some(secret) = &receiver.secret {
        let secret = secret.fetch().await;
        let secret = secret.map_err(|error| cannot(format!("`secret` cannot be had: {error}")))?;
        let key = signature::key(&secret).ok_or_else(|| {
            cannot("what `secret` refers to is no signing secret: `whsec_` and at least 24 bytes in base64, such as `echo whsec_$(openssl rand -base64 32)` makes".to_owned())
        })?;
        request = request.header("webhook-signature", signature::sign(&key, &id, now, &body));
    }
    request
        .body(Bytes::from(body))
        .map_err(|_| cannot("no request can be made of what `url` refers to".to_owned()))
}

impl Undelivered {
    fn failed(what: String, status: &str) -> Self {
        Self {
            what,
            status: status.to_owned(),
            class: Class::Transient { retry_after: None },
        }
    }
}

impl Failure for Undelivered {
    fn class(&self) -> Class {
        self.class
    }

    fn status(&self) -> String {
        self.status.clone()
    }

    fn timed_out(after: Duration) -> Self {
        let time = humantime::format_duration(after);
        Self::failed(format!("no answer within {time}"), "timeout")
    }

    fn circuit_open(retry_in: Duration, cause: &str) -> Self {
        let retry_after = Some(retry_in);
        Self {
            class: Class::Transient { retry_after },
            ..Self::failed(cause.to_owned(), "held_back")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_final_and_outages_are_not() {
        let judged = |code, retry_after| {
            judge(
                StatusCode::from_u16(code).expect("a status"),
                "no_service",
                retry_after,
            )
        };
        for code in [301, 307, 400, 401, 403, 404, 410, 422] {
            let refused = judged(code, None);
            assert_eq!(refused.class(), Class::Refused, "{code}");
        }
        let asked = Some(Duration::from_secs(7));
        for code in [408, 425, 429, 500, 502, 503, 504] {
            let transient = Class::Transient { retry_after: asked };
            assert_eq!(judged(code, asked).class(), transient, "{code}");
        }
    }
}
