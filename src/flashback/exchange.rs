//! One request and its answer, as every call to Flashback makes it.
//!
//! An answer is a value only where it is a 2xx whose body the caller's reader accepts; everything
//! else becomes a [`FlashbackError`] here, with no more of the server's words than may be shown. A refusal counts as one
//! only in the API's own words: what a gateway, a firewall or a login page in front of it says is a
//! failure on the way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::answer;
use super::reader::{Asked, Reader, faulty, lost};
use super::reason::{Reason, reason};
use super::{FlashbackError, second_factor, stranger, wire};
use crate::answerer;
use crate::outbound::{Answer, CallError, Outbound, Settings};
use crate::retry::{Class, class_of_status};
use crate::secret::Secret;
use crate::upstream::Upstream;
use crate::words;

/// The longest body of an error that is read, in bytes.
const LONGEST_ERROR: usize = 64 << 10;

const JSON: &str = "application/json";

/// Sends requests to Flashback.
pub(super) struct Exchange {
    outbound: Outbound,
    base: Url,
    /// The upstream that every call goes through.
    pub upstream: Arc<Upstream>,
}

/// One request.
pub(super) struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The segments of the path after `base_url`, not yet encoded.
    pub path: &'a [&'a str],
    /// The value of `workspaceId` in the query.
    pub workspace: Option<&'a str>,
    /// The body, in JSON.
    pub body: Option<Bytes>,
    /// The secrets in the body, which an answer must not show.
    pub sent: Vec<&'a Secret>,
    /// `true` if the call checks that this is Flashback at all: an answer that is not the API's JSON becomes an error
    /// that says so.
    pub identifies: bool,
    /// `true` if the call has a secret of the sign-in in it, and so uses a connection of its own.
    pub signs_in: bool,
    /// The limit of a call for which Flashback asks the provider before it answers. A failure may be the
    /// provider's then, and is not taken as an outage of Flashback.
    pub relays: Option<Duration>,
}

impl<'a> Call<'a> {
    /// Makes a request without a body.
    pub fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self {
            method,
            path,
            workspace: None,
            body: None,
            sent: Vec::new(),
            identifies: false,
            signs_in: false,
            relays: None,
        }
    }
}

