//! One request and its answer: what every call to Flashback has in common.
//!
//! An answer is a value only where it is a 2xx whose body the caller's reader accepts; everything
//! else becomes a [`FlashbackError`] here, with no more of the server's words than may be shown. A refusal counts as one
//! only in the API's own words: what a gateway, a firewall or a login page in front of it says is a
//! failure on the way.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use zeroize::Zeroizing;

use super::answer::{self, Odd};
use super::reason::reason;
use super::{FlashbackError, Listing, listing, second_factor, stranger, wire};
use crate::lane::Lane;
use crate::model::{TargetKind, WorkspaceId};
use crate::redact::Pieces;
use crate::retry::{Class, class_of_status, parse_retry_after};
use crate::secret::{Secret, append};
use crate::words;

/// Connecting takes no longer than this; the lane limits the whole call.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// The longest answer that is read at once; a list is read as it comes.
const LONGEST_ANSWER: usize = 1 << 20;
/// The longest error that is read.
const LONGEST_ERROR: usize = 64 << 10;

const JSON: &str = "application/json";

/// The way requests go out.
pub(super) struct Exchange {
    client: reqwest::Client,
    base: Url,
    /// What every call goes through.
    pub lane: Arc<Lane>,
}

/// One request.
pub(super) struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The path's segments behind `base_url`, not encoded.
    pub path: &'a [&'a str],
    /// `workspaceId` in the query.
    pub workspace: Option<&'a str>,
    /// JSON.
    pub body: Option<Bytes>,
    /// The secrets in the body, which an answer must not show.
    pub sent: Vec<&'a Secret>,
    /// The call finds out whether this is Flashback at all: an answer that is not in the API's JSON
    /// is an error that says so.
    pub identifies: bool,
    /// Flashback calls the provider before it answers, and is given this long. That it comes to
    /// nothing may be the provider's fault, and is no outage of Flashback.
    pub relays: Option<Duration>,
}

impl<'a> Call<'a> {
    /// A request without a body.
    pub fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self {
            method,
            path,
            workspace: None,
            body: None,
            sent: Vec::new(),
            identifies: false,
            relays: None,
        }
    }
}

impl Exchange {
    pub fn new(
        base_url: &str,
        lane: Arc<Lane>,
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
        let client = reqwest::Client::builder()
            .user_agent(user_agent(replica))
            // A bearer token must not follow a redirect to another host.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(|error| unusable(&format!("no HTTP client: {}", root_cause(&error))))?;
        Ok(Self { client, base, lane })
    }

    /// Makes the call and reads its answer; the reader is told what was sent, to know it again.
    pub async fn send<R: Reader>(
        &self,
        call: &Call<'_>,
        bearer: Option<&Secret>,
        reader: &R,
    ) -> Result<R::Read, FlashbackError> {
        let exchange = async {
            let answer = self.head(call, bearer).await?;
            reader.read(answer, &all_sent(call, bearer)).await
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
    ) -> Result<Response, FlashbackError> {
        let sent = all_sent(call, bearer);
        let mut request = self
            .client
            .request(call.method.clone(), self.address(call)?)
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
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, HeaderValue::from_static(JSON))
                .body(body.clone());
        }
        let answer = request.send().await.map_err(|error| {
            if error.is_builder() {
                FlashbackError::Unsendable {
                    what: "no request can be made of base_url, the workspace and the id".to_owned(),
                }
            } else if error.is_connect() {
                FlashbackError::Unavailable {
                    what: format!(
                        "no connection to {}: {}",
                        self.base.authority(),
                        wire::shown(&root_cause(&error), &sent)
                    ),
                    status: "connect".to_owned(),
                    retry_after: None,
                }
            } else {
                lost(&error, &sent)
            }
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let (refusal, body) = refusal(answer, &sent).await;
        // What a gateway says when there is no answer behind it is no reason to doubt the address.
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

    /// Where Flashback is said to be.
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

/// Makes something of a 2xx.
#[async_trait]
pub(super) trait Reader: Send + Sync {
    /// What it makes.
    type Read: Send;

    /// Reads the body.
    async fn read(&self, answer: Response, sent: &[&Secret]) -> Result<Self::Read, FlashbackError>;
}

/// Reads a short body as a whole.
pub(super) struct Whole<F>(pub F);

#[async_trait]
impl<T: Send, F: Fn(&[u8], &[&Secret]) -> Result<T, Odd> + Send + Sync> Reader for Whole<F> {
    type Read = T;

    async fn read(&self, answer: Response, sent: &[&Secret]) -> Result<T, FlashbackError> {
        let body = body_of(answer, LONGEST_ANSWER).await;
        let body = body.map_err(|unread| unread.into_error(sent))?;
        self.0(&body, sent).map_err(|odd| odd_answer(odd, sent))
    }
}

/// Reads a list as it comes.
pub(super) struct List<'a> {
    pub workspace: &'a WorkspaceId,
    pub kind: TargetKind,
}

#[async_trait]
impl Reader for List<'_> {
    type Read = Listing;

    async fn read(&self, answer: Response, sent: &[&Secret]) -> Result<Listing, FlashbackError> {
        let pieces = Pieces::of(sent.iter().map(|secret| secret.expose()));
        let listing = listing::read(answer, self.workspace.clone(), self.kind, pieces);
        listing.await.map_err(|unread| match unread {
            listing::Unread::Odd(odd) => odd_answer(odd, sent),
            listing::Unread::Lost(error) => lost(&error, sent),
        })
    }
}

/// Reads a list to find out whether this is Flashback. What is in the list is not kept.
pub(super) struct Identity<'a> {
    /// Where Flashback is said to be.
    pub base: &'a str,
}

