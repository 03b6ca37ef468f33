//! Accounts at providers, as a person with the console sees them.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flashback_rotator::flashback::sandbox::sha256_hex;

use crate::support::aws::{Aws, Emulator, administrator};
use crate::support::iam::Users;
use crate::support::providers::anthropic::Anthropic;
use crate::support::providers::azure::Azure;
use crate::support::providers::bedrock::Bedrock;
use crate::support::providers::google::Google;
use crate::support::providers::openai::OpenAi;
use crate::support::providers::openrouter::OpenRouter;
use crate::support::providers::{Fake, FakeKey};

/// A kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    OpenAi,
    OpenRouter,
    /// Pairs, in moto.
    AwsIam,
    Bedrock,
    Google,
    /// The keys are slots.
    Azure,
    /// A person makes the keys.
    Anthropic,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::OpenAi,
        Self::OpenRouter,
        Self::AwsIam,
        Self::Bedrock,
        Self::Google,
        Self::Azure,
        Self::Anthropic,
    ];

    /// Returns the name of a provider of this kind in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenRouter => "openrouter",
            Self::AwsIam => "aws-iam",
            Self::Bedrock => "bedrock",
            Self::Google => "google",
            Self::Azure => "azure-openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// Returns the lines of a key's table that say what it is a key for.
    pub fn of_key(self) -> &'static str {
        match self {
            Self::OpenAi => "ai_type = \"OPENAI\"\n",
            Self::OpenRouter | Self::Bedrock | Self::Azure => {
                "ai_type = \"OTHER\"\nendpoint = \"https://models.example/v1\"\n"
            }
            Self::AwsIam => "ai_type = \"AWS\"\nendpoint = \"https://bedrock.example\"\n",
            Self::Google => "ai_type = \"GOOGLE\"\n",
            Self::Anthropic => "ai_type = \"ANTHROPIC\"\n",
        }
    }

    /// Returns the beginning of the call by which a fake makes a key.
    pub fn making(self) -> &'static str {
        match self {
            Self::Google => "POST /v2/projects",
            Self::Azure => "POST /subscriptions",
            Self::Bedrock => "POST Create",
            Self::OpenAi | Self::OpenRouter | Self::Anthropic | Self::AwsIam => "POST",
        }
    }

    /// Returns `true` if its keys are pairs.
    pub fn is_pair(self) -> bool {
        self == Self::AwsIam
    }

    /// Returns `true` if one account has the keys of many secrets, and `false` if each secret needs one of its own.
    pub fn is_shared(self) -> bool {
        matches!(
            self,
            Self::OpenAi | Self::OpenRouter | Self::Google | Self::Anthropic
        )
    }

    /// Returns a value as the provider makes them. `number` is its end, which tells values apart where the provider
    /// shows no more of them.
    fn value(self, number: usize) -> String {
        let random = format!("canary{:016x}{number:04}", rand::random::<u64>());
        match self {
            Self::OpenAi => format!("sk-svcacct-{random}"),
            Self::OpenRouter => format!("sk-or-v1-{random}"),
            Self::Google => format!("AIza{random}"),
            Self::Anthropic => format!("sk-ant-api03-{random}"),
            Self::Bedrock => {
                let text = format!("flashback-bedrock-at-123456789012:{random}");
                format!("ABSK{}", STANDARD.encode(text))
            }
            Self::AwsIam | Self::Azure => random,
        }
    }
}

/// What a source has of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The id of a pair.
    pub key: Option<String>,
    pub secret: String,
}

impl Stored {
    /// Returns the digest by which Flashback and the provider are compared: of the id of a pair, as its secret is shown
    /// by nobody, and of any other value.
    pub fn digest(&self) -> String {
        sha256_hex(self.key.as_ref().unwrap_or(&self.secret))
    }
}

/// A key in the list of a provider.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: String,
    pub active: bool,
    /// As [`Stored::digest`].
    pub digest: String,
}

/// An account.
pub enum Account {
    Fake { kind: Kind, fake: Arc<Fake> },
    User { users: Users, user: String },
}

