//! Converts the errors of the SDK.
//!
//! The SDK's errors can print the value they failed on, with `Debug` and with `DisplayErrorContext`. Only the error's
//! code, the HTTP status and the request id are read from them. The code decides and not the status, because Secrets
//! Manager answers 400 to nearly everything.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use super::credentials::{clock_difference, no_credentials, why_refused};
use super::shown::{identifier, on_the_way, plain};
use crate::answerer;
use crate::error_chain::find;
use crate::outbound::CallError;
use crate::retry::{Class, class_of_status, parse_retry_after};
use crate::source::contract::SourceError;

/// The operation that reads many secrets at once.
pub(super) const BATCH: &str = "BatchGetSecretValue";

/// The operation that lists secrets.
pub(super) const LIST: &str = "ListSecrets";

/// The operation that adds a version to a secret.
pub(super) const PUT: &str = "PutSecretValue";

/// The operation of STS that returns the owner of the credentials.
pub(super) const IDENTITY: &str = "GetCallerIdentity";

/// The operation that takes messages from a queue.
pub(super) const RECEIVE: &str = "ReceiveMessage";

/// The operation that deletes messages from a queue. The permission for it is `sqs:DeleteMessage`.
pub(super) const DELETE: &str = "DeleteMessageBatch";

/// An answer that is not a failure of the source.
pub(super) enum Answer<T> {
    /// The requested value.
    Value(T),
    /// There is no such secret, or no such version of it.
    NotFound,
    /// The secret's state forbids it: it is scheduled for deletion.
    WrongState,
}

/// A description of a call, for messages.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// The name of the operation in the API.
    pub(super) operation: &'static str,
    /// The secret's name or ARN.
    pub(super) path: &'a str,
}