impl Exchange {
    pub fn new(
        base_url: &str,
        upstream: Arc<Upstream>,
        replica: Option<&str>,
    ) -> Result<Self, FlashbackError> {
        let base = Url::parse(base_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .filter(|url| url.query().is_none() && url.fragment().is_none())
            .filter(|url| url.username().is_empty() && url.password().is_none())
            .ok_or_else(|| {
                unusable("base_url is not an http:// or https:// address without query and user")
            })?;
        let outbound = Outbound::new(Settings {
            user_agent: Some(user_agent(replica)),
            ..Settings::default()
        });
        Ok(Self {
            outbound,
            base,
            upstream,
        })
    }

    /// Makes the call and reads its answer. The reader receives what was sent, to recognise it in the answer.
    pub async fn send<R: Reader>(
        &self,
        call: &Call<'_>,
        bearer: Option<&Secret>,
        reader: &R,
    ) -> Result<R::Read, FlashbackError> {
        let exchange = async {
            let answer = self.head(call, bearer).await?;
            let sent = all_sent(call, bearer);
            let asked = Asked {
                base: self.base(),
                sent: &sent,
                identifies: call.identifies,
            };
            reader.read(answer, &asked).await
        };
        let Some(limit) = call.relays else {
            return exchange.await;
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(Err(FlashbackError::Unavailable {
                what,
                status,
                retry_after,
            })) if matches!(&*status, "502" | "503" | "504") => Err(FlashbackError::Faulty {
                what,
                status,
                retry_after,
            }),
            Ok(result) => result,
            Err(_) => Err(faulty(
                format!("no answer within {}", humantime::format_duration(limit)),
                "timeout",
            )),
        }
    }

    /// Makes the call as far as a 2xx; what else comes is an error.
    async fn head(
        &self,
        call: &Call<'_>,
        bearer: Option<&Secret>,
    ) -> Result<Answer, FlashbackError> {
        let sent = all_sent(call, bearer);
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(self.address(call)?.as_str())
            .header(ACCEPT, HeaderValue::from_static(JSON));
        if let Some(token) = bearer {
            let value = wire::bearer(token).ok_or_else(|| FlashbackError::SignIn {
                what: "the token holds a character that cannot be in a header: is it one line?"
                    .to_owned(),
                status: "credential".to_owned(),
                retry_after: None,
            })?;
            request = request.header(AUTHORIZATION, value);
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        let request = request.body(call.body.clone().unwrap_or_default());
        let request = request.map_err(|_| unsendable())?;
        let answer = match call.signs_in {
            true => self.outbound.send_alone(request).await,
            false => self.outbound.send(request).await,
        };
        let answer = answer.map_err(|error| self.no_answer(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let (refusal, body) = refusal(answer, &sent).await;
        // The error of a gateway without a server behind it is no reason to doubt the address.
        let final_word = matches!(class_of_status(status.as_u16(), None), Class::Refused);
        if call.identifies && final_word && !stranger::is_of_the_api(status, &body) {
            return Err(stranger::error(self.base(), status, &body));
        }
        let unauthorized = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if unauthorized && second_factor::is_asked_by(&body, true) {
            return Err(second_factor::asked(status.as_u16()));
        }
        Err(refusal)
    }

    fn no_answer(&self, error: &CallError) -> FlashbackError {
        let unavailable = |status: &str| FlashbackError::Unavailable {
            what: format!("{}: {error}", self.base.authority()),
            status: status.to_owned(),
            retry_after: None,
        };
        match error {
            CallError::Unsendable => unsendable(),
            CallError::Unresolved { .. } | CallError::ConnectTimeout | CallError::Connect(_) => {
                unavailable("connect")
            }
            CallError::Certificates(_) => unavailable("setup"),
            CallError::Timeout
            | CallError::NotHttp
            | CallError::Broken(_)
            | CallError::TooLong(_) => lost(error),
        }
    }

    /// Returns the configured base URL.
    pub fn base(&self) -> &str {
        self.base.as_str()
    }

    fn address(&self, call: &Call<'_>) -> Result<Url, FlashbackError> {
        if let Some(segment) = call.path.iter().find(|text| !answer::fits_a_path(text)) {
            let what = format!(
                "an id of {} characters that no path can hold",
                segment.chars().count()
            );
            return Err(FlashbackError::NotFound { what });
        }
        let mut address = self.base.clone();
        address
            .path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .extend(call.path);
        if let Some(workspace) = call.workspace {
            if let Some(length) = words::too_long(workspace) {
                let what = format!("the workspace's id has {length} characters");
                return Err(FlashbackError::Unsendable { what });
            }
            address
                .query_pairs_mut()
                .append_pair("workspaceId", workspace);
        }
        Ok(address)
    }
}

/// Returns the `User-Agent`, which tells Flashback's operators which replica made a request.
fn user_agent(replica: Option<&str>) -> String {
    let product = concat!("flashback-rotator/", env!("CARGO_PKG_VERSION"));
    let Some(replica) = replica else {
        return product.to_owned();
    };
    // The name stands in a comment, as RFC 9110 has them.
    let fits = |c: &char| c.is_ascii_graphic() && !matches!(c, '(' | ')' | '\\');
    let name: String = replica.chars().filter(fits).collect();
    format!("{product} (replica {name})")
}

fn all_sent<'a>(call: &Call<'a>, bearer: Option<&'a Secret>) -> Vec<&'a Secret> {
    call.sent.iter().copied().chain(bearer).collect()
}

/// Turns an answer outside 2xx into an error; returns its body, too.
async fn refusal(answer: Answer, sent: &[&Secret]) -> (FlashbackError, Zeroizing<Vec<u8>>) {
    let status = answer.status();
    let retry_after = answer.retry_after();
    let body = answer.body(LONGEST_ERROR).await.unwrap_or_default();
    let error = classified(status, retry_after, &body, sent);
    (error, body)
}

fn classified(
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
    sent: &[&Secret],
) -> FlashbackError {
    let code = status.as_u16();
    let in_front = |what: String| FlashbackError::Faulty {
        what,
        status: code.to_string(),
        retry_after,
    };
    if status.is_redirection() {
        return in_front(format!(
            "a redirect ({code}) came back, and none is followed: something in front of Flashback \
             sends callers elsewhere, or base_url is not the final address"
        ));
    }
    let reason = reason(body);
    // Many gateways send only a message with a 403 or a 404.
    let may_be_bare = !matches!(code, 403 | 404);
    let is_api = |reason: &Reason| reason.is_api && (may_be_bare || !reason.is_bare);
    let is_api = reason.as_ref().is_some_and(is_api) && !answerer::is_of_vault(body);
    let text = reason.and_then(|reason| reason.text);
    if !is_api && status.is_client_error() && !matches!(code, 408 | 425 | 429) {
        let words = text.map_or_else(String::new, |text| {
            format!(": {}", wire::shown(&text, sent))
        });
        return in_front(format!(
            "what answered is not Flashback: {code} {}{words}; something stands in front of Flashback, or \
             base_url is wrong",
            answerer::describe(body)
        ));
    }
    let words = wire::said(text.as_deref(), sent);
    if status == StatusCode::NOT_FOUND {
        return FlashbackError::NotFound { what: words };
    }
    match class_of_status(code, retry_after) {
        Class::Outage { retry_after } => FlashbackError::Unavailable {
            what: format!("Flashback answered {code}: {words}"),
            status: code.to_string(),
            retry_after,
        },
        Class::Transient { retry_after } => FlashbackError::Faulty {
            what: format!("Flashback answered {code}: {words}"),
            status: code.to_string(),
            retry_after,
        },
        Class::Refused => FlashbackError::Refused {
            status: code,
            what: words,
        },
    }
}

fn unsendable() -> FlashbackError {
    FlashbackError::Unsendable {
        what: "no request can be made of base_url, the workspace and the id".to_owned(),
    }
}

fn unusable(what: &str) -> FlashbackError {
    FlashbackError::Unavailable {
        what: what.to_owned(),
        status: "setup".to_owned(),
        retry_after: None,
    }
}
