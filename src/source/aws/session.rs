//! Signs in to AWS with the SDK's standard credential chain.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{
    IdentityCache, SharedHttpClient, StalledStreamProtectionConfig,
};
use parking_lot::Mutex as SyncMutex;
use tokio::sync::Mutex;

use super::config::AwsConfig;
use super::credentials::{OfProfile, no_credentials};
use super::identity::{self, Identity};
use crate::outbound::smithy;
use crate::source::contract::SourceError;
use crate::token::Standing;
use crate::upstream::Upstream;

/// The name of the rotator's sessions in CloudTrail when it assumes a role.
const SESSION_NAME: &str = "flashback-rotator";

/// The longest any link of the chain may take: an instance-metadata endpoint that is not there
/// costs several attempts of a second each.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(6);

type Loader = Box<dyn Fn() -> ConfigLoader + Send + Sync>;

/// The client in use, made when it is first needed and again when its credentials were refused.
pub(super) struct Sessions {
    config: AwsConfig,
    loader: Loader,
    http: SharedHttpClient,
    current: Mutex<Option<Arc<Session>>>,
    standing: Standing<SourceError>,
    expiry: Expiry,
}

/// The time at which the present credentials expire, if they do.
type Expiry = Arc<SyncMutex<Option<SystemTime>>>;

/// What a client of any service is made of.
pub(super) struct Base {
    /// The SDK's settings, with the credentials.
    pub(super) settings: SdkConfig,
    provider: SharedCredentialsProvider,
    region: String,
}

/// A client and the credentials behind it.
pub(super) struct Session {
    client: Client,
    sts: aws_sdk_sts::Client,
    provider: SharedCredentialsProvider,
    described: String,
}

impl Sessions {
    pub(super) fn new(config: AwsConfig, loader: Loader) -> Self {
        let method = match &config.assume_role_arn {
            Some(_) => "assume_role",
            None => "standard_chain",
        };
        Self {
            config,
            loader,
            http: smithy::http_client(),
            current: Mutex::new(None),
            standing: Standing::new(method),
            expiry: Arc::default(),
        }
    }

    /// Returns the session, and `true` if it was created for this call. Calls made while it is being created wait for
    /// it.
    pub(super) async fn get(&self) -> Result<(Arc<Session>, bool), SourceError> {
        let mut current = self.current.lock().await;
        if let Some(session) = &*current {
            return Ok((session.clone(), false));
        }
        let session = Arc::new(self.load().await?);
        *current = Some(session.clone());
        Ok((session, true))
    }

