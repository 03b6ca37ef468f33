//! `[keys.…]`.

use std::time::Duration;

use super::{Form, Look, Need, Setting, Settings, Shape, check_id, settings};
use crate::config::plain;
use crate::config::tables::verify::{self, Verify};
use crate::config::tree::{Span, Tree, join};
use crate::config::value_types::time::{RHYTHM, Rhythm, WATCH};
use crate::config::value_types::{self, Choice, FIELD, SHORT, SWITCH, TEXT, place};
use crate::document::FieldMap;
use crate::model::{AiType, KeyId, SourceId};
use crate::redact;

/// A key as far as its own table says. `None` is what was left out, or is wrong.
pub(in crate::config) struct Key {
    pub(in crate::config) id: KeyId,
    pub(in crate::config) span: Span,
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) ai_type: Option<AiType>,
    pub(in crate::config) endpoint: Option<String>,
    pub(in crate::config) workspace_id: Option<String>,
    pub(in crate::config) source: Option<SourceId>,
    pub(in crate::config) path: Option<String>,
    pub(in crate::config) fields: Option<FieldMap>,
    pub(in crate::config) check: Option<Rhythm>,
    pub(in crate::config) verify: Verify,
    pub(in crate::config) max_age: Option<Option<Duration>>,
    pub(in crate::config) enabled: Option<bool>,
    /// Whether it is a stored key, and not a configuration.
    pub(in crate::config) stored: Option<bool>,
    pub(in crate::config) api_key_id: Option<String>,
    pub(in crate::config) description: Option<String>,
    pub(in crate::config) create: Option<bool>,
    /// Where things were written, so that what is wrong is not also called missing.
    pub(in crate::config) written: Written,
}

/// Where a key's settings were written, right or wrong.
pub(in crate::config) struct Written {
    pub(in crate::config) name: Option<Span>,
    pub(in crate::config) endpoint: Option<Span>,
    pub(in crate::config) workspace_id: Option<Span>,
    pub(in crate::config) source: Option<Span>,
    pub(in crate::config) path: Option<Span>,
    pub(in crate::config) fields: Option<Span>,
    pub(in crate::config) api_key_id: Option<Span>,
    pub(in crate::config) description: Option<Span>,
    pub(in crate::config) create: Option<Span>,
}

const AI_TYPES: Choice<AiType> = &[
    ("OPENAI", AiType::Openai),
    ("GOOGLE", AiType::Google),
    ("ANTHROPIC", AiType::Anthropic),
    ("AWS", AiType::Aws),
    ("OTHER", AiType::Other),
];

const AI_TYPE_FORM: Form<AiType> = Form {
    shape: Shape::Text(|| value_types::words(AI_TYPES)),
    read: |look| look.choice(AI_TYPES),
};

const TARGETS: Choice<bool> = &[("configuration", false), ("stored-key", true)];

const TARGET_FORM: Form<bool> = Form {
    shape: Shape::Text(|| value_types::words(TARGETS)),
    read: |look| look.choice(TARGETS),
};

/// A key's name, which people make up: nothing random.
const NAME_FORM: Form<String> = Form {
    shape: SHORT.shape,
    read: |look| {
        let name = (SHORT.read)(look)?;
        if redact::is_long_and_random(&name) {
            look.wrong(plain::KEY).help(plain::MOVE_KEY);
            return None;
        }
        Some(name)
    },
};

/// An id or a description as Flashback has it.
const ID: Form<String> = Form {
    shape: Shape::Text(
        || serde_json::json!({ "type": "string", "minLength": 1, "maxLength": 512 }),
    ),
    read: |look| {
        let text = look.text("…")?;
        if text.chars().count() > LONGEST_ID {
            look.wrong("is longer than 512 characters")
                .help("write it as Flashback shows it");
            return None;
        }
        Some(text.to_owned())
    },
};

/// The longest id or description that is taken of Flashback, in characters.
const LONGEST_ID: usize = 512;

mod fields {
    use super::*;
    settings! {
        /// The stored field that is Flashback's `secret`: its name, or a JSON pointer that begins with `/`. Default: the only field there is.
        SECRET: String = "secret", Optional, FIELD;
        /// The stored field that is Flashback's `key`, for providers whose credentials are a pair (AWS: the access key id).
        KEY: String = "key", Optional, FIELD;
    }
}

const FIELDS_FORM: Form<FieldMap> = Form {
    shape: Shape::Table(fields::ALL),
    read: |look| {
        let mut table = look.table("`fields = { secret = \"api_key\" }`")?;
        table.only(fields::ALL);
        let (key, secret) = (table.get(&fields::KEY), table.get(&fields::SECRET));
        // One that is wrong makes the whole wrong: it is not to be called missing as well.
        let is_wrong = key.is_none() && table.written(&fields::KEY).is_some();
        (!is_wrong).then_some(FieldMap { key, secret })
    },
};

