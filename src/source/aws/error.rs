//! What a failed call means.
//!
//! The SDK's errors can print the value they failed on, `Debug` and `DisplayErrorContext` alike:
//! only the error's code, the HTTP status and the request id are taken out of them. Codes decide,
//! not statuses: Secrets Manager answers 400 to nearly everything.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};

use super::batch::OPERATION as BATCH;
use crate::cause::find;
use crate::outbound::CallError;
use crate::retry::{Class, class_of_status, parse_retry_after};
use crate::source::SourceError;
use crate::words;

/// An answer that is no failure of the source.
pub(super) enum Answer<T> {
    /// What was asked for.
    Value(T),
    /// There is no such secret, or no such version of it.
    NotFound,
    /// The secret's state forbids it: it is scheduled for deletion.
    WrongState,
}

/// What was asked, for messages.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// The API's name for it.
    pub(super) operation: &'static str,
    /// The secret's name or ARN.
    pub(super) path: &'a str,
}

impl Call<'_> {
    /// Tells a failure from an answer.
    pub(super) fn explain<T, E>(&self, error: &SdkError<E>) -> Result<Answer<T>, SourceError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(refused) = find::<CredentialsError>(error) {
            return Err(no_credentials(refused));
        }
        match error {
            SdkError::TimeoutError(_) => Err(unavailable("no answer in time", "timeout")),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                Err(unavailable("no answer in time", "timeout"))
            }
            SdkError::DispatchFailure(_) => {
                let why = find::<CallError>(error).unwrap_or(&CallError::Unsendable);
                let status = match why {
                    CallError::Unsendable => return Err(self.unsendable()),
                    CallError::TooLong(_) => "too_large",
                    CallError::Broken(_) => "broken",
                    _ => "connect",
                };
                Err(unavailable(format!("AWS Secrets Manager: {why}"), status))
            }
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().and_then(plain);
                self.answered(code, answer.raw())
            }
            SdkError::ResponseError(answer) => self.answered(None, answer.raw()),
            _ => Err(self.unsendable()),
        }
    }

    fn unsendable(&self) -> SourceError {
        SourceError::Invalid {
            what: format!(
                "the {} request for `{}` cannot be made: check `region` and `endpoint_url`",
                self.operation, self.path
            ),
        }
    }

    fn answered<T>(
        &self,
        code: Option<&str>,
        raw: &HttpResponse,
    ) -> Result<Answer<T>, SourceError> {
        let Self { operation, path } = self;
        let code = code.unwrap_or_default();
        let number = raw.status().as_u16();
        let status = number.to_string();
        Err(match code {
            "ResourceNotFoundException" => return Ok(Answer::NotFound),
            "InvalidRequestException" => return Ok(Answer::WrongState),
            _ if is_throttle(code) || number == 429 => SourceError::Unavailable {
                what: "AWS Secrets Manager throttles this account's calls".to_owned(),
                status: "throttled".to_owned(),
                retry_after: retry_after(raw),
            },
            _ if is_sign_in(code) => SourceError::SignIn {
                what: format!(
                    "AWS refused the credentials ({code}): they expired, were revoked, or this machine's clock is wrong"
                ),
                status,
            },
            "AccessDeniedException" | "AccessDenied" => SourceError::Denied {
                what: self.permission(),
                status,
            },
            // A gateway or an endpoint's policy in front of AWS.
            "" if number == 403 => SourceError::Denied {
                what: self.permission(),
                status,
            },
            "DecryptionFailure" => self.cannot_decrypt(status),
            "InvalidParameterException" if *operation == "UpdateSecretVersionStage" => {
                SourceError::Protocol {
                    what: format!("the staging labels of `{path}` changed meanwhile"),
                    status,
                }
            }
            "InvalidParameterException" | "ValidationException" => SourceError::Invalid {
                what: format!("AWS Secrets Manager does not take `{path}` for a secret's name"),
            },
            // One secret's trouble, unless it is said of many at once.
            _ if number >= 500 && (*operation == BATCH || is_outage(number)) => {
                SourceError::Unavailable {
                    what: format!(
                        "AWS Secrets Manager answered {number} to {operation}{}",
                        request_id(raw)
                    ),
                    status,
                    retry_after: retry_after(raw),
                }
            }
            _ => SourceError::Protocol {
                what: format!(
                    "{number} {code}{}to {operation} of `{path}`{}",
                    if code.is_empty() { "" } else { " " },
                    request_id(raw)
                ),
                status,
            },
        })
    }

    /// What a code means that is said of one secret among many.
    pub(super) fn refused(&self, code: &str) -> SourceError {
        let Self { operation, path } = self;
        let status = "partial".to_owned();
        match code {
            "AccessDeniedException" | "AccessDenied" => SourceError::Denied {
                what: self.permission(),
                status,
            },
            "DecryptionFailure" => self.cannot_decrypt(status),
            _ => SourceError::Protocol {
                what: format!(
                    "{} to {operation} of `{path}`",
                    plain(code).unwrap_or("an error without a code")
                ),
                status,
            },
        }
    }

    fn cannot_decrypt(&self, status: String) -> SourceError {
        let path = self.path;
        SourceError::Denied {
            what: format!(
                "`{path}` cannot be decrypted: its KMS key is disabled, gone, or kms:Decrypt on it is not allowed"
            ),
            status,
        }
    }

    fn permission(&self) -> String {
        let Self { operation, path } = self;
        if *operation == BATCH {
            return format!(
                "secretsmanager:{BATCH} is not allowed: allow it, or take `look = \"batch\"` out of the source"
            );
        }
        let decrypt = match *operation {
            "GetSecretValue" => " (and kms:Decrypt, if the secret has a KMS key of its own)",
            _ => "",
        };
        format!("secretsmanager:{operation} on `{path}` is not allowed{decrypt}")
    }
}

