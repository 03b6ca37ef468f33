//! The fakes, used by the providers' own clients for Python: what those send is taken, and what is answered is what
//! they expect.

use std::path::Path;
use std::process::Command;

use flashback_rotator::model::ProviderKeyId;
use flashback_rotator::provider::Provider as _;

use super::aws::bedrock_keys;
use super::{admin, anthropic_at, openai_at, openrouter_at};
use crate::support::aws::administrator;
use crate::support::providers::anthropic::Anthropic;
use crate::support::providers::openai::{ACCOUNT, OpenAi, PROJECT};
use crate::support::providers::openrouter::OpenRouter;
use crate::support::providers::{Fake, azure, bedrock, google};
use crate::support::upstreams::upstream;
use crate::support::venv;

/// Runs a part of `clients.py`, which fails where the client does.
async fn runs(part: &str, fake: &Fake, arguments: &[&str]) {
    let mut command = Command::new(venv().join("bin/python3"));
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/providers/clients.py"))
        .args([part, &fake.url(), &fake.admin_key()])
        .args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("it ends").expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{part}: {said}\n{:?}",
        fake.calls()
    );
}

#[tokio::test]
async fn openais_client_is_served() {
    let fake = Fake::start(OpenAi::default()).await;
    let provider = openai_at(&fake, admin(), upstream("provider"));
    let minted = provider.mint("by the rotator", None).await.expect("made");
    runs("openai", &fake, &[PROJECT, ACCOUNT, minted.id.as_str()]).await;
    let left: Vec<_> = fake.keys().into_iter().map(|key| key.name).collect();
    assert_eq!(left, ["by the client"], "the rotator's is deleted");
}

#[tokio::test]
async fn openrouters_client_is_served() {
    let fake = Fake::start(OpenRouter::default()).await;
    let provider = openrouter_at(&fake, admin(), upstream("provider"));
    let minted = provider.mint("by the rotator", None).await.expect("made");
    runs("openrouter", &fake, &[minted.id.as_str()]).await;
    let left: Vec<_> = fake
        .keys()
        .into_iter()
        .map(|key| (key.name, key.active))
        .collect();
    assert_eq!(left, [("by the client".to_owned(), false)]);
}

#[tokio::test]
async fn anthropics_client_is_served() {
    let fake = Fake::start(Anthropic::default()).await;
    let provider = anthropic_at(&fake, admin(), upstream("provider"));
    let [one, two] =
        ["one", "two"].map(|name| fake.make(name, &format!("sk-ant-api03-canary-{name}")));
    let archived = fake.make("archived", "sk-ant-api03-canary-archived");
    let id = ProviderKeyId::new(&archived.id);
    provider.delete(&id).await.expect("archived");
    runs("anthropic", &fake, &[&one.id, &two.id]).await;
    let left: Vec<_> = fake
        .keys()
        .into_iter()
        .map(|key| (key.name, key.active))
        .collect();
    assert_eq!(left, [("one".to_owned(), false)]);
}

#[tokio::test]
async fn googles_client_is_served() {
    let fake = Fake::start(google::Google::default()).await;
    let other = fake.make("by a person", "AIzacanary-by-a-person");
    runs("google", &fake, &[google::PROJECT, &other.id]).await;
    let left: Vec<_> = fake
        .keys()
        .into_iter()
        .map(|key| (key.name, key.active))
        .collect();
    let wanted = [("by a person", true), ("by the client", false)];
    assert_eq!(left, wanted.map(|(name, active)| (name.to_owned(), active)));
}

#[tokio::test]
async fn azures_client_is_served() {
    let fake = Fake::start(azure::Azure::default()).await;
    let arguments = [
        azure::TENANT,
        azure::CLIENT,
        azure::SUBSCRIPTION,
        azure::GROUP,
        azure::ACCOUNT,
    ];
    runs("azure", &fake, &arguments).await;
}

#[tokio::test]
async fn the_client_of_aws_is_served() {
    let fake = Fake::start(bedrock::Bedrock).await;
    let provider = bedrock_keys(&fake.url(), bedrock::USER, administrator(), None);
    let minted = provider.mint("by the rotator", None).await.expect("made");
    runs("bedrock", &fake, &[bedrock::USER, minted.id.as_str()]).await;
    let left: Vec<_> = fake.keys().into_iter().map(|key| key.active).collect();
    assert_eq!(left, [false], "the rotator's is deleted");
}
