//! Lists of the secrets in AWS Secrets Manager.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::types::Tag;
use flashback_rotator::source::aws::AwsConfig;
use flashback_rotator::source::{Listed, Scope, Source as _};

use crate::support::aws::{Aws, BOTH, administrator};

#[tokio::test]
async fn lists_page_by_page_by_the_beginning_of_names_and_by_tags() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let source = aws.source(AwsConfig::default(), administrator());
        let client = aws.client();
        for number in 0..105 {
            aws.create(&format!("listed/many/{number:03}"), "sk-one")
                .await;
        }
        for (name, team) in [
            ("listed/a", "ai"),
            ("listed/b", "ai-ops"),
            ("listed/c/d", "ai"),
        ] {
            let tag = |key, value| Tag::builder().key(key).value(value).build();
            client
                .create_secret()
                .name(name)
                .secret_string("sk-one")
                .tags(tag("team", team))
                .tags(tag("flashback_ai_type", "OPENAI"))
                .send()
                .await
                .expect("created");
        }
        let list = async |prefix: &str, deep: bool, tags: &[(&str, &str)]| {
            let scope = Scope {
                prefix: prefix.to_owned(),
                deep,
                tags: tags
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            };
            source.list(&scope).await.expect("a list")
        };
        let paths = |listed: &[Listed]| listed.iter().map(|it| it.path.clone()).collect::<Vec<_>>();
        assert_eq!(list("listed/many/", true, &[]).await.len(), 105);
        let all = list("listed/", true, &[("team", "ai")]).await;
        assert_eq!(paths(&all), ["listed/a", "listed/c/d"]);
        let one = list("listed/", false, &[("flashback_ai_type", "OPENAI")]).await;
        assert_eq!(paths(&one), ["listed/a", "listed/b"]);
        for listed in all {
            let entry = source
                .entry(&listed.path)
                .await
                .expect("an entry")
                .expect("there");
            assert_eq!(entry.metadata, listed.metadata);
            let tags = BTreeMap::from([
                ("flashback_ai_type".to_owned(), "OPENAI".to_owned()),
                ("team".to_owned(), "ai".to_owned()),
            ]);
            assert_eq!(listed.metadata, Some(tags));
            assert!(entry.version().is_some());
            assert_eq!(listed.version(), entry.version(), "{emulator:?}");
        }
    }
}
