//! Errors of credentials: why the chain finds none, or why AWS refuses them.

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::error::ErrorMetadata;

use super::shown::{on_the_way, plain};
use crate::error_chain::find;
use crate::outbound::CallError;
use crate::redact;
use crate::source::contract::SourceError;

/// The error of credentials that are missing or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The reason, for people.
    pub what: String,
    /// The status for metrics.
    pub status: String,
}

impl SignIn {
    /// Returns it as the error of a source.
    pub(super) fn of_source(self) -> SourceError {
        let Self { what, status } = self;
        SourceError::SignIn { what, status }
    }
}

/// The profile whose credentials were requested, in an error of the chain.
#[derive(Debug, thiserror::Error)]
#[error("the profile {0}")]
pub(super) struct OfProfile(pub(super) String);

/// Returns the error for missing credentials. It names the place to check and nothing that was found there.
pub(super) fn no_credentials(error: &CredentialsError) -> SignIn {
    let profile = find::<OfProfile>(error);
    let profile = profile.map(|OfProfile(name)| format!("`{}`", redact::shown(name)));
    let (what, status) = match error {
        CredentialsError::CredentialsNotLoaded(_) => (
            match profile {
                Some(profile) => format!(
                    "no AWS credentials: the profile {profile} is not in the shared configuration files, or has none; and the environment, web identity, the container and instance metadata have none"
                ),
                None => "no AWS credentials: the environment, the profile, web identity, the container and instance metadata have none".to_owned(),
            },
            "no_credentials",
        ),
        CredentialsError::ProviderTimedOut(_) => (
            "no AWS credentials in time: the service that should give them (STS, or the metadata endpoint) does not answer".to_owned(),
            "timeout",
        ),
        CredentialsError::InvalidConfiguration(_) => (
            format!(
                "the AWS profile {} is not usable: check the shared configuration files, and the profile that it refers to",
                profile.as_deref().unwrap_or("in use")
            ),
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
                    match find::<CallError>(other) {
                        Some(why) => on_the_way(why),
                        None => "STS, the metadata endpoint, a token file or a `credential_process` gave no usable answer: see what `aws sts get-caller-identity` says, run as the same user".to_owned(),
                    }
                ),
                "credentials",
            ),
        },
    };
    SignIn {
        what,
        status: status.to_owned(),
    }
}

/// Returns the meaning of AWS's error code for the credentials, and the remedy. `ahead` is the number of seconds by
/// which this machine's clock is ahead of AWS's, if that is too much for a signature.
pub(super) fn why_refused(code: &str, ahead: Option<i64>) -> String {
    if let Some(ahead) = ahead {
        let by = humantime::format_duration(Duration::from_secs(ahead.unsigned_abs()));
        let way = if ahead > 0 { "ahead of" } else { "behind" };
        return format!("this machine's clock is {by} {way} AWS's: see `timedatectl`");
    }
    let why = match code {
        "ExpiredToken" | "ExpiredTokenException" => "they have expired: renew them",
        "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" => {
            "there is no such access key, it was deactivated, or it is of another partition: check its id"
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            "the secret access key does not belong to the access key's id"
        }
        "RequestExpired" | "RequestTimeTooSkewed" => {
            "this machine's clock is wrong: see `timedatectl`"
        }
        "OptInRequired" => "the account has not opted in to this region, or to the service",
        _ => "they expired, were revoked, or this machine's clock is wrong",
    };
    why.to_owned()
}
