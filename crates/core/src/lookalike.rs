//! Recognition of texts that stand where a key belongs and are plainly not keys: documents, assignments,
//! headers, placeholders and references.
//!
//! Such a text is stored when a secret is entered by hand, or when a template was not rendered. Each kind is
//! an entry of `KINDS` and is recognised by something that no key has: keys are made of letters, digits and
//! `-_.:/+|~=$%#`. A character that base64 text can begin with, such as `/`, proves nothing.

mod names;

use self::names::{CREDENTIALS, WORDY, is_name, is_variable, is_wordy, names_credential, words};
use crate::redact;

/// A kind of text, and the test that recognises it.
struct Kind {
    /// A clause after "the secret": what the text is and, where that is not obvious, what to store instead.
    /// It never contains a part of the text.
    what: &'static str,
    is: fn(&str) -> bool,
}

/// All kinds. The first one that matches describes a text.
const KINDS: &[Kind] = &[
    Kind {
        what: "is a placeholder that was never filled in",
        is: is_placeholder,
    },
    Kind {
        what: "is masked: it was copied from where keys are not shown whole",
        is: is_masked,
    },
    Kind {
        what: "holds a template or a variable that was not replaced by its value",
        is: is_template,
    },
    Kind {
        what: "is the literal for no value or for a truth value of some language",
        is: is_literal,
    },
    Kind {
        what: "looks like PEM: a certificate or a private key, not an API key",
        is: |text| text.contains("-----BEGIN") || text.contains("-----END"),
    },
    Kind {
        what: "looks like XML or HTML",
        is: |text| text.starts_with('<') || text.ends_with('>'),
    },
    Kind {
        what: "is encrypted: what wrote it has not decrypted it",
        is: is_ciphertext,
    },
    Kind {
        what: "looks like a section of TOML or INI",
        is: is_section,
    },
    Kind {
        what: "is JSON, and not an object with the key in a field",
        is: |text| begins_or_ends_like_json(text) && is_json(text),
    },
    Kind {
        what: "looks like JSON that does not parse",
        is: begins_or_ends_like_json,
    },
    Kind {
        what: "looks like a header of HTTP: store the key without the header's name and without `Bearer`",
        is: is_header,
    },
    Kind {
        what: "looks like an assignment: store the value alone",
        is: is_assignment,
    },
    Kind {
        what: "looks like YAML",
        is: is_yaml,
    },
    Kind {
        what: "has a quotation mark at its beginning or end: store the key without quotes",
        is: |text| text.starts_with(is_quote) || text.ends_with(is_quote),
    },
    Kind {
        what: "ends with a comma or a semicolon: it is a piece of something larger",
        is: |text| text.ends_with([',', ';']),
    },
    Kind {
        what: "is a reference to a secret, a URL or a path, and not the secret itself",
        is: is_reference,
    },
    Kind {
        what: "has no letter and no digit in it",
        is: |text| !text.is_empty() && !text.contains(char::is_alphanumeric),
    },
];

/// Describes a text that is plainly not a key, as a clause after "the secret". Returns `None` for a text that
/// may be a key.
pub fn recognise(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let kind = KINDS.iter().find(|kind| (kind.is)(text));
    kind.map(|kind| kind.what)
}

/// The words of placeholders. Words that a gateway may accept as a key are not listed.
const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "changeit",
    "change me",
    "change it",
    "change this",
    "replaceme",
    "replace me",
    "replace this",
    "replace it",
    "fixme",
    "fix me",
    "fill me",
    "fill in",
    "fillme",
    "redacted",
    "removed",
    "masked",
    "placeholder",
    "todo",
    "to do",
    "tbd",
    "insert here",
    "not set",
    "unset",
    "no value",
    "api key",
    "apikey",
    "my api key",
    "yourapikey",
    "yourkey",
    "n a",
];

/// The verbs with which a placeholder asks for a key.
const REQUESTS: &[&str] = &[
    "insert", "enter", "put", "paste", "replace", "change", "add", "set",
];

/// Matches `<REDACTED>`, `changeme`, `your-api-key-here`, `sk-your-key`.
fn is_placeholder(text: &str) -> bool {
    const ENCLOSED: [(&str, &str); 7] = [
        ("<", ">"),
        ("[", "]"),
        ("(", ")"),
        ("{", "}"),
        ("__", "__"),
        ("@@", "@@"),
        ("@", "@"),
    ];
    let mut enclosed = ENCLOSED.iter();
    let enclosed = enclosed.find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    let inner = enclosed.unwrap_or(text);
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/' | '!');
    if !inner.chars().all(is_part) {
        return false;
    }
    let words = words(inner);
    let words = words.strip_prefix("sk ").unwrap_or(&words);
    let has = |word: &str| words.split(' ').any(|own| own == word);
    let first = words.split(' ').next().unwrap_or_default();
    let asks = has("here") || (REQUESTS.contains(&first) && first != words);
    PLACEHOLDERS.contains(&words)
        || (has("your") && words.contains(' '))
        || (asks && names_credential(words))
        || (enclosed.is_some() && (is_variable(inner) || names_credential(words)))
}

