//! The providers, which make and revoke keys.
//!
//! A provider makes a key ([`Provider::mint`]), says which keys there are ([`Provider::list`]) and when one was last used
//! ([`Provider::last_use`]), and disables and deletes keys. It decides nothing and knows neither sources nor Flashback.
//!
//! A new kind of provider is a folder here, its `pub mod` and its place in [`KINDS`].

pub mod anthropic;
pub mod api;
pub mod aws;
pub mod aws_iam;
pub mod azure_openai;
pub mod bedrock;
pub mod contract;
pub mod fields;
pub mod google;
pub mod kind;
pub mod oauth;
pub mod openai;
pub mod openrouter;
pub mod pages;
pub mod refusal;

pub use contract::{Minted, Provider, ProviderError};
pub use kind::{Context, Kind, ProviderKind};

/// Every kind of provider.
pub const KINDS: &[Kind] = &[
    openai::KIND,
    openrouter::KIND,
    aws_iam::KIND,
    bedrock::KIND,
    google::KIND,
    azure_openai::KIND,
    anthropic::KIND,
];
