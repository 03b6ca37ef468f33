//! Readers of successful answers: a body as a whole, as a list, or only far enough to identify its sender.
//!
//! Every body is bounded, and read into memory that is wiped.

use async_trait::async_trait;
use http::StatusCode;

use super::answer::Odd;
use super::{FlashbackError, Listing, listing, second_factor, stranger, wire};
use crate::model::{TargetKind, WorkspaceId};
use crate::outbound::{Answer, CallError};
use crate::redact::Pieces;
use crate::secret::Secret;

/// The longest answer that is read at once; a list is read as it comes.
const LONGEST: usize = 1 << 20;

/// The call that is answered.
pub(super) struct Asked<'a> {
    /// The configured base URL.
    pub base: &'a str,
    /// The secrets that were sent, which an answer must not show.
    pub sent: &'a [&'a Secret],
    /// `true` if the call checks that this is Flashback at all.
    pub identifies: bool,
}

impl Asked<'_> {
    /// Refuses a body that cannot be the API's, if the call checks that.
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
    async fn read(&self, answer: Answer, asked: &Asked<'_>) -> Result<Self::Read, FlashbackError>;
}

/// Reads a short body as a whole.
pub(super) struct Whole<F>(pub F);

#[async_trait]
impl<T: Send, F: Fn(&[u8], &[&Secret]) -> Result<T, Odd> + Send + Sync> Reader for Whole<F> {
    type Read = T;

    async fn read(&self, answer: Answer, asked: &Asked<'_>) -> Result<T, FlashbackError> {
        let status = answer.status();
        let body = answer.body(LONGEST).await.map_err(|error| unread(&error))?;
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

    async fn read(&self, answer: Answer, asked: &Asked<'_>) -> Result<Listing, FlashbackError> {
        let sent = asked.sent;
        let pieces = Pieces::of(sent.iter().map(|secret| secret.expose()));
        let listing = listing::read(answer, self.workspace.clone(), self.kind, pieces);
        listing.await.map_err(|unread| match unread {
            listing::Unread::Odd(odd) => odd_answer(odd, sent),
            listing::Unread::Lost(error) => lost(&error),
        })
    }
}

/// Reads the beginning of a list, to find out whether this is Flashback.
pub(super) struct Identity;

#[async_trait]
impl Reader for Identity {
    type Read = ();

    async fn read(&self, answer: Answer, asked: &Asked<'_>) -> Result<(), FlashbackError> {
        let status = answer.status();
        let body = answer.beginning(stranger::ENOUGH).await;
        let body = body.map_err(|error| unread(&error))?;
        asked.identify(status, &body)?;
        stranger::read_list(&body).map_err(|odd| odd_answer(odd, asked.sent))
    }
}

/// Returns the error of a 2xx answer that does not mean success.
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

/// Returns the error of a body that could not be read.
fn unread(error: &CallError) -> FlashbackError {
    match error {
        CallError::TooLong(limit) => faulty(
            format!("the answer is longer than {} MiB", limit >> 20),
            "bad_answer",
        ),
        _ => lost(error),
    }
}

/// Returns the error of a connection that ended after the request began to be sent: it may have been carried out.
pub(super) fn lost(error: &CallError) -> FlashbackError {
    faulty(format!("no answer was received: {error}"), "lost")
}

pub(super) fn faulty(what: String, status: &str) -> FlashbackError {
    FlashbackError::Faulty {
        what,
        status: status.to_owned(),
        retry_after: None,
    }
}
