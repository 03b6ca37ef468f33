//! Reads the errors of the SDK, for the client of any service.
//!
//! The SDK's errors can print the value they failed on, with `Debug` and with `DisplayErrorContext`. Only the error's
//! code, the HTTP status and the request id are read from them.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use super::clock::clock_difference;
use super::credentials::{SignIn, no_credentials, why_refused};
use super::shown::{identifier, on_the_way, plain};
use crate::answerer;
use crate::error_chain::find;
use crate::outbound::CallError;
use crate::retry::parse_retry_after;

/// The meaning of an error of the SDK, as far as it is the same for every service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There are no credentials, or AWS refused them.
    SignIn(SignIn),
    /// There is no answer, or not all of it.
    Silent {
        /// The reason, for people, without the name of the service; `None` if there was none in time.
        why: Option<String>,
        /// The status for metrics.
        status: &'static str,
    },
    /// The settings make no request.
    Unsendable,
    /// AWS throttles the account's calls, and has not carried this one out.
    Throttled {
        /// The time that it asked callers to wait.
        retry_after: Option<Duration>,
    },
    /// Any other answer. What its code means depends on the service.
    Answered(Answered),
}

/// An answer that is an error of the service, or none of AWS's at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// AWS's code, such as `AccessDenied`; empty if there is none, or none that may be shown.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// The time that it asked callers to wait.
    pub retry_after: Option<Duration>,
    /// The id of the request, which AWS's support asks for, as the end of a sentence; empty if there is none.
    pub request: String,
    /// A description of the sender of an answer without a code, which cannot be AWS.
    pub stranger: Option<&'static str>,
}

impl Fault {
    /// Reads an error of the SDK.
    pub fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(refused) = find::<CredentialsError>(error) {
            return Self::SignIn(no_credentials(refused));
        }
        match error {
            SdkError::TimeoutError(_) => Self::LATE,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::LATE,
            SdkError::DispatchFailure(_) => {
                let why = find::<CallError>(error).unwrap_or(&CallError::Unsendable);
                let status = match why {
                    CallError::Unsendable => return Self::Unsendable,
                    CallError::TooLong(_) => "too_large",
                    CallError::NotHttp | CallError::Broken(_) => "broken",
                    _ => "connect",
                };
                Self::Silent {
                    why: Some(on_the_way(why)),
                    status,
                }
            }
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().and_then(plain);
                Self::answered(code.unwrap_or_default(), answer.raw())
            }
            SdkError::ResponseError(answer) => Self::answered("", answer.raw()),
            _ => Self::Unsendable,
        }
    }

    const LATE: Self = Self::Silent {
        why: None,
        status: "timeout",
    };

    fn answered(code: &str, raw: &HttpResponse) -> Self {
        let status = raw.status().as_u16();
        let retry_after = retry_after(raw);
        if is_throttle(code) || status == 429 {
            return Self::Throttled { retry_after };
        }
        if is_sign_in(code) {
            let ahead = clock_difference(raw, SystemTime::now());
            return Self::SignIn(SignIn {
                what: format!(
                    "AWS refused the credentials ({code}): {}",
                    why_refused(code, ahead)
                ),
                status: status.to_string(),
            });
        }
        Self::Answered(Answered {
            code: code.to_owned(),
            status,
            retry_after,
            request: request_id(raw),
            stranger: stranger(code, raw),
        })
    }
}

/// Describes the sender of an answer without a code, which cannot be AWS.
fn stranger(code: &str, raw: &HttpResponse) -> Option<&'static str> {
    match (code, raw.body().bytes()) {
        ("", Some(body)) => Some(answerer::describe(body)),
        _ => None,
    }
}

/// Returns `true` for the codes that AWS gives to a caller that it throttles. The retry classifier of the SDK has the
/// same list.
fn is_throttle(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "SlowDown"
    )
}

/// Returns `true` for the codes that concern the signature or the credentials (AWS's "Common errors").
fn is_sign_in(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "InvalidToken"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "AuthFailure"
            | "NotAuthorized"
            | "OptInRequired"
    )
}

fn retry_after(raw: &HttpResponse) -> Option<Duration> {
    parse_retry_after(raw.headers().get("retry-after")?, SystemTime::now())
}

fn request_id(raw: &HttpResponse) -> String {
    raw.headers()
        .get("x-amzn-requestid")
        .and_then(identifier)
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}
