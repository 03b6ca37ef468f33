//! The settings of providers, as a configuration has them.

use std::sync::Arc;

use flashback_rotator::config::{self, Config, KINDS, Report};
use flashback_rotator::credential::FromFile;
use flashback_rotator::model::ProviderId;
use flashback_rotator::provider::{Context, Provider};
use tempfile::TempDir;

use crate::support::place_file;
use crate::support::providers::anthropic::Anthropic;
use crate::support::providers::openai::OpenAi;
use crate::support::providers::openrouter::OpenRouter;
use crate::support::providers::{ADMIN, Fake};
use crate::support::upstreams::upstream;

/// Has the provider rotate the key.
const ROTATE: &str = "rotate = { provider = \"it\", every = \"30d\" }\n";

/// Reads a configuration with this provider, and a key of this type.
fn load(
    directory: &TempDir,
    provider: &str,
    ai_type: &str,
    rotate: &str,
) -> Result<Config, Report> {
    let path = directory.path().display();
    let text = format!(
        "[flashback]\nworkspace_id = \"w\"\nauth = {{ token = {{ file = \"{path}/token\" }} }}\n\
         [sources.files]\ntype = \"file\"\ndir = \"{path}\"\n\
         [providers.it]\n{provider}admin_key = {{ file = \"{path}/admin\" }}\n\
         [keys.one]\nai_type = \"{ai_type}\"\nendpoint = \"https://example.com/v1\"\nsource = \"files\"\npath = \"one\"\n{rotate}"
    );
    let config = directory.path().join("config.toml");
    place_file(&config, text);
    config::load(Some(&config), KINDS).map(|loaded| loaded.config)
}

fn build(config: &Config) -> Arc<dyn Provider> {
    let id = ProviderId::new("it");
    let provider = &config.providers[&id];
    let context = Context {
        id,
        upstream: upstream("provider:it"),
        secret: &|reference| match reference {
            config::SecretRef::File(path) => Arc::new(FromFile(path.clone())),
            other => panic!("{other:?}"),
        },
    };
    provider.settings.build(context).expect("a provider")
}

#[tokio::test]
async fn a_provider_is_built_from_its_settings() {
    let cases = [
        (
            Fake::start(OpenAi::default()).await,
            "OPENAI",
            "the service account svc_acct_abc in the project proj_abc",
            "0 keys in the project proj_abc",
        ),
        (
            Fake::start(OpenRouter::default()).await,
            "OTHER",
            "the default workspace",
            "0 keys in the default workspace",
        ),
        (
            Fake::start(Anthropic::default()).await,
            "ANTHROPIC",
            "the organization",
            "0 keys in the organization",
        ),
    ];
    for (fake, ai_type, place, connected) in cases {
        let directory = tempfile::tempdir().expect("a directory");
        place_file(directory.path().join("admin"), ADMIN);
        let config = load(&directory, &fake.settings(), ai_type, "");
        let config = config.unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(
            config.providers[&ProviderId::new("it")].settings.place(),
            place
        );
        let provider = build(&config);
        assert_eq!(fake.calls(), [""; 0], "building calls nothing");
        assert_eq!(provider.connect().await, Ok(connected.to_owned()));
    }
}

#[test]
fn mistakes_in_the_settings_are_reported() {
    let cases = [
        (
            "type = \"openai\"\nproject = \"p\"\n",
            "OPENAI",
            "service_account",
        ),
        (
            "type = \"openai\"\nproject = \"p\"\nservice_account = \"s\"\nbase_url = \"api.openai.com\"\n",
            "OPENAI",
            "is not an http or https URL",
        ),
        (
            "type = \"openrouter\"\nproject = \"p\"\n",
            "OTHER",
            "unknown setting `project`",
        ),
        (
            "type = \"anthropic\"\nworkspace = 7\n",
            "ANTHROPIC",
            "must be a text",
        ),
        (
            "type = \"anthropic\"\n",
            "OPENAI",
            "Anthropic makes no keys of the type OPENAI",
        ),
    ];
    for (provider, ai_type, expected) in cases {
        let directory = tempfile::tempdir().expect("a directory");
        let report = load(&directory, provider, ai_type, ROTATE).expect_err("a mistake");
        let report = report.to_string();
        assert!(report.contains(expected), "{expected}: {report}");
    }
}