/// Matches `xxxx…`, `****`, `sk-xxxx`, `sk-...abcd`: one character over and over, or dots for an omitted
/// part.
fn is_masked(text: &str) -> bool {
    const FILLERS: [char; 11] = ['x', 'X', '*', '•', '●', '·', '.', '?', '_', '-', '#'];
    let is_filled = |text: &str| {
        let mut fillers = FILLERS.iter();
        let is_one = fillers.any(|filler| text.chars().all(|c| c == *filler));
        is_one && text.chars().count() >= WORDY
    };
    let last = text.rsplit(['-', '_']).next().unwrap_or_default();
    let runs = ["***", "••", "●●", "...", "…", "xxxxxx", "XXXXXX"];
    is_filled(text) || is_filled(last) || runs.iter().any(|run| text.contains(run))
}

/// Matches `${NAME}`, `$(command)`, `{{ name }}`, `<%= name %>`, `%NAME%`, `$NAME`, `$env:NAME`, `#{name}`.
fn is_template(text: &str) -> bool {
    const PAIRS: [(&str, &str); 8] = [
        ("${", "}"),
        ("$(", ")"),
        ("$[", "]"),
        ("{{", "}}"),
        ("{%", "%}"),
        ("<%", "%>"),
        ("#{", "}"),
        ("%(", ")s"),
    ];
    let between = |(open, close): &(&str, &str)| {
        let (_, rest) = text.split_once(open)?;
        let (inner, _) = rest.split_once(close)?;
        Some(inner.trim())
    };
    // A key may contain any of these characters, but not with a name between them.
    let is_inner = |inner: &str| {
        let first = inner.split([' ', ':', '|', '(', '[', '"', '\'']).next();
        first.is_some_and(|first| is_name(first.trim_matches(['.', '=', '-', '$', '#'])))
    };
    let lower = text.to_ascii_lowercase();
    let of_windows = text
        .strip_prefix('%')
        .and_then(|rest| rest.strip_suffix('%'));
    let of_shell = text.strip_prefix('$');
    let is_known = |name: &str| is_variable(name) || CREDENTIALS.contains(&&*name.to_lowercase());
    PAIRS.iter().filter_map(between).any(is_inner)
        || PAIRS.iter().any(|(open, _)| text.starts_with(open))
        || of_windows.is_some_and(|name| is_wordy(name) || (is_name(name) && name.len() < WORDY))
        || of_shell.is_some_and(is_known)
        || is_variable(text)
        || ["$env:", "process.env", "os.environ", "os.getenv", "%!"]
            .iter()
            .any(|begin| lower.starts_with(begin) && !lower.contains('='))
}

/// Matches `null`, `true`, `<nil>`, `(null)`.
fn is_literal(text: &str) -> bool {
    const LITERALS: &str = "null nil none true false undefined nan {} [] \"\" ''";
    let bare = text.trim_matches(['(', ')', '<', '>']);
    LITERALS
        .split(' ')
        .any(|literal| bare.eq_ignore_ascii_case(literal))
}

/// Matches the ciphertexts of sops, Jasypt, Ansible, Spring and Vault's transit engine.
fn is_ciphertext(text: &str) -> bool {
    ["ENC[", "ENC(", "$ANSIBLE_VAULT", "{cipher}"]
        .iter()
        .any(|begin| text.starts_with(begin))
        || text
            .strip_prefix("vault:v")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Matches a text whose first of several lines is `[name]`.
fn is_section(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default().trim_end();
    let inner = first
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.map(|inner| inner.trim_matches(['[', ']', '"']));
    inner.is_some_and(|inner| is_name(inner) && !is_literal(inner)) && text.contains('\n')
}

fn begins_or_ends_like_json(text: &str) -> bool {
    text.starts_with(['{', '[', '}', ']']) || text.ends_with(['{', '[', '}', ']'])
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Matches every quotation mark that people and word processors write, and the backslash of a quote escaped
/// in JSON.
fn is_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | '´' | 'ʹ'..='ʼ' | '«' | '»' | '‘'..='‟' | '′'..='›' | '❛'..='❞' | '「'..='』' | '〝'..='〟' | '＂' | '＇' | '\\'
    )
}

