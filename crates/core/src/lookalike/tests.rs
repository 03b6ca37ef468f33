//! Tests that no key is refused, and that nothing that is wrapped around a key or stands in its place passes.

use proptest::prelude::*;

use super::*;

/// Keys in the formats of providers and gateways, with made-up letters and digits.
const KEYS: &[&str] = &[
    "sk-1",
    "sk-proj-Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRsTuVwXyZ01234567",
    "sk-Zq8vXw3nL0aBcDeFgHT3BlbkFJ1iJkLmNoPqRsTuVwXyZ0",
    "sk-ant-api03-Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRs_t-u-AA",
    "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",
    "AIzaZq8vXw3nL0aBcDeFgH1iJkLmNoPqRs-_tuV",
    "AQ.AbZq8vXw3nL0aBcDeFgH1iJkLmNoPqRsTuVwXyZ0123456789",
    "AKIAZ3Q4R5S6T7U2V3W4",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzExampleKy",
    "/JalrXUtnFEMI/K7MDENG/bPxRfiCYzExampleK=",
    "gsk_Zq8vXw3nL0aBcDeFgH1iWGdyb3FYJkLmNoPqRsTuVwXyZ012",
    "xai-Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRsTuVwXyZ01234567",
    "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",
    "hf_ZqvXwnLaBcDeFgHiJkLmNoPqRsTuVwXyZ",
    "r8_Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRsTuVwXy",
    "nvapi-Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRsTuVwXyZ0123456789-_abcde",
    "0f9e8d7c6b5a43210f9e8d7c6b5a4321",
    "0F9E8D7C6B5A43210F9E8D7C6B5A4321",
    "Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRsTuVwXyZ0123456789JQQJ99BDACYeBjFXJ3w3AAABACOGabcd12",
    "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "7c9e6679742540de944be07fc1f90ae7.Zq8vXw3nL0aBcDeF",
    "7c9e6679-7425-40de-944b-e07fc1f90ae7:0f9e8d7c6b5a43210f9e8d7c6b5a4321",
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJyb3RhdG9yIn0.c2lnbmF0dXJlLW9mLW5vYm9keQ",
    "eyJrZXkiOiJub2JvZHkifQ==",
    "ABSKQmVkcm9ja0FQSUtleS1aUTh2WHczbkwwYUJjRGVGZ0gxaUprTG1Ob1Bx",
    "ya29.a0AfH6SMBZq8vXw3nL0aBcDeFgH1iJkLmNoPqRs",
    "dapi0f9e8d7c6b5a43210f9e8d7c6b5a4321",
    "fw_3ZZq8vXw3nL0aBcDeFgH1",
    "abc8Q~Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRs.t_u",
    "1|Zq8vXw3nL0aBcDeFgH1iJkLmNoPqRs",
    "p$Zq8v%Xw3n#L0a",
    "$2b$10$Zq8vXw3nL0aBcDeFgH1iJk",
    "next-year's",
    "ключ",
    "secret-of-the-demo",
    "canary-first-key",
    "of-another-length",
    "openai-0123456789abcdef",
    "dummy",
    "EMPTY",
    "sk-no-key-required",
];

#[test]
fn no_key_is_taken_for_something_else() {
    for key in KEYS {
        assert_eq!(recognise(key), None, "{key}");
    }
}

