//! Readers of successful answers: a body as a whole, as a list, or only far enough to identify its sender.
//!
//! Every body is bounded, and read into memory that is wiped.

use async_trait::async_trait;
use reqwest::{Response, StatusCode};
use zeroize::Zeroizing;

use super::answer::Odd;
use super::{FlashbackError, Listing, listing, second_factor, stranger, wire};
use crate::model::{TargetKind, WorkspaceId};
use crate::redact::Pieces;
use crate::secret::{Secret, append};

/// The longest answer that is read at once; a list is read as it comes.
const LONGEST: usize = 1 << 20;

/// The call that is answered.
pub(super) struct Asked<'a> {
    /// The configured base URL.
    pub base: &'a str,
    /// The secrets that were sent, to know them again.
    pub sent: &'a [&'a Secret],
    /// Whether it is to be found out that this is Flashback at all.
    pub identifies: bool,
}

impl Asked<'_> {
    /// Refuses what cannot be the API's, where that is asked.
    fn identify(&self, status: StatusCode, body: &[u8]) -> Result<(), FlashbackError> {
        match self.identifies && !stranger::is_of_the_api(status, body) {
            true => Err(stranger::error(self.base, status, body)),
            false => Ok(()),
        }
    }
}

/// Makes something of a 2xx.
#[async_trait]
pub(super) trait Reader: Send + Sync {
    /// The value read.
    type Read: Send;

    /// Reads the body.
    async fn read(&self, answer: Response, asked: &Asked<'_>)
    -> Result<Self::Read, FlashbackError>;
}

/// Reads a short body as a whole.
pub(super) struct Whole<F>(pub F);

#[async_trait]
impl<T: Send, F: Fn(&[u8], &[&Secret]) -> Result<T, Odd> + Send + Sync> Reader for Whole<F> {
    type Read = T;

    async fn read(&self, answer: Response, asked: &Asked<'_>) -> Result<T, FlashbackError> {
        let status = answer.status();
        let body = body_of(answer, LONGEST).await;
        let body = body.map_err(|none| none.into_error(asked.sent))?;
        asked.identify(status, &body)?;
        self.0(&body, asked.sent).map_err(|odd| odd_answer(odd, asked.sent))
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

    async fn read(&self, answer: Response, asked: &Asked<'_>) -> Result<Listing, FlashbackError> {
        let sent = asked.sent;
        let pieces = Pieces::of(sent.iter().map(|secret| secret.expose()));
        let listing = listing::read(answer, self.workspace.clone(), self.kind, pieces);
        listing.await.map_err(|unread| match unread {
            listing::Unread::Odd(odd) => odd_answer(odd, sent),
            listing::Unread::Lost(error) => lost(&error, sent),
        })
    }
}

/// Reads the beginning of a list, to find out whether this is Flashback.
pub(super) struct Identity;

#[async_trait]
impl Reader for Identity {
    type Read = ();

    async fn read(&self, answer: Response, asked: &Asked<'_>) -> Result<(), FlashbackError> {
        let status = answer.status();
        let body = beginning_of(answer, stranger::ENOUGH).await;
        let body = body.map_err(|none| none.into_error(asked.sent))?;
        asked.identify(status, &body)?;
        stranger::read_list(&body).map_err(|odd| odd_answer(odd, asked.sent))
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

/// A body that could not be read.
pub(super) enum NoBody {
    TooLong,
    Lost(reqwest::Error),
}

impl NoBody {
    fn into_error(self, sent: &[&Secret]) -> FlashbackError {
        match self {
            Self::TooLong => faulty(
                format!("the answer is longer than {} MiB", LONGEST >> 20),
                "bad_answer",
            ),
            Self::Lost(error) => lost(&error, sent),
        }
    }
}

/// Reads a body of at most `limit` bytes into memory that is wiped: it may hold tokens.
pub(super) async fn body_of(
    mut answer: Response,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, NoBody> {
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
pub(super) fn lost(error: &reqwest::Error, sent: &[&Secret]) -> FlashbackError {
    let cause = wire::shown(&root_cause(error), sent);
    faulty(
        format!("the connection was lost before the answer: {cause}"),
        "lost",
    )
}

pub(super) fn faulty(what: String, status: &str) -> FlashbackError {
    FlashbackError::Faulty {
        what,
        status: status.to_owned(),
        retry_after: None,
    }
}

/// The innermost cause; the outer ones repeat it and show the whole address.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
