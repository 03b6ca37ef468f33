//! Providers of AWS that sign in with given credentials.

use aws_config::BehaviorVersion;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_iam::config::Credentials as Pair;
use aws_sdk_iam::config::Region;
use flashback_rotator::provider::Provider;
use flashback_rotator::provider::aws::{Iam, IamUser};
use flashback_rotator::provider::aws_iam::AccessKeys;
use flashback_rotator::provider::bedrock::{BedrockKeys, Days};
use flashback_rotator::source::aws::{Account, AwsConfig};
use flashback_rotator::upstream::Upstream;

use crate::support::aws::REGION;
use crate::support::upstreams::upstream;

/// Returns the way to the keys of `user` in the IAM at `url`, which is found by `base_url` alone. The credentials are
/// asked for when a client is made.
pub fn iam(
    url: &str,
    user: &str,
    upstream: Upstream,
    credentials: impl Fn() -> Pair + Send + Sync + 'static,
) -> Iam {
    let account = Account::with_loader(AwsConfig::default(), move || {
        aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials()))
    });
    let user = IamUser {
        base_url: Some(url.to_owned()),
        user: user.to_owned(),
        ..IamUser::default()
    };
    Iam::in_account(account, &user, upstream)
}

/// Returns the access keys of `user`.
pub fn access_keys(url: &str, user: &str, pair: Pair) -> AccessKeys {
    AccessKeys::new(iam(url, user, upstream("iam"), move || pair.clone()))
}

/// Returns the Bedrock API keys of `user`.
pub fn bedrock_keys(url: &str, user: &str, pair: Pair, expires: Option<Days>) -> BedrockKeys {
    BedrockKeys::new(
        iam(url, user, upstream("bedrock"), move || pair.clone()),
        expires,
    )
}

/// Returns the id of each key that is listed, and if it is active.
pub async fn listed(provider: &dyn Provider) -> Vec<(String, bool)> {
    let keys = provider.list().await.expect("a list");
    let shown = keys
        .iter()
        .map(|key| (key.id.as_str().to_owned(), key.active));
    shown.collect()
}
