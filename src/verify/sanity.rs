//! Refuses values that are plainly no key of their provider.
//!
//! A text of another kind ([`lookalike`]), and white space and control characters within a value, are no part of any
//! key. Beyond that, only a form that is known to be another provider's is refused, and only at a provider's own
//! endpoint: a gateway or a proxy issues keys of its own, and a provider may change its forms at any time.
//! `docs/keys.md` names the origins of the forms.

use url::{Host, Url};

use crate::lookalike;
use crate::model::{AiType, Settings};
use crate::secret::{Credentials, Secret};

/// Refuses credentials that cannot be what they are stored as.
///
/// # Errors
/// Returns the reason for a refusal, for people. It never holds the value.
pub fn check(settings: &Settings, credentials: &Credentials) -> Result<(), String> {
    let secret = credentials.secret.expose();
    let key = credentials.key.as_ref().map(Secret::expose);
    for (name, value) in [("secret", Some(secret)), ("key", key)] {
        let value = value.unwrap_or_default();
        if let Some(what) = lookalike::recognise(value) {
            return Err(format!("the {name} {what}"));
        }
        one_word(value).map_err(|what| format!("the {name} has {what}"))?;
    }
    let Some(host) = own_endpoint(settings) else {
        return Ok(());
    };
    if settings.ai_type == AiType::Aws {
        return aws_pair(key.unwrap_or_default(), secret);
    }
    match Shape::of(secret) {
        Some(shape) if shape.provider() != settings.ai_type => Err(format!(
            "the secret is {}, and {host} takes no such key: is it the right field of the right secret?",
            shape.describe()
        )),
        _ => Ok(()),
    }
}

/// Refuses white space, control characters and invisible characters, which no key has but a copied text may.
fn one_word(value: &str) -> Result<(), &'static str> {
    if value.contains(char::is_whitespace) {
        return Err("white space in it: is it more than the key?");
    }
    if value.contains(char::is_control) {
        return Err("control characters in it");
    }
    match value.contains(is_unseen) {
        true => Err("invisible characters in it: was it copied from a page?"),
        false => Ok(()),
    }
}

/// Returns `true` for soft hyphens, zero-width characters, marks of direction and the byte-order mark.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

/// Returns the endpoint's host if it is the provider's own and not a gateway.
fn own_endpoint(settings: &Settings) -> Option<String> {
    let url = Url::parse(&settings.endpoint).ok()?;
    let Some(Host::Domain(host)) = url.host() else {
        return None;
    };
    let is_own = match settings.ai_type {
        // Data residency has hosts of its own: eu.api.openai.com.
        AiType::Openai => host == "api.openai.com" || host.ends_with(".api.openai.com"),
        AiType::Anthropic => host == "api.anthropic.com",
        AiType::Google => host == "generativelanguage.googleapis.com",
        AiType::Aws => host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"),
        AiType::Other => false,
    };
    is_own.then(|| host.to_owned())
}

fn aws_pair(key: &str, secret: &str) -> Result<(), String> {
    if !is_access_key_id(key) {
        return Err(
            "the key is no AWS access key id, which is AKIA or ASIA and 16 more capital letters and digits: are `key` and `secret` the right fields?"
                .to_owned(),
        );
    }
    match Shape::of(secret) {
        Some(shape) => Err(format!(
            "the secret is {}, and not the secret access key that belongs to the access key id",
            shape.describe()
        )),
        None => Ok(()),
    }
}

