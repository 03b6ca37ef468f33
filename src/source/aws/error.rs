//! Converts the errors of Secrets Manager, and of the services that are called beside it.
//!
//! The code decides and not the status, because Secrets Manager answers 400 to nearly everything.

use std::error::Error;

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use super::fault::{Answered, Fault};
use super::shown::plain;
use crate::retry::{Class, class_of_status};
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
        Err(match Fault::of(error) {
            Fault::SignIn(refused) => refused.of_source(),
            Fault::Silent { why: None, status } => unavailable("no answer in time", status),
            Fault::Silent {
                why: Some(why),
                status,
            } => unavailable(format!("{}: {why}", self.service()), status),
            Fault::Unsendable => self.unsendable(),
            Fault::Throttled { retry_after } => SourceError::Unavailable {
                what: format!("{} throttles this account's calls", self.service()),
                status: "throttled".to_owned(),
                retry_after,
            },
            Fault::Answered(answer) => match answer.code.as_str() {
                "ResourceNotFoundException" => return Ok(Answer::NotFound),
                "InvalidRequestException" => return Ok(Answer::WrongState),
                _ => self.answered(&answer),
            },
        })
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

    fn answered(&self, answer: &Answered) -> SourceError {
        let Self { operation, path } = self;
        let number = answer.status;
        let status = number.to_string();
        let code = answer.code.as_str();
        match code {
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
            _ => self.failed(answer),
        }
    }

    /// Returns the error for an answer whose code concerns neither the caller nor the secret.
    fn failed(&self, answer: &Answered) -> SourceError {
        let operation = self.operation;
        let (code, number, request) = (&answer.code, answer.status, &answer.request);
        let status = number.to_string();
        // A 5xx concerns one secret, unless many were requested at once or the status means an outage.
        if number >= 500 && (operation == BATCH || is_outage(number)) {
            let service = self.service();
            return SourceError::Unavailable {
                what: format!("{service} answered {number} to {operation}{request}"),
                status,
                retry_after: answer.retry_after,
            };
        }
        let stranger = answer.stranger.as_ref();
        let stranger = stranger.map(|words| format!(", {words}: is `endpoint_url` AWS's?"));
        SourceError::Protocol {
            what: format!(
                "{number} {code}{}to {operation}{}{}{request}",
                if code.is_empty() { "" } else { " " },
                self.named(" of "),
                stranger.unwrap_or_default(),
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

/// Returns `true` for the codes that mean that the secret cannot be decrypted.
fn is_of_kms(code: &str) -> bool {
    code == "DecryptionFailure" || code.starts_with("KMS")
}