impl Account {
    /// Opens an account of this kind. What is not a fake has it by this name.
    pub async fn open(kind: Kind, name: &str) -> Self {
        let fake = match kind {
            Kind::OpenAi => Fake::start(OpenAi::default()).await,
            Kind::OpenRouter => Fake::start(OpenRouter::default()).await,
            Kind::Bedrock => Fake::start(Bedrock).await,
            Kind::Google => Fake::start(Google::default()).await,
            Kind::Azure => Fake::start(Azure::default()).await,
            Kind::Anthropic => Fake::start(Anthropic::default()).await,
            Kind::AwsIam => {
                let moto = Aws::shared(Emulator::Moto).await;
                let users = Users::new(moto.url(), administrator());
                users.create(name).await;
                let user = name.to_owned();
                return Self::User { users, user };
            }
        };
        let fake = Arc::new(fake);
        Self::Fake { kind, fake }
    }

    /// Returns the fake that it is.
    pub fn fake(&self) -> &Arc<Fake> {
        match self {
            Self::Fake { fake, .. } => fake,
            Self::User { .. } => panic!("moto is no fake"),
        }
    }

    /// Returns the settings of a provider in which it is, with the credential in the file `admin`.
    pub fn settings(&self, admin: &str) -> String {
        match self {
            // Their credentials are those of the environment.
            Self::Fake {
                kind: Kind::Bedrock,
                fake,
            } => fake.settings(),
            Self::Fake { fake, .. } => {
                let settings = fake.settings();
                format!("{settings}admin_key = {{ file = \"{admin}\" }}\n")
            }
            Self::User { users, user } => format!(
                "type = \"aws-iam\"\nuser = \"{user}\"\nregion = \"us-east-1\"\nbase_url = \"{}\"\n",
                users.url()
            ),
        }
    }

    /// Makes the key of a secret as a person does in the console.
    pub async fn make(&self, name: &str, number: usize) -> Stored {
        match self {
            Self::Fake { kind, fake } => {
                let secret = kind.value(number);
                match kind {
                    Kind::Azure => {
                        fake.make("key1", &secret);
                        fake.make("key2", &kind.value(number));
                    }
                    Kind::Bedrock => drop(fake.make("flashback-bedrock-at-123456789012", &secret)),
                    _ => drop(fake.make(name, &secret)),
                }
                Stored { key: None, secret }
            }
            Self::User { users, user } => {
                let pair = users.make_key(user).await;
                Stored {
                    key: Some(pair.access_key_id().to_owned()),
                    secret: pair.secret_access_key().to_owned(),
                }
            }
        }
    }

    /// Returns the keys that it has.
    pub async fn listed(&self) -> Vec<Listed> {
        match self {
            Self::Fake { fake, .. } => {
                let listed = |key: FakeKey| Listed {
                    id: key.id,
                    active: key.active,
                    digest: sha256_hex(&key.value),
                };
                fake.keys().into_iter().map(listed).collect()
            }
            Self::User { users, user } => {
                let keys = users.keys(user).await.into_iter();
                keys.map(|key| Listed {
                    active: key.active,
                    digest: sha256_hex(&key.id),
                    id: key.id,
                })
                .collect()
            }
        }
    }

    /// Returns the digests of the keys that work.
    pub async fn live(&self) -> BTreeSet<String> {
        match self {
            Self::Fake { fake, .. } => {
                let mut keys = fake.keys();
                keys.retain(|key| key.active);
                keys.iter().map(|key| sha256_hex(&key.value)).collect()
            }
            Self::User { .. } => {
                let mut keys = self.listed().await;
                keys.retain(|key| key.active);
                keys.into_iter().map(|key| key.digest).collect()
            }
        }
    }

    /// Returns `true` if the key of this id works.
    pub async fn serves(&self, id: &str) -> bool {
        match self {
            Self::Fake { fake, .. } => {
                let keys = fake.keys();
                keys.iter().any(|key| key.id == id && key.active)
            }
            Self::User { .. } => {
                let keys = self.listed().await;
                keys.iter().any(|key| key.id == id && key.active)
            }
        }
    }

    /// Returns the digests of the keys that there should be none of beside those of the secrets.
    pub async fn kept(&self) -> BTreeSet<String> {
        match self {
            // Google keeps what was deleted for thirty days, and Azure's second slot is never empty.
            Self::Fake {
                kind: Kind::Google, ..
            } => self.live().await,
            Self::Fake {
                kind: Kind::Azure, ..
            } => BTreeSet::new(),
            _ => self
                .listed()
                .await
                .into_iter()
                .map(|key| key.digest)
                .collect(),
        }
    }
}
