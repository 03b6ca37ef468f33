//! AWS: who a pair of keys belongs to, which STS tells everybody who can sign with it.
//!
//! `GetCallerIdentity` needs no permission and none can be taken away
//! (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>), so that a
//! refusal speaks of the keys. It goes to STS and not to the key's endpoint, which would take a
//! permission that a good key may lack.

use aws_config::retry::RetryConfig;
use aws_config::{ConfigLoader, Region};
use aws_credential_types::Credentials as Pair;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::{SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use url::Url;

use super::not_taken::NotTaken;
use crate::error_chain;
use crate::outbound::{CallError, smithy};
use crate::secret::{Credentials, Secret};

type Loader = Box<dyn Fn() -> ConfigLoader + Send + Sync>;

/// The codes that are worth telling. Whatever else a server sends in their place is not repeated.
const KNOWN: [&str; 9] = [
    "AccessDenied",
    "ExpiredToken",
    "InvalidClientTokenId",
    "OptInRequired",
    "RegionDisabledException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "Throttling",
];

/// Asks STS.
pub(super) struct Sts {
    region: Option<String>,
    loader: Loader,
    http: SharedHttpClient,
}

impl Sts {
    pub(super) fn new(region: Option<String>, loader: Loader) -> Self {
        Self {
            region,
            loader,
            http: smithy::http_client(),
        }
    }

    /// Returns the region in which a key is verified: that of its endpoint. Keys are known in every region of a
    /// partition, and China and GovCloud are partitions of their own.
    pub(super) fn region_of(&self, endpoint: &str) -> Option<String> {
        region_in(endpoint).or_else(|| self.region.clone())
    }

    /// Asks for the owner of the pair. If no region is known, the one in the SDK's settings is used.
    pub(super) async fn ask(
        &self,
        region: Option<String>,
        credentials: &Credentials,
    ) -> Result<(), NotTaken> {
        let key = credentials.key.as_ref().map_or("", Secret::expose);
        let secret = credentials.secret.expose();
        let pair = Pair::new(key, secret, None, None, "flashback-rotator");
        let mut loader = (self.loader)()
            .http_client(self.http.clone())
            .credentials_provider(pair)
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        let config = loader.load().await;
        let place = match config.region() {
            Some(region) => format!("STS in {region}"),
            None => {
                return Err(NotTaken::unclear(
                    "no AWS region is known".to_owned(),
                    "no_region",
                ));
            }
        };
        let answer = Client::new(&config).get_caller_identity().send().await;
        answer.map(drop).map_err(|error| judge(&error, &place))
    }
}

fn judge<E>(error: &SdkError<E>, place: &str) -> NotTaken
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(answer) => {
            let (code, message) = (answer.err().code(), answer.err().message());
            judged(answer.raw().status().as_u16(), code, message, place)
        }
        SdkError::ResponseError(answer) => {
            judged(answer.raw().status().as_u16(), None, None, place)
        }
        SdkError::TimeoutError(_) => {
            NotTaken::silent(format!("no answer in time from {place}"), "timeout")
        }
        _ => {
            let why = error_chain::find::<CallError>(error).unwrap_or(&CallError::Unsendable);
            NotTaken::silent(format!("{place}: {why}"), "connect")
        }
    }
}

/// Converts a refusal. A signature that is too old or too new means that this machine's clock is wrong and not the key.
fn judged(status: u16, code: Option<&str>, message: Option<&str>, place: &str) -> NotTaken {
    let known = KNOWN.iter().find(|known| Some(**known) == code).copied();
    let word = known.map_or_else(String::new, |code| format!(" ({code})"));
    let what = format!("{status} from {place}{word}");
    let is_late = message.is_some_and(|text| {
        text.starts_with("Signature expired") || text.starts_with("Signature not yet current")
    });
    match (status, known) {
        (_, Some("RequestExpired" | "RequestTimeTooSkewed")) => NotTaken::unclear(
            format!("{what}: this machine's clock is wrong"),
            &status.to_string(),
        ),
        (401 | 403, _) if is_late => NotTaken::unclear(
            format!("{what}: this machine's clock is wrong"),
            &status.to_string(),
        ),
        (_, Some("RegionDisabledException" | "Throttling")) => {
            NotTaken::unclear(what, &status.to_string())
        }
        (401 | 403, _) => NotTaken::rejected(what, &status.to_string()),
        _ => NotTaken::unclear(what, &status.to_string()),
    }
}

/// Returns the region in a Bedrock endpoint: the label after `bedrock`, `bedrock-runtime` and the like,
/// in AWS's own names and in those of VPC endpoints.
fn region_in(endpoint: &str) -> Option<String> {
    let url = Url::parse(endpoint).ok()?;
    let labels: Vec<_> = url.host_str()?.split('.').collect();
    let service = labels
        .iter()
        .position(|label| label.starts_with("bedrock"))?;
    let region = labels.get(service + 1)?;
    is_region(region).then(|| (*region).to_owned())
}

/// Returns `true` for a region, such as `eu-west-1`, `us-gov-west-1` or `cn-north-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<_> = label.split('-').collect();
    let (Some(last), Some(first)) = (parts.last(), parts.first()) else {
        return false;
    };
    parts.len() >= 3
        && (2..=4).contains(&first.len())
        && parts[..parts.len() - 1]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()))
        && last.bytes().all(|b| b.is_ascii_digit())
        && !last.is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::not_taken::Kind;
    use super::*;

    #[test]
    fn the_region_is_read_off_the_endpoint() {
        for (endpoint, region) in [
            (
                "https://bedrock-runtime.eu-west-1.amazonaws.com",
                Some("eu-west-1"),
            ),
            (
                "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/",
                Some("us-gov-west-1"),
            ),
            (
                "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            (
                "https://vpce-0a1-b2c.bedrock-runtime.us-east-2.vpce.amazonaws.com",
                Some("us-east-2"),
            ),
            ("https://bedrock.example.com", None),
            ("http://127.0.0.1:4566", None),
            ("nonsense", None),
        ] {
            assert_eq!(region_in(endpoint).as_deref(), region, "{endpoint}");
        }
        let sts = Sts::new(
            Some("eu-north-1".to_owned()),
            Box::new(|| aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())),
        );
        let region = sts.region_of("https://bedrock.example.com");
        assert_eq!(region.as_deref(), Some("eu-north-1"));
    }

    #[test]
    fn a_wrong_clock_or_a_closed_region_is_not_the_keys_fault() {
        let kind = |status, code, message| judged(status, Some(code), message, "STS").kind;
        for code in ["InvalidClientTokenId", "SignatureDoesNotMatch", "canary"] {
            assert_eq!(kind(403, code, None), Kind::Rejected);
        }
        for message in [
            "Signature expired: a is now earlier than b",
            "Signature not yet current: a",
        ] {
            assert_eq!(
                kind(403, "SignatureDoesNotMatch", Some(message)),
                Kind::Unclear
            );
        }
        for (status, code) in [
            (400, "RequestExpired"),
            (403, "RegionDisabledException"),
            (400, "Throttling"),
            (500, "InternalFailure"),
        ] {
            assert_eq!(kind(status, code, None), Kind::Unclear, "{code}");
        }
        assert!(
            !judged(403, Some("canary"), None, "STS")
                .what
                .contains("canary")
        );
    }
}
