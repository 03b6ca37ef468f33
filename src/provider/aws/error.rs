//! Converts the errors of IAM.

use std::error::Error;

use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};

use super::LIMIT;
use crate::model::{IssuedKey, ProviderKeyId};
use crate::provider::contract::ProviderError;
use crate::source::aws::{Answered, Fault};
use crate::source::contract::SourceError;
use crate::upstream::Failure as _;

/// An answer that is not a failure of the provider.
#[derive(Debug)]
pub enum Answer<T> {
    /// The requested value.
    Value(T),
    /// There is no such user, or no such key.
    NotFound,
}

/// A description of a call, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The name of the operation in the API, which is the permission's, too.
    pub operation: &'static str,
    /// The user.
    pub user: &'a str,
    /// What there are at most two of, for people: "access keys".
    pub keys: &'static str,
}

impl Call<'_> {
    /// Converts an error of the SDK to an answer or a failure.
    ///
    /// # Errors
    /// Returns [`ProviderError`] unless there is no such user or key.
    pub fn explain<T, E>(&self, error: &SdkError<E>) -> Result<Answer<T>, ProviderError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let operation = self.operation;
        Err(match Fault::of(error) {
            Fault::SignIn(refused) => ProviderError::SignIn {
                what: refused.what,
                status: refused.status,
            },
            Fault::Silent { why, status } => ProviderError::Unavailable {
                what: match why {
                    Some(why) => format!("AWS IAM: {why}"),
                    None => "no answer in time".to_owned(),
                },
                status: status.to_owned(),
                retry_after: None,
            },
            Fault::Unsendable => ProviderError::Refused {
                what: format!(
                    "the {operation} request for the IAM user `{}` cannot be made: check `region` and `base_url`",
                    self.user
                ),
                status: "setup".to_owned(),
            },
            // AWS has not carried out what it throttles, whatever the status of its answer.
            Fault::Throttled { retry_after } => ProviderError::Unavailable {
                what: "AWS IAM throttles this account's calls".to_owned(),
                status: "429".to_owned(),
                retry_after,
            },
            Fault::Answered(answer) if answer.code == "NoSuchEntity" => {
                return Ok(Answer::NotFound);
            }
            Fault::Answered(answer) => self.answered(answer),
        })
    }

    fn answered(&self, answer: Answered) -> ProviderError {
        let Self {
            operation,
            user,
            keys,
        } = self;
        let Answered {
            code,
            status: number,
            retry_after,
            request,
            stranger,
        } = answer;
        let status = number.to_string();
        let is_create = operation.starts_with("Create");
        match code.as_str() {
            "AccessDenied" | "AccessDeniedException" => self.denied(status),
            // A gateway or an endpoint's policy in front of AWS.
            "" if number == 403 => self.denied(status),
            "LimitExceeded" if is_create => ProviderError::LimitReached {
                what: format!(
                    "the IAM user `{user}` has as many {keys} as it can have: {LIMIT}, disabled ones included"
                ),
            },
            _ if number >= 500 => ProviderError::Unavailable {
                what: format!("AWS IAM answered {number} to {operation}{request}"),
                status,
                retry_after,
            },
            // Somebody else changes the user at this moment, or it is no answer of AWS at all.
            "" | "ConcurrentModification" => {
                let stranger = stranger.map(|words| format!(", {words}: is `base_url` AWS's?"));
                ProviderError::Protocol {
                    what: format!(
                        "{number} {code}{}to {operation} of the IAM user `{user}`{}{request}",
                        if code.is_empty() { "" } else { " " },
                        stranger.unwrap_or_default()
                    ),
                    status,
                }
            }
            code => ProviderError::Refused {
                what: format!(
                    "AWS IAM answered {number} {code} to {operation} of the IAM user `{user}`{request}"
                ),
                status,
            },
        }
    }

    fn denied(&self, status: String) -> ProviderError {
        let Self {
            operation, user, ..
        } = self;
        ProviderError::Denied {
            what: format!("iam:{operation} on the user `{user}` is not allowed"),
            status,
        }
    }

    /// Returns the error for a user that there is not.
    pub fn no_user(&self) -> ProviderError {
        ProviderError::Refused {
            what: format!(
                "there is no IAM user `{}` in the account that is signed in to",
                self.user
            ),
            status: "404".to_owned(),
        }
    }

    /// Returns the error for a key that there is not.
    pub fn no_key(&self, key: &ProviderKeyId) -> ProviderError {
        ProviderError::Refused {
            what: format!("the IAM user `{}` has no key `{key}`", self.user),
            status: "404".to_owned(),
        }
    }

    /// Checks that a key which IAM did not find is gone: where the user is another one, or a change is not known
    /// everywhere yet, it may be there all the same. `keys` is a list of the user's keys from after that.
    ///
    /// # Errors
    /// Returns [`ProviderError::Protocol`] if it is in the list.
    pub fn is_gone(&self, key: &ProviderKeyId, keys: &[IssuedKey]) -> Result<(), ProviderError> {
        if keys.iter().any(|listed| listed.id == *key) {
            return Err(ProviderError::Protocol {
                what: format!(
                    "AWS IAM lists the key `{key}`, and does not find it for {}",
                    self.operation
                ),
                status: "inconsistent".to_owned(),
            });
        }
        Ok(())
    }

    /// Returns the error for an answer in which something is missing or is not as the API has it.
    pub fn malformed(&self, what: &str) -> ProviderError {
        ProviderError::Protocol {
            what: format!("the answer to {} is not IAM's: {what}", self.operation),
            status: "malformed".to_owned(),
        }
    }
}

/// Converts an error of the sign-in that a provider shares with the source.
pub fn of_source(error: SourceError) -> ProviderError {
    match error {
        SourceError::SignIn { what, status } => ProviderError::SignIn { what, status },
        other => ProviderError::Unavailable {
            what: other.to_string(),
            status: other.status(),
            retry_after: None,
        },
    }
}