#[async_trait]
impl Reader for Identity<'_> {
    type Read = ();

    async fn read(&self, answer: Response, sent: &[&Secret]) -> Result<(), FlashbackError> {
        let status = answer.status();
        let body = beginning_of(answer, stranger::ENOUGH).await;
        let body = body.map_err(|unread| unread.into_error(sent))?;
        if !stranger::is_of_the_api(status, &body) {
            return Err(stranger::error(self.base, status, &body));
        }
        stranger::read_list(&body).map_err(|odd| odd_answer(odd, sent))
    }
}

/// What Flashback's operators see of who asked.
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

/// What a status outside 2xx means, and the body that came with it.
async fn refusal(answer: Response, sent: &[&Secret]) -> (FlashbackError, Zeroizing<Vec<u8>>) {
    let status = answer.status();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| parse_retry_after(text, SystemTime::now()));
    let body = body_of(answer, LONGEST_ERROR).await.unwrap_or_default();
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
    let is_api = reason.as_ref().is_some_and(|reason| reason.is_api);
    let words = wire::said(reason.and_then(|reason| reason.text).as_deref(), sent);
    if !is_api && status.is_client_error() && !matches!(code, 408 | 425 | 429) {
        return in_front(format!(
            "something in front of Flashback answered {code}: {words}"
        ));
    }
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

/// A 2xx that is no success.
fn odd_answer(odd: Odd, sent: &[&Secret]) -> FlashbackError {
    match odd {
        Odd::NotTheContract(what) => faulty(
            format!("Flashback answered with success, but {what}"),
            "bad_answer",
        ),
        Odd::Unsuccessful(words) => faulty(
            format!(
                "Flashback answered `success: false`: {}",
                wire::said(words.as_deref(), sent)
            ),
            "unsuccessful",
        ),
        Odd::SecondFactor => second_factor::asked(StatusCode::OK.as_u16()),
    }
}

enum NoBody {
    TooLong,
    Lost(reqwest::Error),
}

impl NoBody {
    fn into_error(self, sent: &[&Secret]) -> FlashbackError {
        match self {
            Self::TooLong => faulty(
                format!("the answer is longer than {} MiB", LONGEST_ANSWER >> 20),
                "bad_answer",
            ),
            Self::Lost(error) => lost(&error, sent),
        }
    }
}

/// Reads a body of at most `limit` bytes into memory that is wiped: it may hold tokens.
async fn body_of(mut answer: Response, limit: usize) -> Result<Zeroizing<Vec<u8>>, NoBody> {
    let stated = answer.content_length().unwrap_or(0);
    let room = usize::try_from(stated).map_err(|_| NoBody::TooLong)?;
    if room > limit {
        return Err(NoBody::TooLong);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(room.max(4096)));
    while let Some(chunk) = answer.chunk().await.map_err(NoBody::Lost)? {
        if body.len() + chunk.len() > limit {
            return Err(NoBody::TooLong);
        }
        append(&mut body, &chunk);
    }
    Ok(body)
}

/// Reads the beginning of a body, at most `limit` bytes of it, into memory that is wiped.
async fn beginning_of(mut answer: Response, limit: usize) -> Result<Zeroizing<Vec<u8>>, NoBody> {
    let mut body = Zeroizing::new(Vec::with_capacity(limit));
    while body.len() < limit
        && let Some(chunk) = answer.chunk().await.map_err(NoBody::Lost)?
    {
        let fits = chunk.len().min(limit - body.len());
        body.extend_from_slice(&chunk[..fits]);
    }
    Ok(body)
}

/// The connection ended after the request began to leave: it may have been carried out.
fn lost(error: &reqwest::Error, sent: &[&Secret]) -> FlashbackError {
    let cause = wire::shown(&root_cause(error), sent);
    faulty(
        format!("the connection was lost before the answer: {cause}"),
        "lost",
    )
}

fn faulty(what: String, status: &str) -> FlashbackError {
    FlashbackError::Faulty {
        what,
        status: status.to_owned(),
        retry_after: None,
    }
}

fn unusable(what: &str) -> FlashbackError {
    FlashbackError::Unavailable {
        what: what.to_owned(),
        status: "setup".to_owned(),
        retry_after: None,
    }
}

/// The innermost cause; the outer ones repeat it and show the whole address.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
