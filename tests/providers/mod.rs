//! The providers that make and revoke keys, each against a fake of its API, and each fake against the provider's own
//! client.

mod anthropic;
mod aws;
mod aws_faults;
mod aws_iam;
mod aws_policies;
mod aws_settings;
mod azure;
mod bedrock;
mod clients;
mod faults;
mod google;
mod openai;
mod openrouter;
mod settings;

use std::sync::Arc;

use flashback_rotator::credential::{Plain, SecretRef, SharedCredential};
use flashback_rotator::model::{IssuedKey, ProviderKeyId};
use flashback_rotator::provider::anthropic::{Anthropic, AnthropicConfig};
use flashback_rotator::provider::openai::{OpenAi, OpenAiConfig};
use flashback_rotator::provider::openrouter::{OpenRouter, OpenRouterConfig};
use flashback_rotator::provider::{Minted, Provider};
use flashback_rotator::upstream::Upstream;

use crate::support::providers::{ADMIN, Fake, openai as fake_openai};

/// Returns the administrative credential of a fake.
fn admin() -> SharedCredential {
    Arc::new(Plain(ADMIN.to_owned()))
}

/// Returns a reference that nothing resolves.
fn reference() -> SecretRef {
    SecretRef::Env("UNUSED".to_owned())
}

fn openai_at(fake: &Fake, admin: SharedCredential, upstream: Upstream) -> OpenAi {
    let config = OpenAiConfig {
        admin_key: reference(),
        project: fake_openai::PROJECT.to_owned(),
        service_account: fake_openai::ACCOUNT.to_owned(),
        base_url: format!("{}/v1", fake.url()),
    };
    OpenAi::new(&config, admin, upstream).expect("a provider")
}

fn openrouter_at(fake: &Fake, admin: SharedCredential, upstream: Upstream) -> OpenRouter {
    let config = OpenRouterConfig {
        admin_key: reference(),
        workspace: None,
        base_url: format!("{}/api/v1/", fake.url()),
    };
    OpenRouter::new(&config, admin, upstream).expect("a provider")
}

fn anthropic_at(fake: &Fake, admin: SharedCredential, upstream: Upstream) -> Anthropic {
    let config = AnthropicConfig {
        admin_key: reference(),
        workspace: None,
        base_url: fake.url(),
    };
    Anthropic::new(&config, admin, upstream).expect("a provider")
}

fn value(minted: &Minted) -> &str {
    assert!(minted.credentials.key.is_none());
    minted.credentials.secret.expose()
}

async fn listed(provider: &dyn Provider) -> Vec<IssuedKey> {
    provider.list().await.expect("a list")
}

/// Returns one key of the list.
async fn found(provider: &dyn Provider, id: &ProviderKeyId) -> IssuedKey {
    let keys = listed(provider).await;
    let key = keys.into_iter().find(|key| key.id == *id);
    key.unwrap_or_else(|| panic!("{id} is not listed"))
}

/// Fails if a text has a piece of a secret in it: each has the word in its value.
fn is_clean(text: &str) {
    assert!(!text.contains("canary"), "{text}");
}