settings! {
    /// Its name in Flashback, unique in the workspace. Default: the key's id.
    NAME: String = "name", Optional, NAME_FORM;
    /// The provider: OPENAI, GOOGLE, ANTHROPIC, AWS or OTHER.
    AI_TYPE: AiType = "ai_type", RequiredOrInherited, AI_TYPE_FORM;
    /// The provider's base URL. OPENAI, ANTHROPIC and GOOGLE have a default; AWS and OTHER need one.
    ENDPOINT: String = "endpoint", Optional, place::ENDPOINT;
    /// The source it is in: the name of a `[sources.…]` table.
    SOURCE: String = "source", RequiredOrInherited, TEXT;
    /// Where in the source. Vault: below the mount. AWS: a secret's name or ARN. Files: below the directory.
    PATH: String = "path", Required, place::IN_SOURCE;
    /// Which stored fields are the credentials. Can be left out where the secret is one plain text or has one field.
    FIELDS: FieldMap = "fields", Optional, FIELDS_FORM;
    /// When it is looked at, as in `[schedule]`. Default: what stands there.
    CHECK: Rhythm = "check", Optional, RHYTHM;
    /// Its workspace. Default: that of `[flashback]`.
    WORKSPACE_ID: String = "workspace_id", Optional, SHORT;
    /// How old the live version may be before people are warned that it is to be rotated; "off" for no limit, which is the default.
    MAX_AGE: Option<Duration> = "max_age", Optional, WATCH;
    /// Its own verification; what is left out is taken from `[verify]`.
    VERIFY: Verify = "verify", Optional, verify::VERIFY;
    /// "configuration": the key is written into a configuration of its own; "stored-key": into a stored key, from which others take it.
    TARGET: bool = "target", Default, TARGET_FORM;
    /// The stored key's id in Flashback.
    API_KEY_ID: String = "api_key_id", Optional, ID;
    /// The stored key's description, unique in the workspace, where its id is not given.
    DESCRIPTION: String = "description", Optional, ID;
    /// Whether a stored key that is not there is created.
    CREATE: bool = "create", Default, SWITCH;
    /// Whether it is looked at at all.
    ENABLED: bool = "enabled", Default, SWITCH;
}

/// `[keys]`.
pub(in crate::config) const KEYS: Form<Vec<Key>> = Form {
    shape: Shape::Ids(&Shape::Table(ALL)),
    read: |look| {
        let table = look.table("`[keys.ID]` and the key's settings below it")?;
        let mut keys = Vec::new();
        for entry in &table.tree.entries {
            if !check_id(&entry.name, entry.name_span, "key", table.diagnostics) {
                continue;
            }
            keys.extend(read(
                &mut Look {
                    node: &entry.node,
                    path: &join(table.path, &entry.name),
                    default: table.default,
                    variable: None,
                    diagnostics: table.diagnostics,
                },
                &entry.name,
            ));
        }
        Some(keys)
    },
};

fn read(look: &mut Look<'_>, id: &str) -> Option<Key> {
    let examples = look.default;
    let mut table = look.table("the key's settings below `[keys.ID]`")?;
    table.only(ALL);
    let ai_type = table.get(&AI_TYPE);
    // What every key has stands in the first example; each provider's endpoint in its own.
    table.default = examples.and_then(|tree| example(tree, AiType::Openai));
    let written = Written {
        name: table.written(&NAME),
        endpoint: table.written(&ENDPOINT),
        workspace_id: table.written(&WORKSPACE_ID),
        source: table.written(&SOURCE),
        path: table.written(&PATH),
        fields: table.written(&FIELDS),
        api_key_id: table.written(&API_KEY_ID),
        description: table.written(&DESCRIPTION),
        create: table.written(&CREATE),
    };
    let endpoint = match (written.endpoint, ai_type) {
        (None, Some(ai_type @ (AiType::Openai | AiType::Anthropic | AiType::Google))) => {
            let default = examples.and_then(|tree| example(tree, ai_type)?.text("endpoint"));
            default.map(str::to_owned)
        }
        _ => table.get(&ENDPOINT),
    };
    Some(Key {
        id: KeyId::new(id),
        span: table.span,
        name: table.get(&NAME),
        ai_type,
        endpoint,
        workspace_id: table.get(&WORKSPACE_ID),
        source: table.get(&SOURCE).map(SourceId::new),
        path: table.get(&PATH),
        fields: table.get(&FIELDS),
        check: table.get(&CHECK),
        verify: table.get(&VERIFY).unwrap_or_default(),
        max_age: table.get(&MAX_AGE),
        enabled: table.get(&ENABLED),
        stored: table.get(&TARGET),
        api_key_id: table.get(&API_KEY_ID),
        description: table.get(&DESCRIPTION),
        create: table.get(&CREATE),
        written,
    })
}

/// The reference configuration's key of a provider: the defaults that depend on the provider
/// stand there.
fn example(keys: &Tree, ai_type: AiType) -> Option<&Tree> {
    keys.tables()
        .find(|tree| tree.text("ai_type") == Some(ai_type.as_str()))
}