#[test]
fn recognises_each_kind_of_text_that_is_no_key() {
    let kinds: &[(&str, &[&str])] = &[
        (
            "JSON that does not parse",
            &[
                r#"{"api_key":"sk-live",}"#,
                "{'api_key':'sk-live'}",
                r#"{"api_key":"sk-live""#,
                r#"{"api_key": "sk-li"#,
                "{api_key: sk-live}",
                r#""sk-live"}"#,
                "sk-live}",
                r#"["sk-live""#,
                "{",
            ],
        ),
        ("is JSON", &[r#"["sk-live"]"#, r#"{"a":1}"#, "[1]"]),
        (
            "quotation mark",
            &[
                r#""sk-live""#,
                "'sk-live'",
                "`sk-live`",
                "“sk-live”",
                "„sk-live“",
                "‘sk-live’",
                "«sk-live»",
                "″sk-live″",
                "\"sk-live",
                "sk-live'",
                r#"\"sk-live\""#,
                "\"sk-li\"ve\"",
            ],
        ),
        (
            "assignment",
            &[
                "OPENAI_API_KEY=sk-live",
                "OPENAI_API_KEY=\"sk-live\"",
                "OPENAI_API_KEY = sk-live",
                "X=sk-live",
                "export X=sk-live",
                "export X='sk-live'",
                "set X=sk-live",
                "setx X sk-live",
                "$env:X=\"sk-live\"",
                "$env:X = 'sk-live'",
                "api_key=sk-live",
                "api-key=0f9e8d7c",
                "apiKey=0f9e8d7c",
                "api_key := \"0f9e8d7c\"",
                "api_key:sk-live",
                "bearer:sk-live",
                "const apiKey = 'sk-live';",
                "OPENAI_API_KEY=",
                "Environment=OPENAI_API_KEY=sk-live",
            ],
        ),
        (
            "header",
            &[
                "Bearer sk-live",
                "bearer sk-live",
                "Bearer",
                "Basic dXNlcjpwYXNz",
                "Authorization: Bearer sk-live",
                "authorization:Bearer sk-live",
                "x-api-key: sk-live",
                "X-Api-Key:sk-live",
                "api-key: 0f9e8d7c",
                "x-goog-api-key: AIza",
                "-H x-api-key: sk-live",
            ],
        ),
        (
            "literal",
            &[
                "null",
                "(null)",
                "<nil>",
                "true",
                "False",
                "None",
                "undefined",
                "NaN",
                "nil",
                "{}",
            ],
        ),
        (
            "placeholder",
            &[
                "<REDACTED>",
                "<your-api-key>",
                "<api key here>",
                "[REDACTED]",
                "{api_key}",
                "changeme",
                "CHANGE_ME",
                "change-me",
                "REPLACE_ME",
                "replace-with-your-key",
                "your-api-key-here",
                "your_openai_api_key",
                "YOUR_API_KEY",
                "YOUR-SECRET",
                "sk-your-key-here",
                "insert-key-here",
                "to-do",
                "todo",
                "Todo!",
                "placeholder",
                "__OPENAI_API_KEY__",
                "@@OPENAI_API_KEY@@",
                "@api.key@",
                "redacted",
                "api-key",
            ],
        ),
        (
            "masked",
            &[
                "xxxx",
                "XXXXXXXXXXXX",
                "sk-xxxxxxxxxxxxxxxx",
                "****",
                "sk-****abcd",
                "sk-proj-***",
                "sk-xxxx",
                "sk-ant-XXX",
                "••••••••",
                "sk-...abcd",
                "sk-…abcd",
                "........",
            ],
        ),
        (
            "template",
            &[
                "${OPENAI_API_KEY}",
                "${OPENAI_API_KEY:-none}",
                "sk-${SUFFIX}",
                "$OPENAI_API_KEY",
                "$env:OPENAI_API_KEY",
                "$(OPENAI_API_KEY)",
                "$(cat /run/secrets/x)",
                "{{ openai_api_key }}",
                "{{ .Values.openai.key }}",
                "{{openai}}",
                "${{ secrets.OPENAI }}",
                "<%= ENV['OPENAI'] %>",
                "%OPENAI_API_KEY%",
                "#{openai}",
                "%(api_key)s",
                "%!s(<nil>)",
                "OPENAI_API_KEY",
                "process.env.OPENAI_API_KEY",
                "os.environ/OPENAI_API_KEY",
            ],
        ),
        (
            "PEM",
            &["-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----"],
        ),
        (
            "encrypted",
            &[
                "ENC[AES256_GCM,data:abc,iv:x,tag:y,type:str]",
                "vault:v1:8SDd3WHDOjf7",
            ],
        ),
        (
            "XML or HTML",
            &[
                "<key>sk-live</key>",
                "<!DOCTYPE html><html></html>",
                "<?xml version='1.0'?>",
                "sk-live</key>",
            ],
        ),
        ("TOML or INI", &["[default]\naws_access_key_id = AKIA"]),
        (
            "YAML",
            &[
                "---\nkey: sk-live",
                "openai: sk-live",
                "OPENAI_API_KEY:",
                "openai:\n  - sk-live",
                "- sk-live",
                "--- sk-live",
            ],
        ),
        ("no letter and no digit", &["-", "?", "!!", "%"]),
        ("comma or a semicolon", &["sk-live,", "sk-live;"]),
        (
            "reference",
            &[
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:llm/openai-AbCdEf",
                "arn:aws-cn:iam::123456789012:role/x",
                "vault:secret/data/llm/openai",
                "vault:secret/llm#openai",
                "op://vault/item/field",
                "aws-sm://llm/openai",
                "ref+vault://secret/llm",
                "file:///run/secrets/x",
                "https://api.openai.com/v1",
                "/run/secrets/x",
                "/etc/keys/openai",
                "./key",
                "../key",
                "/vault/secrets/openai",
                "/Users/Me/key",
                "secret/data/llm/openai",
                "data:text/plain;base64,c2s=",
                "~/.openai",
                "C:\\keys\\openai",
                "env:OPENAI_API_KEY",
                "projects/p/secrets/openai/versions/1",
                "@Microsoft.KeyVault(SecretUri=https://x.vault.azure.net/secrets/y)",
            ],
        ),
    ];
    let mut wrong = Vec::new();
    for (kind, texts) in kinds {
        for text in *texts {
            match recognise(text) {
                Some(what) if what.contains(kind) => {}
                found => wrong.push(format!("{text:?}: {found:?}, not {kind}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Texts that people and programs put around a key.
const AROUND: &[(&str, &str)] = &[
    (r#"{"api_key":""#, r#"",}"#),
    (r#"{"api_key":""#, r#"""#),
    ("{'k':'", "'}"),
    ("[\"", "\"]"),
    ("\"", "\""),
    ("'", "'"),
    ("“", "”"),
    ("\"", ""),
    ("", "'"),
    ("", ","),
    ("OPENAI_API_KEY=", ""),
    ("export K=", ""),
    ("set K=", ""),
    ("$env:K=\"", "\""),
    ("api_key: ", ""),
    ("api_key:", ""),
    ("token=", ""),
    ("Bearer ", ""),
    ("Authorization: Bearer ", ""),
    ("x-api-key: ", ""),
    ("<key>", "</key>"),
    ("---\nkey: ", ""),
    ("[default]\nkey = ", ""),
    ("-----BEGIN KEY-----\n", "\n-----END KEY-----"),
    ("https://example.com/?key=", ""),
    ("vault:secret/", ""),
    ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:", ""),
    ("${", ":-}"),
];

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        // Base64 and base64url, with and without padding.
        "[A-Za-z0-9+/]{20,86}={0,2}",
        "[A-Za-z0-9_-]{20,86}={0,2}",
        "[A-Za-z0-9]{32}",
        "[0-9a-f]{32,64}",
        "[A-Z2-7]{26,52}",
        "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        "(sk|pk|rk|xai|pplx|nvapi|sk-proj|sk-ant-api03|gsk_|hf_|r8_)-[A-Za-z0-9_-]{20,90}",
        "eyJ[A-Za-z0-9_-]{17,60}\\.eyJ[A-Za-z0-9_-]{17,120}\\.[A-Za-z0-9_-]{43}",
        "[A-Za-z0-9~._-]{34,40}",
        "[0-9]{1,4}\\|[A-Za-z0-9]{40}",
        "[A-Za-z0-9]{8,20}:[A-Za-z0-9]{20,40}",
        "[A-Za-z0-9$%#]{24,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn keys_pass_and_what_is_around_them_does_not(key in any_key()) {
        // A run of dots or of one letter is taken for a mask, and a random key may contain one.
        prop_assume!(!is_masked(&key));
        prop_assert_eq!(recognise(&key), None);
        for (before, after) in AROUND {
            let text = format!("{before}{key}{after}");
            let what = recognise(&text);
            prop_assert!(what.is_some(), "{} passes", text);
            prop_assert!(!what.unwrap_or_default().contains(&key));
        }
    }
}
