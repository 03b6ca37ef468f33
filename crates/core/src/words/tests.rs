//! Tests that ordinary texts pass, and that no secret does, however it is encoded.

mod dresses;

use proptest::prelude::*;

use super::lexicon::KNOWN;
use super::*;

/// Texts of Flashback, Vault, AWS, the providers, PostgreSQL, TLS and the gateways between them.
const USUAL: [&str; 76] = [
    "Validation failed: Invalid API key or endpoint unreachable. Error: 401 Unauthorized",
    "An AI LLM configuration with this name already exists in the workspace",
    "Name 'production' already exists in this workspace (invalid_provider_credentials)",
    "AI LLM configuration not found",
    "AI LLM configuration created successfully",
    "Access token has expired",
    "Invalid email or password",
    "User does not have permission to manage this workspace",
    "Workspace not found or access denied",
    "Request validation failed: aiType must be one of OPENAI, GOOGLE, ANTHROPIC, AWS, OTHER",
    "Multi-factor authentication is required to complete this login",
    "Internal server error",
    "permission denied",
    "1 error occurred: * permission denied",
    "namespace not found",
    "no handler for route \"secret/data\". route entry not found.",
    "missing client token",
    "Vault is sealed",
    "Vault is not initialized",
    "invalid role or secret ID",
    "wrapping token is not valid or does not exist",
    "service account name not authorized",
    "error validating token: invalid audience (aud) claim: audience claim does not match any expected audience",
    "check-and-set parameter required for this call",
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use.",
    "local node not active but active cluster node not found",
    "request path has a rate limit quota exceeded",
    "Secrets Manager can't find the specified secret.",
    "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
    "You can't perform this operation on the secret because it was marked for deletion.",
    "User is not authorized to perform: secretsmanager:GetSecretValue because no identity-based policy allows the action",
    "AccessDeniedException: Access to KMS is not allowed",
    "The security token included in the request is invalid",
    "The security token included in the request is expired",
    "Signature expired: is now earlier than the request date",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.",
    "ThrottlingException: Rate exceeded",
    "InvalidClientTokenId",
    "Incorrect API key provided",
    "You exceeded your current quota, please check your plan and billing details.",
    "You have insufficient permissions for this operation. Missing scopes: api.model.read.",
    "Country, region, or territory not supported",
    "The model does not exist or you do not have access to it.",
    "invalid x-api-key",
    "authentication_error",
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
    "Number of request tokens has exceeded your per-minute rate limit",
    "Overloaded",
    "API key not valid. Please pass a valid API key.",
    "API_KEY_INVALID",
    "Request had insufficient authentication scopes.",
    "Permission 'aiplatform.endpoints.predict' denied on resource (or it may not exist).",
    "Generative Language API has not been used in project before or it is disabled.",
    "cannot execute INSERT in a read-only transaction",
    "permission denied for schema public",
    "remaining connection slots are reserved for roles with the SUPERUSER attribute",
    "duplicate key value violates unique constraint",
    "could not serialize access due to concurrent update",
    "canceling statement due to statement timeout",
    "terminating connection due to administrator command",
    "the database system is starting up",
    "could not extend file: No space left on device",
    "invalid peer certificate: UnknownIssuer",
    "received fatal alert: HandshakeFailure",
    "invalid peer certificate: certificate not valid for name",
    "received fatal alert: ProtocolVersion",
    "Connection refused (os error 111)",
    "failed to lookup address information: Name or service not known",
    "connection closed before message completed",
    "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
    "error code: 502 Bad Gateway",
    "503 Service Temporarily Unavailable",
    "429 Too Many Requests, please try again in 20s",
    "no Route matched with those values",
    "404 page not found",
    "Web application firewall: Request blocked. Contact the site owner.",
];

#[test]
fn the_list_is_sorted_and_each_word_is_there_once() {
    let words: Vec<_> = include_str!("known.txt").lines().collect();
    assert!(words.is_sorted_by(|one, next| one < next));
    for word in &words {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '\'';
        assert!(word.chars().all(is_plain), "{word}");
    }
    assert!((1_000..=2_500).contains(&words.len()), "{}", words.len());
}

#[test]
fn the_usual_messages_stay_word_for_word() {
    for said in USUAL {
        assert_eq!(shown(said, &["sk-proj-something"]), said);
    }
}

#[test]
fn identifiers_of_known_words_stay() {
    for word in [
        "AccessDeniedException",
        "invalid_api_key",
        "invalid-request",
        "API_KEY_INVALID",
        "apiKeys",
        "APIs",
        "user's",
        "KMSInvalidStateException",
        "https://api.openai.com/v1/models",
        "arn:aws:iam",
        "OAuth2",
        "{\"error\":{\"message\":\"Incorrect",
    ] {
        assert_eq!(shown(word, &[]), word);
    }
}

#[test]
fn unknown_words_become_one_mask() {
    for (said, expected) in [
        (
            "Incorrect API key provided: sk-ca**ry.",
            "Incorrect API key provided: ….",
        ),
        ("no sk-proj-abcd efgh, xyzzy here", "no … here"),
        ("user \"jane\" is not allowed", "user \"…\" is not allowed"),
        ("no hQ7vN2k to z9LmXab at all", "no … at all"),
        ("Authorization: Bearer qwzxvkjh", "Authorization: Bearer …"),
        ("bytes 115 107 45 112", "bytes …"),
        ("key s k p r o j", "key …"),
        ("status .... . .-.. ---", "status …"),
        ("number 1234567", "number …"),
        ("pаssword", "…"),
        ("iNVaLiD", "…"),
        ("error\nb\u{1b}[31m\u{202e}c", "error …"),
        ("", ""),
    ] {
        assert_eq!(shown(said, &[]), expected, "{said}");
    }
}

