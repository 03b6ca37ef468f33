//! The users of moto's IAM, and their access keys as AWS sees them.
//!
//! Once moto [checks signatures](super::aws::Aws::enforce_policies), it takes each pair of a key that there is, disabled
//! or not, and notes when it was used. It does not look at whether the key is active, so [`Users::is_live`] does.

use aws_config::BehaviorVersion;
use aws_sdk_iam::Client;
use aws_sdk_iam::config::{Credentials as Pair, Region, retry::RetryConfig};
use aws_sdk_iam::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_iam::types::StatusType;
use chrono::{DateTime, Utc};
use flashback_rotator::outbound::smithy;
use flashback_rotator::secret::Credentials;

use super::aws::REGION;

/// A policy that allows everything.
pub const EVERYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// An access key of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKey {
    /// Its id.
    pub id: String,
    /// `false` if it is disabled.
    pub active: bool,
    /// The time at which it was last used.
    pub last_used: Option<DateTime<Utc>>,
}

/// The users of an emulator, seen by one who may see everything. It must not be shared between tests, as connections do
/// not outlive a test's runtime.
pub struct Users {
    url: String,
    client: Client,
}

impl Users {
    /// Returns the users of the emulator at `url`. `owner` may do everything.
    pub fn new(url: &str, owner: Pair) -> Self {
        let config = aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(smithy::http_client())
            .region(Region::new(REGION))
            .endpoint_url(url)
            .credentials_provider(owner)
            .retry_config(RetryConfig::disabled());
        Self {
            url: url.to_owned(),
            client: Client::from_conf(config.build()),
        }
    }

    /// Returns the endpoint of the emulator.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Creates a user that has no keys and no policy.
    pub async fn create(&self, user: &str) {
        let created = self.client.create_user().user_name(user).send().await;
        created.expect("created");
    }

    /// Gives a user a policy, in place of the one that it had.
    pub async fn allow(&self, user: &str, policy: &str) {
        let put = self.client.put_user_policy().user_name(user);
        let put = put.policy_name("p").policy_document(policy);
        put.send().await.expect("allowed");
    }

    /// Returns the keys of a user, in the order in which they were made.
    pub async fn keys(&self, user: &str) -> Vec<UserKey> {
        let listed = self.client.list_access_keys().user_name(user).send().await;
        let mut keys = Vec::new();
        for key in listed.expect("a list").access_key_metadata() {
            let id = key.access_key_id().expect("an id");
            let used = self.client.get_access_key_last_used().access_key_id(id);
            let used = match used.send().await.map_err(SdkError::into_service_error) {
                Ok(used) => used.access_key_last_used,
                // It was deleted meanwhile.
                Err(error) if error.code() == Some("NoSuchEntity") => continue,
                Err(error) => panic!("no answer: {error:?}"),
            };
            let at = used.and_then(|used| used.last_used_date);
            keys.push(UserKey {
                id: id.to_owned(),
                active: key.status() == Some(&StatusType::Active),
                last_used: at.and_then(|at| DateTime::from_timestamp(at.secs(), 0)),
            });
        }
        keys
    }

    /// Makes a key as a person does, and returns its pair.
    pub async fn make_key(&self, user: &str) -> Pair {
        let made = self.client.create_access_key().user_name(user).send().await;
        let key = made.expect("made").access_key.expect("a key");
        Pair::new(key.access_key_id, key.secret_access_key, None, None, "test")
    }

    /// Deletes a key as a person does.
    pub async fn delete_key(&self, user: &str, id: &str) {
        let delete = self.client.delete_access_key().user_name(user);
        delete.access_key_id(id).send().await.expect("deleted");
    }

    /// Uses a pair for a call that every key may make, which counts as its use. Returns `true` if the signature was
    /// accepted.
    pub async fn use_key(&self, pair: &Pair) -> bool {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(smithy::http_client())
            .region(Region::new(REGION))
            .endpoint_url(&self.url)
            .credentials_provider(pair.clone())
            .retry_config(RetryConfig::disabled());
        let client = aws_sdk_sts::Client::from_conf(config.build());
        client.get_caller_identity().send().await.is_ok()
    }

    /// Returns `true` if a caller with this pair is served: the key is one of the user's, is active, and is used with
    /// its own secret. It counts as a use.
    pub async fn is_live(&self, user: &str, pair: &Pair) -> bool {
        let keys = self.keys(user).await;
        let is_active = keys
            .iter()
            .any(|key| key.id == pair.access_key_id() && key.active);
        is_active && self.use_key(pair).await
    }
}

/// Returns the pair that is in what is delivered.
pub fn pair_of(credentials: &Credentials) -> Pair {
    let id = credentials.key.as_ref().expect("a pair");
    let secret = credentials.secret.expose();
    Pair::new(id.expose(), secret, None, None, "test")
}