fn is_access_key_id(value: &str) -> bool {
    value.len() == 20
        && (value.starts_with("AKIA") || value.starts_with("ASIA"))
        && value
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The shapes that tell whose key it is.
#[derive(Clone, Copy)]
enum Shape {
    OpenAi,
    Anthropic,
    Google,
    AccessKeyId,
}

impl Shape {
    fn of(value: &str) -> Option<Self> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| value.starts_with(prefix));
        if begins(&["sk-ant-"]) {
            Some(Self::Anthropic)
        } else if begins(&["sk-proj-", "sk-svcacct-", "sk-admin-"])
            // "OpenAI" in Base64, in the middle of each of its keys.
            || (begins(&["sk-"]) && value.contains("T3BlbkFJ"))
        {
            Some(Self::OpenAi)
        } else if (begins(&["AIza"]) && value.len() == 39 && value.chars().all(is_word))
            || (begins(&["AQ.Ab"]) && value.len() > 39)
        {
            Some(Self::Google)
        } else if is_access_key_id(value) {
            Some(Self::AccessKeyId)
        } else {
            None
        }
    }

    fn provider(self) -> AiType {
        match self {
            Self::OpenAi => AiType::Openai,
            Self::Anthropic => AiType::Anthropic,
            Self::Google => AiType::Google,
            Self::AccessKeyId => AiType::Aws,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::OpenAi => "an OpenAI key",
            Self::Anthropic => "an Anthropic key",
            Self::Google => "a Google key",
            Self::AccessKeyId => "an AWS access key id",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WorkspaceId;

    const OPENAI: &str = "https://api.openai.com/v1";
    const ANTHROPIC: &str = "https://api.anthropic.com";
    const GOOGLE: &str = "https://generativelanguage.googleapis.com";
    const BEDROCK: &str = "https://bedrock-runtime.eu-west-1.amazonaws.com";

    const OPENAI_KEYS: [&str; 3] = [
        "sk-proj-Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRsTuVwXyZ01234567",
        "sk-svcacct-abcdefghijT3BlbkFJklmnopqrst",
        "sk-Zq8vXw3nL0aBcDeFgHT3BlbkFJ1iJkLmNoPqRsTuVwXyZ0",
    ];
    const ANTHROPIC_KEY: &str = "sk-ant-api03-Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRs-AA";
    const GOOGLE_KEYS: [&str; 2] = [
        "AIzaZq8vXw3nL0aBcDeFgH1iJkLmNoPqRs-_tuV",
        "AQ.AbZq8vXw3nL0aBcDeFgH1iJkLmNoPqRsTuVwXyZ0123456789",
    ];
    const ACCESS_KEY_ID: &str = "AKIAZ3Q4R5S6T7U2V3W4";
    const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzExampleKy";

    fn pair(
        ai_type: AiType,
        endpoint: &str,
        key: Option<&str>,
        secret: &str,
    ) -> Result<(), String> {
        let settings = Settings {
            workspace_id: WorkspaceId::new("w"),
            name: "n".to_owned(),
            ai_type,
            endpoint: endpoint.to_owned(),
            target: crate::model::Target::Configuration,
        };
        let credentials = Credentials {
            key: key.map(|key| Secret::new(key.to_owned())),
            secret: Secret::new(secret.to_owned()),
        };
        let result = check(&settings, &credentials);
        if let Err(said) = &result {
            let mut values = [Some(secret), key].into_iter().flatten();
            let shown = values.find(|value| value.len() > 8 && said.contains(value));
            assert_eq!(shown, None, "{said}");
        }
        result
    }

    fn refused(ai_type: AiType, endpoint: &str, secret: &str) -> String {
        pair(ai_type, endpoint, None, secret).expect_err("refused")
    }

    #[test]
    fn each_provider_takes_its_own_keys_and_shapes_nobody_knows() {
        let own: [(AiType, &str, Vec<&str>); 3] = [
            (AiType::Openai, OPENAI, OPENAI_KEYS.to_vec()),
            (AiType::Anthropic, ANTHROPIC, vec![ANTHROPIC_KEY]),
            (AiType::Google, GOOGLE, GOOGLE_KEYS.to_vec()),
        ];
        for (ai_type, endpoint, keys) in &own {
            for key in keys
                .iter()
                .chain(&["sk-1", "AIza-short", "next-year's", "ключ"])
            {
                assert_eq!(pair(*ai_type, endpoint, None, key), Ok(()), "{key}");
            }
        }
        let key = Some(ACCESS_KEY_ID);
        for secret in [SECRET_ACCESS_KEY, "of-another-length"] {
            assert_eq!(pair(AiType::Aws, BEDROCK, key, secret), Ok(()));
        }
        let temporary = Some("ASIAZ3Q4R5S6T7U2V3W4");
        assert_eq!(
            pair(AiType::Aws, BEDROCK, temporary, SECRET_ACCESS_KEY),
            Ok(())
        );
    }

    #[test]
    fn another_providers_key_is_refused_at_the_own_endpoint_alone() {
        let everything: Vec<(&str, AiType)> = OPENAI_KEYS
            .iter()
            .map(|key| (*key, AiType::Openai))
            .chain([(ANTHROPIC_KEY, AiType::Anthropic)])
            .chain(GOOGLE_KEYS.iter().map(|key| (*key, AiType::Google)))
            .chain([(ACCESS_KEY_ID, AiType::Aws)])
            .collect();
        let gateways = [
            "https://llm.example.com/v1",
            "http://127.0.0.1:8080",
            "http://[::1]",
        ];
        for (ai_type, endpoint) in [
            (AiType::Openai, OPENAI),
            (AiType::Openai, "https://eu.api.openai.com/v1"),
            (AiType::Anthropic, ANTHROPIC),
            (AiType::Google, GOOGLE),
        ] {
            for (key, provider) in &everything {
                if *provider == ai_type {
                    continue;
                }
                let said = refused(ai_type, endpoint, key);
                assert!(said.contains("takes no such key"), "{said}");
                for gateway in gateways {
                    assert_eq!(pair(ai_type, gateway, None, key), Ok(()));
                }
            }
        }
        for (key, _) in &everything {
            assert_eq!(pair(AiType::Other, OPENAI, None, key), Ok(()));
        }
    }

    #[test]
    fn an_aws_pair_in_the_wrong_order_or_of_something_else_is_refused() {
        for endpoint in [
            BEDROCK,
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
        ] {
            for (key, secret) in [
                (SECRET_ACCESS_KEY, ACCESS_KEY_ID),
                ("", SECRET_ACCESS_KEY),
                ("AKIAshort", SECRET_ACCESS_KEY),
                ("akiaz3q4r5s6t7u2v3w4", SECRET_ACCESS_KEY),
                ("AROAZ3Q4R5S6T7U2V3W4", SECRET_ACCESS_KEY),
                (ACCESS_KEY_ID, ACCESS_KEY_ID),
                (ACCESS_KEY_ID, ANTHROPIC_KEY),
            ] {
                let result = pair(AiType::Aws, endpoint, Some(key), secret);
                assert!(result.is_err(), "{key} {secret}");
                let gateway = "https://bedrock.example.com";
                assert_eq!(pair(AiType::Aws, gateway, Some(key), secret), Ok(()));
            }
        }
    }

    #[test]
    fn refuses_white_space_and_invisible_characters_at_every_endpoint() {
        for endpoint in [OPENAI, "http://127.0.0.1:8080"] {
            for value in ["sk 1", "sk\u{a0}1", "sk\n1", "a\tb"] {
                let said = refused(AiType::Openai, endpoint, value);
                assert!(said.starts_with("the secret has white space"), "{said}");
            }
            let said = refused(AiType::Openai, endpoint, "sk-\u{0}1");
            assert!(said.contains("control characters"), "{said}");
            for value in ["sk-\u{200b}1", "\u{feff}sk-1"] {
                let said = refused(AiType::Openai, endpoint, value);
                assert!(said.contains("invisible"), "{said}");
            }
            let said = pair(AiType::Aws, endpoint, Some("AK IA"), "s").expect_err("refused");
            assert!(said.starts_with("the key has white space"), "{said}");
        }
    }
}