    /// Drops a session whose credentials were refused, unless it was replaced already.
    pub(super) async fn forget(&self, session: &Arc<Session>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|it| Arc::ptr_eq(it, session)) {
            *current = None;
        }
    }

    /// Records, from the outcome of a call through `upstream`, if the credentials were accepted.
    pub(super) fn note(&self, upstream: &Upstream, error: Option<&SourceError>) {
        match error {
            Some(error @ SourceError::SignIn { .. }) => self.standing.failed(upstream, error),
            // AWS checks the policy after the signature, so a denial proves that the credentials are valid.
            None | Some(SourceError::Denied { .. }) if !self.standing.is_good() => {
                let expiry = *self.expiry.lock();
                let life = expiry.and_then(|at| at.duration_since(SystemTime::now()).ok());
                self.standing.works(upstream, life);
            }
            // It is no news, or nothing is known of the credentials.
            _ => {}
        }
    }

    /// Loads what a client of any service is made of.
    pub(super) async fn base(&self) -> Result<Base, SourceError> {
        let base = self.load_base().await;
        let (Some(region), Some(chain)) = (base.region(), base.credentials_provider()) else {
            return Err(SourceError::SignIn {
                what: "no AWS region: set `region` in the table, or AWS_REGION".to_owned(),
                status: "no_region".to_owned(),
            });
        };
        let inner = match &self.config.assume_role_arn {
            Some(role) => {
                let mut provider = AssumeRoleProvider::builder(role).session_name(SESSION_NAME);
                if let Some(id) = &self.config.external_id {
                    provider = provider.external_id(id);
                }
                SharedCredentialsProvider::new(provider.configure(&base).build().await)
            }
            None => chain,
        };
        let provider = SharedCredentialsProvider::new(Watched {
            inner,
            expiry: self.expiry.clone(),
            profile: self
                .config
                .profile
                .clone()
                .or_else(|| std::env::var("AWS_PROFILE").ok()),
        });
        let region = region.to_string();
        let builder = base.into_builder().credentials_provider(provider.clone());
        Ok(Base {
            settings: builder.build(),
            provider,
            region,
        })
    }

    async fn load(&self) -> Result<Session, SourceError> {
        let Base {
            settings: base,
            provider,
            region,
        } = self.base().await?;
        let mut settings = aws_sdk_secretsmanager::config::Builder::from(&base);
        if let Some(url) = &self.config.endpoint_url {
            settings = settings.endpoint_url(url);
        }
        let by = match &self.config.assume_role_arn {
            Some(role) => format!("as {role}"),
            None => "with the standard credential chain".to_owned(),
        };
        let endpoint = self.config.endpoint_url.as_deref();
        Ok(Session {
            client: Client::from_conf(settings.build()),
            sts: identity::sts(&base, provider.clone(), endpoint),
            provider,
            described: format!("{by}, region {region}"),
        })
    }

    /// Loads the SDK's settings. Its own retries are turned off, because the scheduler plans the next try.
    async fn load_base(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(Duration::from_secs(8))
            .operation_timeout(Duration::from_secs(15))
            .build();
        // The watch on the chain ends first, and says what happened.
        let cache = IdentityCache::lazy()
            .load_timeout(SIGN_IN_TIMEOUT + Duration::from_secs(2))
            .build();
        let mut loader = (self.loader)()
            .http_client(self.http.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // An answer is small and read whole within the attempt's time.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .identity_cache(cache);
        if let Some(region) = &self.config.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &self.config.profile {
            loader = loader.profile_name(profile);
        }
        loader.load().await
    }
}

impl Session {
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns the region of its requests.
    pub(super) fn region(&self) -> Option<String> {
        self.client.config().region().map(ToString::to_string)
    }

    /// Fetches credentials and asks AWS for their owner. Returns a line that names the owner and their origin.
    pub(super) async fn sign_in(&self) -> Result<String, SourceError> {
        let fetched = self.provider.provide_credentials().await;
        fetched.map_err(|error| no_credentials(&error).of_source())?;
        let Identity {
            account,
            without_sts,
        } = identity::identify(&self.sts, &self.client).await?;
        let is_account = |id: &String| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
        let account = account.filter(is_account);
        let account = account.map_or_else(String::new, |id| format!(", account {id}"));
        let without_sts = without_sts.map_or_else(String::new, |error| {
            format!(
                "; Secrets Manager has taken the credentials, and STS was not to be had ({error})"
            )
        });
        Ok(format!("{}{account}{without_sts}", self.described))
    }
}

/// The credential chain with a time limit, which records the time at which its credentials expire.
#[derive(Debug)]
struct Watched {
    inner: SharedCredentialsProvider,
    expiry: Expiry,
    /// The profile that the configuration names.
    profile: Option<String>,
}

impl ProvideCredentials for Watched {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let loading = self.inner.provide_credentials();
            let loaded = tokio::time::timeout(SIGN_IN_TIMEOUT, loading)
                .await
                .unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(SIGN_IN_TIMEOUT)));
            if let Ok(credentials) = &loaded {
                let mut expiry = self.expiry.lock();
                *expiry = credentials.expiry();
            }
            loaded.map_err(|error| match (error, &self.profile) {
                (CredentialsError::CredentialsNotLoaded(_), Some(profile)) => {
                    CredentialsError::not_loaded(OfProfile(profile.clone()))
                }
                (CredentialsError::InvalidConfiguration(_), Some(profile)) => {
                    CredentialsError::invalid_configuration(OfProfile(profile.clone()))
                }
                (error, _) => error,
            })
        })
    }
}
