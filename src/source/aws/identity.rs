//! Asks AWS whether the credentials are valid. That the chain finds some says little.

use aws_config::SdkConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_secretsmanager::Client as SecretsManager;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use aws_sdk_sts::Client as Sts;
use url::Url;

use super::error::{Call, IDENTITY};
use crate::source::contract::SourceError;

/// The owner of the credentials.
pub(super) struct Identity {
    /// The number of the account, if STS has answered.
    pub(super) account: Option<String>,
    /// The error of STS, if only Secrets Manager has accepted the credentials.
    pub(super) without_sts: Option<SourceError>,
}

/// Returns the client of STS. It calls the source's endpoint if that is not one of AWS, because an emulator serves STS
/// too. A private endpoint of AWS serves Secrets Manager alone.
pub(super) fn sts(
    base: &SdkConfig,
    provider: SharedCredentialsProvider,
    endpoint: Option<&str>,
) -> Sts {
    let mut settings = aws_sdk_sts::config::Builder::from(base).credentials_provider(provider);
    if base.endpoint_url().is_none()
        && let Some(endpoint) = endpoint.filter(|url| !is_of_aws(url))
    {
        settings = settings.endpoint_url(endpoint);
    }
    Sts::from_conf(settings.build())
}

/// Asks STS for the owner of the credentials, which needs no permission. If STS cannot be reached, as in a network with
/// an endpoint for Secrets Manager alone, Secrets Manager is asked for a list. It checks the credentials before the
/// permissions, so a denial proves that they are valid.
///
/// # Errors
/// Returns [`SourceError::SignIn`] if the credentials are refused, and another error if neither service can tell.
pub(super) async fn identify(sts: &Sts, secrets: &SecretsManager) -> Result<Identity, SourceError> {
    let call = |operation| Call {
        operation,
        path: "",
    };
    let asked = sts.get_caller_identity().send().await;
    let answered = asked
        .map(|answer| answer.account)
        .map_err(|error| call(IDENTITY).explain::<(), _>(&error));
    let without_sts = match answered {
        Ok(account) => {
            return Ok(Identity {
                account,
                without_sts: None,
            });
        }
        Err(Err(refused @ SourceError::SignIn { .. })) => return Err(refused),
        Err(Err(error)) => error,
        // Codes that STS does not have.
        Err(Ok(_)) => SourceError::Protocol {
            what: "the answer is not STS's".to_owned(),
            status: "malformed".to_owned(),
        },
    };
    match secrets.list_secrets().max_results(1).send().await {
        Ok(_) => {}
        Err(error) => {
            let has_code = error.code().is_some();
            match call("ListSecrets").explain::<(), _>(&error) {
                Err(SourceError::Denied { .. }) | Ok(_) if has_code => {}
                // A denial without a code does not come from AWS, and does not prove that the credentials are valid.
                Err(SourceError::Denied { status, .. }) => {
                    return Err(SourceError::SignIn {
                        what: format!(
                            "the credentials were refused without AWS's words ({status}): are they for this endpoint?"
                        ),
                        status,
                    });
                }
                Err(error) => return Err(error),
                Ok(_) => return Err(without_sts),
            }
        }
    }
    Ok(Identity {
        account: None,
        without_sts: Some(without_sts),
    })
}

fn is_of_aws(endpoint: &str) -> bool {
    let url = Url::parse(endpoint).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"]
        .iter()
        .any(|end| host.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_endpoints_of_aws_from_emulators() {
        for url in [
            "https://vpce-0a1-b2c.secretsmanager.us-east-2.vpce.amazonaws.com",
            "https://secretsmanager.cn-north-1.amazonaws.com.cn",
            "https://secretsmanager.eu-west-1.api.aws",
        ] {
            assert!(is_of_aws(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:4566",
            "http://localstack:4566",
            "nonsense",
        ] {
            assert!(!is_of_aws(url), "{url}");
        }
    }
}