#[test]
fn sent_secrets_are_masked_even_when_made_of_known_words() {
    let secret = "invalid password denied";
    for (said, expected) in [
        ("no invalid password denied here", "no … here"),
        ("ends in PASSWORD DENIED!", "ends in …!"),
        ("is invalid-password.denied here", "is … here"),
        ("is p.a.s.s.w.o.r.d denied here", "is … here"),
        ("inva\u{200b}lid pass\u{0}word", "…"),
    ] {
        assert_eq!(shown(said, &[secret]), expected, "{said}");
    }
    assert_eq!(shown("it is try.", &["try"]), "it is ….");
}

#[test]
fn nothing_is_longer_than_the_limit() {
    for said in [
        "word ".repeat(10_000),
        "x7 word ".repeat(10_000),
        "x".repeat(1 << 20),
    ] {
        let shown = shown(&said, &["x7"]);
        assert!(shown.chars().count() <= LONGEST, "{shown}");
    }
    assert_eq!(too_long(&"ü".repeat(LONGEST_NAME)), None);
    assert_eq!(
        too_long(&"ü".repeat(LONGEST_NAME + 1)),
        Some(LONGEST_NAME + 1)
    );
}

/// Returns keys as providers, secret stores and people make them, without parts that are known words.
fn secrets() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]{8,60}",
        "[a-z]{8,60}",
        "[a-z.]{8,20}",
        "[a-z0-9.]{8,40}",
        "[0-9a-f]{8,60}",
        "[0-9]{8,20}",
        "[A-Z0-9]{16,20}",
        "[A-Za-z0-9_-]{8,20}",
        "sk-proj-[A-Za-z0-9_-]{20,60}",
        "[!-~]{8,60}",
    ]
    .prop_filter("holds a known word, or hardly anything", |secret| {
        let lower = secret.to_ascii_lowercase();
        !is_plain(secret)
            && letters(secret).len() >= 6
            && !KNOWN
                .iter()
                .any(|word| word.len() >= 5 && lower.contains(word))
    })
}

/// Returns each six characters in a row without a space (letters and digits with one separator at most, or
/// separators alone), and each six letters and digits whatever is between them.
fn windows(text: &str) -> Vec<String> {
    let solid = text.split(' ').map(str::to_owned);
    let mut windows = Vec::new();
    for part in solid.chain([letters(text)]) {
        let chars: Vec<char> = part.chars().collect();
        let wide = |window: &&[char]| {
            let letters = window.iter().filter(|c| c.is_alphanumeric()).count();
            letters == 0 || letters >= 5
        };
        let found = chars.windows(6).filter(wide);
        windows.extend(found.map(|window| window.iter().collect::<String>()));
    }
    windows
}

/// Returns `true` if an encoding splits a secret so that pieces of it are words by chance.
fn is_cut_to_a_word(dressed: &str, other: &str) -> bool {
    let pieces = dressed.split(|c: char| !c.is_ascii_alphanumeric());
    let mut own = pieces.filter(|piece| !piece.is_empty() && !other.contains(piece));
    own.any(|piece| piece.len() > 1 && is_word(piece))
}

/// Returns the letters and digits of a text, and its masks.
fn letters(text: &str) -> String {
    let stays = |c: &char| c.is_alphanumeric() || *c == '…';
    text.chars().filter(stays).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_secret_passes_in_any_dress_at_any_place(secret in secrets()) {
        let of_secret = windows(&secret);
        let others = dresses::all("~~~~~~~~");
        for ((name, dressed), (_, other)) in dresses::all(&secret).into_iter().zip(others) {
            if is_cut_to_a_word(&dressed, &other) {
                continue;
            }
            // The common parts of the encodings of all secrets are no piece of this one.
            let mut of_dress = windows(&dressed);
            let other = format!("{other} {}", letters(&other));
            of_dress.retain(|window| !other.contains(window.as_str()));
            for place in dresses::PLACES {
                let said = place.replace("SECRET", &dressed);
                let shown = shown(&said, &[]);
                let shown = format!("{shown} {}", letters(&shown));
                for window in of_secret.iter().chain(&of_dress) {
                    prop_assert!(
                        !shown.contains(window.as_str()),
                        "{name}: {window:?} of {dressed:?} in {shown:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_piece_of_what_was_sent_survives(
        canary in "[ -~]{8,60}",
        before in "\\PC{0,100}",
        after in "\\PC{0,100}",
        from in 0usize..40,
        length in 8usize..60,
    ) {
        let piece: String = canary.chars().skip(from).take(length).collect();
        let shown = shown(&format!("{before}{canary}{after}{piece}"), &[&canary]);
        let canary: Vec<char> = canary.chars().collect();
        for window in canary.windows(redact::PIECE) {
            let piece: String = window.iter().collect();
            prop_assert!(!shown.contains(&piece), "{piece:?} in {shown:?}");
        }
    }
}