impl Call<'_> {
    /// Converts an error of the SDK to an answer or a failure.
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
                    CallError::NotHttp | CallError::Broken(_) => "broken",
                    _ => "connect",
                };
                let what = format!("{}: {}", self.service(), on_the_way(why));
                Err(unavailable(what, status))
            }
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().and_then(plain);
                self.answered(code, answer.raw())
            }
            SdkError::ResponseError(answer) => self.answered(None, answer.raw()),
            _ => Err(self.unsendable()),
        }
    }

    fn service(&self) -> &'static str {
        match self.operation {
            IDENTITY => "AWS STS",
            RECEIVE | DELETE => "Amazon SQS",
            _ => "AWS Secrets Manager",
        }
    }

    fn unsendable(&self) -> SourceError {
        SourceError::Invalid {
            what: format!(
                "the {} request{} cannot be made: check `region` and `endpoint_url`",
                self.operation,
                self.named(" for ")
            ),
        }
    }

    /// Returns the secret's name after `before`; an empty text if the call is about no secret.
    fn named(&self, before: &str) -> String {
        match self.path {
            "" => String::new(),
            path => format!("{before}`{path}`"),
        }
    }

    fn answered<T>(
        &self,
        code: Option<&str>,
        raw: &HttpResponse,
    ) -> Result<Answer<T>, SourceError> {
        let Self { operation, path } = self;
        let service = self.service();
        let code = code.unwrap_or_default();
        let number = raw.status().as_u16();
        let status = number.to_string();
        Err(match code {
            "ResourceNotFoundException" => return Ok(Answer::NotFound),
            "InvalidRequestException" => return Ok(Answer::WrongState),
            _ if is_throttle(code) || number == 429 => SourceError::Unavailable {
                what: format!("{service} throttles this account's calls"),
                status: "throttled".to_owned(),
                retry_after: retry_after(raw),
            },
            _ if is_sign_in(code) => SourceError::SignIn {
                what: format!(
                    "AWS refused the credentials ({code}): {}",
                    why_refused(code, clock_difference(raw, SystemTime::now()))
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
            "EncryptionFailure" => self.cannot_encrypt(status),
            _ if is_of_kms(code) && *operation == PUT => self.cannot_encrypt(status),
            _ if is_of_kms(code) => self.cannot_decrypt(status),
            "ResourceExistsException" | "LimitExceededException" if *operation == PUT => {
                SourceError::Invalid {
                    what: format!("AWS Secrets Manager takes no such version of `{path}` ({code})"),
                }
            }
            "InvalidParameterException" if *operation == "UpdateSecretVersionStage" => {
                SourceError::Protocol {
                    what: format!("the staging labels of `{path}` changed meanwhile"),
                    status,
                }
            }
            "InvalidParameterException" | "ValidationException" if *operation == LIST => {
                SourceError::Invalid {
                    what: "AWS Secrets Manager does not take the beginning of the names, or the tags, to list"
                        .to_owned(),
                }
            }
            "InvalidParameterException" | "ValidationException" => SourceError::Invalid {
                what: format!("AWS Secrets Manager does not take `{path}` for a secret's name"),
            },
            _ => self.failed(code, raw),
        })
    }

    /// Returns the error for an answer whose code concerns neither the caller nor the secret.
    fn failed(&self, code: &str, raw: &HttpResponse) -> SourceError {
        let operation = self.operation;
        let number = raw.status().as_u16();
        let status = number.to_string();
        // A 5xx concerns one secret, unless many were requested at once or the status means an outage.
        if number >= 500 && (operation == BATCH || is_outage(number)) {
            let (service, request) = (self.service(), request_id(raw));
            return SourceError::Unavailable {
                what: format!("{service} answered {number} to {operation}{request}"),
                status,
                retry_after: retry_after(raw),
            };
        }
        SourceError::Protocol {
            what: format!(
                "{number} {code}{}to {operation}{}{}{}",
                if code.is_empty() { "" } else { " " },
                self.named(" of "),
                stranger(code, raw),
                request_id(raw)
            ),
            status,
        }
    }

    /// Returns the error for a code that a call about many secrets gives for one of them.
    pub(super) fn refused(&self, code: &str) -> SourceError {
        let Self { operation, path } = self;
        let status = "partial".to_owned();
        match code {
            "AccessDeniedException" | "AccessDenied" => SourceError::Denied {
                what: self.permission(),
                status,
            },
            _ if is_of_kms(code) => self.cannot_decrypt(status),
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

    fn cannot_encrypt(&self, status: String) -> SourceError {
        let path = self.path;
        SourceError::Denied {
            what: format!(
                "`{path}` cannot be encrypted: its KMS key is disabled, gone, or kms:GenerateDataKey on it is not allowed"
            ),
            status,
        }
    }

    fn permission(&self) -> String {
        let Self { operation, .. } = self;
        if *operation == BATCH {
            return format!(
                "secretsmanager:{BATCH} is not allowed: allow it, or take `look = \"batch\"` out of the source"
            );
        }
        let decrypt = match *operation {
            "GetSecretValue" => " (and kms:Decrypt, if the secret has a KMS key of its own)",
            PUT => " (and kms:GenerateDataKey, if the secret has a KMS key of its own)",
            _ => "",
        };
        let action = match *operation {
            IDENTITY => "sts:GetCallerIdentity".to_owned(),
            RECEIVE => "sqs:ReceiveMessage".to_owned(),
            DELETE => "sqs:DeleteMessage".to_owned(),
            _ => format!("secretsmanager:{operation}"),
        };
        let on = self.named(" on ");
        format!("{action}{on} is not allowed{decrypt}")
    }
}

/// Describes the sender of an answer without a code, which cannot be AWS.
fn stranger(code: &str, raw: &HttpResponse) -> String {
    match (code, raw.body().bytes()) {
        ("", Some(body)) => format!(", {}: is `endpoint_url` AWS's?", answerer::describe(body)),
        _ => String::new(),
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

/// Returns `true` for the codes that mean that the secret cannot be decrypted.
fn is_of_kms(code: &str) -> bool {
    code == "DecryptionFailure" || code.starts_with("KMS")
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

/// Returns the id of the request, which AWS's support asks for.
fn request_id(raw: &HttpResponse) -> String {
    raw.headers()
        .get("x-amzn-requestid")
        .and_then(identifier)
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}