/// Why there are no credentials, in words that name the place to look and nothing found there.
pub(super) fn no_credentials(error: &CredentialsError) -> SourceError {
    let (what, status) = match error {
        CredentialsError::CredentialsNotLoaded(_) => (
            "no AWS credentials: the environment, the profile, web identity, the container and instance metadata have none".to_owned(),
            "no_credentials",
        ),
        CredentialsError::ProviderTimedOut(_) => (
            "no AWS credentials in time: the service that should give them (STS, or the metadata endpoint) does not answer".to_owned(),
            "timeout",
        ),
        CredentialsError::InvalidConfiguration(_) => (
            "the AWS profile is missing or not usable: check `profile` and the shared configuration files".to_owned(),
            "invalid_profile",
        ),
        other => match find::<ErrorMetadata>(other).and_then(ErrorMetadata::code).and_then(plain) {
            Some(code) => (
                format!("STS refused the role ({code}): check its trust policy, `external_id` and the credentials used to assume it"),
                "refused",
            ),
            None => (
                format!(
                    "AWS credentials cannot be loaded: {}",
                    find::<CallError>(other).map(ToString::to_string).as_deref().unwrap_or("whoever gives them (STS, a metadata endpoint, a token file) gave no usable answer in time")
                ),
                "credentials",
            ),
        },
    };
    SourceError::SignIn {
        what,
        status: status.to_owned(),
    }
}

fn unavailable(what: impl Into<String>, status: &str) -> SourceError {
    SourceError::Unavailable {
        what: what.into(),
        status: status.to_owned(),
        retry_after: None,
    }
}

fn is_outage(status: u16) -> bool {
    matches!(class_of_status(status, None), Class::Outage { .. })
}

/// The codes AWS gives to a caller who calls too much; the SDK's own retry classifier has the
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

/// The codes that mean the signature or who made it (AWS's "Common errors").
fn is_sign_in(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
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

/// What AWS's support asks for.
fn request_id(raw: &HttpResponse) -> String {
    raw.headers()
        .get("x-amzn-requestid")
        .and_then(identifier)
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}

/// An error's code, if it is one: AWS's are known words and dots. What a broken server
/// sends in its place stays unseen.
fn plain(word: &str) -> Option<&str> {
    let fits = !word.is_empty() && word.len() <= 64 && words::is_plain(word);
    let is_code = |c: char| c.is_ascii_alphabetic() || c == '.';
    (fits && word.chars().all(is_code)).then_some(word)
}

/// A request's id, if it is one: a UUID, or known words and numbers.
fn identifier(word: &str) -> Option<&str> {
    let fits = !word.is_empty() && word.len() <= 64;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let harmless = uuid::Uuid::try_parse(word).is_ok() || words::is_plain(word);
    (fits && harmless && word.chars().all(is_word)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_may_be_a_key_stays_unseen() {
        for code in [
            "ThrottlingException",
            "KMSInvalidStateException",
            "AWS.Other",
        ] {
            assert_eq!(plain(code), Some(code));
        }
        for id in ["request-1", "b7c1f2de-6c0e-4b59-9f0e-1d2c3b4a5968"] {
            assert_eq!(identifier(id), Some(id));
        }
        for key in [
            "",
            "wJalrXUtnFEMIK7MDENGbPxRfiCY9m2",
            "sk-proj-canary",
            "a b",
        ] {
            assert_eq!(plain(key), None, "{key}");
        }
        for key in [
            "",
            "wJa1rXUtn5EMIK7MDENGbPxRfiCY9m2",
            "sk-proj-canary",
            "a b",
        ] {
            assert_eq!(identifier(key), None, "{key}");
        }
    }
}