/// Matches `Authorization: …`, `x-api-key: …`, `Bearer …`.
fn is_header(text: &str) -> bool {
    const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "apikey", "digest", "key"];
    let text = text.strip_prefix("-H").unwrap_or(text).trim_start();
    let begins = |word: &str| {
        let head = text.get(..word.len());
        let is_word = head.is_some_and(|head| head.eq_ignore_ascii_case(word));
        let rest = text.get(word.len()..).unwrap_or_default();
        is_word && rest.starts_with(char::is_whitespace)
    };
    SCHEMES.iter().any(|scheme| begins(scheme))
        || text.eq_ignore_ascii_case("bearer")
        || text.split_once(':').is_some_and(|(name, value)| {
            let is_http = |name: &str| {
                let lower = name.trim().to_ascii_lowercase();
                lower.ends_with("authorization")
                    || lower.ends_with("-api-key")
                    || lower == "api-key"
            };
            is_http(name) && !value.is_empty()
        })
}

/// Matches `NAME=…`, `export NAME=…`, `set NAME=…`, `$env:NAME = …`, `api_key:…`.
fn is_assignment(text: &str) -> bool {
    const KEYWORDS: [&str; 11] = [
        "export", "set", "setx", "declare", "local", "let", "const", "var", "env", "SET", "ENV",
    ];
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let told = match KEYWORDS.contains(&first) {
        true => Some(rest.trim_start()),
        false => ["$env:", "Environment="]
            .iter()
            .find_map(|begin| text.strip_prefix(begin)),
    };
    if told.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')) {
        return true;
    }
    if let Some((name, value)) = text.split_once(':')
        && is_name(name.trim())
        && names_credential(name)
        && !value.is_empty()
    {
        return true;
    }
    let Some((name, value)) = text.split_once('=') else {
        return false;
    };
    let name = name.trim_end_matches([':', '+', '?']).trim();
    let value = value.trim_start_matches(['=', '>']).trim();
    // Base64 text may end with `=`, which no value follows.
    match value.is_empty() {
        true => is_variable(name),
        false => {
            let tells = redact::begins_like_a_key(value) || value.starts_with(is_quote);
            is_wordy(name) || (is_name(name) && tells)
        }
    }
}

fn is_yaml(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let is_pair = first.split_once(':').is_some_and(|(name, value)| {
        let is_cut = value.is_empty() && first.len() < text.len();
        is_name(name.trim_start_matches("- ")) && (is_cut || value.starts_with(' '))
    });
    let is_name_alone = text.strip_suffix(':').is_some_and(is_name);
    let begins = ["--- ", "- ", "? "]
        .iter()
        .any(|begin| text.starts_with(begin));
    first == "---" || begins || is_pair || is_name_alone
}

/// Matches a path on this machine or in a source. Base64 text can begin with `/` too, but has capital
/// letters.
fn is_path(text: &str) -> bool {
    const ROOTS: &str =
        "./ ../ ~/ /etc/ /home/ /mnt/ /opt/ /root/ /run/ /tmp/ /usr/ /var/ /Users/ secret/";
    let is_small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-".contains(c);
    let is_lower = text.starts_with('/') && text[1..].contains('/') && text.chars().all(is_small);
    is_lower || ROOTS.split(' ').any(|root| text.starts_with(root))
}

/// Matches an ARN, a URL, `vault:secret/…`, a path on this machine.
fn is_reference(text: &str) -> bool {
    const STORES: &str = "vault bao openbao ssm secretsmanager asm aws-sm aws-ssm gcp-sm azure-kv \
                          keyvault secret secrets ref file env sops data";
    let is_scheme = |scheme: &str| {
        let mut chars = scheme.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    let is_drive = |text: &str| {
        let bytes = text.as_bytes();
        bytes.len() > 3 && bytes[0].is_ascii_alphabetic() && &bytes[1..3] == b":\\"
    };
    let in_store = |(store, rest): (&str, &str)| {
        let store = store.to_ascii_lowercase();
        let is_store = STORES.split_whitespace().any(|known| known == store);
        is_store && (rest.contains('/') || is_variable(rest))
    };
    let arn = text.splitn(6, ':').collect::<Vec<_>>();
    matches!(arn[..], ["arn", partition, _, _, _, _] if partition.starts_with("aws"))
        || text
            .split_once("://")
            .is_some_and(|(scheme, _)| is_scheme(scheme))
        || text.split_once(':').is_some_and(in_store)
        || is_path(text)
        || (text.starts_with("projects/") && text.contains("/secrets/"))
        || text
            .to_ascii_lowercase()
            .starts_with("@microsoft.keyvault(")
        || is_drive(text)
}

#[cfg(test)]
mod tests;
