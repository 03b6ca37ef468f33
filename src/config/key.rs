//! `[keys.…]`.

use std::time::Duration;

use serde_json::json;

use super::rotate::{ROTATE, Rotate};
use super::verify::{VERIFY, Verify};
use crate::document::FieldMap;
use crate::model::{AiType, KeyId};
use crate::redact;
use crate::setting::plain;
use crate::setting::tree::Tree;
use crate::setting::value_types::number::SWITCH;
use crate::setting::value_types::place::{ENDPOINT, IN_SOURCE};
use crate::setting::value_types::text::{FIELD, SHORT, TEXT, words};
use crate::setting::value_types::time::{RHYTHM, Rhythm, WATCH};
use crate::setting::{Choice, Input, Reader, Shape, Span, ValueType, settings};

settings! {
    /// The settings of a key, as they are written.
    pub table KeyTable {
        /// Its name in Flashback, unique in the workspace. Default: the key's id.
        name: String = NAME, Optional;
        /// The provider: OPENAI, GOOGLE, ANTHROPIC, AWS or OTHER.
        ai_type: AiType = AI_TYPE, RequiredOrInherited;
        /// The provider's base URL. OPENAI, ANTHROPIC and GOOGLE have a default; AWS and OTHER need one.
        endpoint: String = ENDPOINT, Optional;
        /// The source it is in: the name of a `[sources.…]` table.
        source: String = TEXT, RequiredOrInherited;
        /// Where in the source. Vault: below the mount. AWS: a secret's name or ARN. Files: below the directory.
        path: String = IN_SOURCE, Required;
        /// Which stored fields are the credentials. Can be left out where the secret is one plain text or has one field.
        fields: FieldMap = FIELDS, Optional;
        /// When it is looked at, as in `[schedule]`. Default: what stands there.
        check: Rhythm = RHYTHM, Optional;
        /// Its workspace. Default: that of `[flashback]`.
        workspace_id: String = SHORT, Optional;
        /// How old the live version may be before people are warned that it is to be rotated; "off" for no limit, which is the default.
        max_age: Option<Duration> = WATCH, Optional;
        /// Its own verification; what is left out is taken from `[verify]`.
        verify: Verify = VERIFY, Optional;
        /// How it is rotated by this program: a new key is made at its provider, stored in the source, and the old one revoked once the new one is live and verified.
        rotate: Rotate = ROTATE, Optional;
        /// "configuration": the key is written into a configuration of its own; "stored-key": into a stored key, from which others take it.
        stored("target"): bool = TARGET, Default;
        /// The stored key's id in Flashback.
        api_key_id: String = ID, Optional;
        /// The stored key's description, unique in the workspace, where its id is not given.
        description: String = ID, Optional;
        /// Whether a stored key that is not there is created.
        create: bool = SWITCH, Default;
        /// Whether it is looked at at all.
        enabled: bool = SWITCH, Default;
    }
}

/// A key, as its own table describes it.
pub struct Key {
    /// The name of its table.
    pub id: KeyId,
    /// The place of its table in the files.
    pub span: Span,
    /// The settings in its table.
    pub table: KeyTable,
}

/// The settings of `[keys.…]`, for the schema.
pub const KEYS: ValueType<()> = ValueType::described(Shape::Ids(&Shape::Table(KeyTable::ALL)));

/// Reads all `[keys.…]` tables.
pub fn read(root: &mut Reader<'_, '_>) -> Vec<Key> {
    let keys = root.entries("keys", "key", read_one);
    keys.into_iter().flatten().collect()
}

fn read_one(id: &str, input: &mut Input<'_>) -> Option<Key> {
    let examples = input.defaults.clone();
    let mut input = input.table("the key's settings below `[keys.ID]`")?;
    input.only(KeyTable::ALL);
    // The defaults that do not depend on the provider stand in the example for OpenAI, and each provider's
    // endpoint in the example for that provider.
    input.of_variant(KeyTable::ai_type.name, AiType::Openai.as_str());
    let mut table = KeyTable::read(&mut input);
    if let (None, Some(ai_type @ (AiType::Openai | AiType::Anthropic | AiType::Google))) =
        (table.endpoint.span, table.ai_type.value)
    {
        table.endpoint.value = endpoint(&examples, ai_type).map(str::to_owned);
    }
    Some(Key {
        id: KeyId::new(id),
        span: input.span,
        table,
    })
}

/// Returns the endpoint of a provider in the reference configuration.
fn endpoint<'a>(examples: &[&'a Tree], ai_type: AiType) -> Option<&'a str> {
    let is_of = |tree: &&&Tree| tree.text(KeyTable::ai_type.name) == Some(ai_type.as_str());
    examples.iter().find(is_of)?.text(KeyTable::endpoint.name)
}

/// Returns the endpoints of the providers that have one, from the `[keys.…]` tables of the reference configuration.
pub fn endpoints(reference: &Tree) -> Vec<(AiType, String)> {
    let keys = reference.table("keys");
    let examples: Vec<&Tree> = keys.into_iter().flat_map(Tree::tables).collect();
    [AiType::Openai, AiType::Anthropic, AiType::Google]
        .into_iter()
        .filter_map(|ai_type| Some((ai_type, endpoint(&examples, ai_type)?.to_owned())))
        .collect()
}

/// The words of the providers.
pub const AI_TYPES: Choice<AiType> = &[
    ("OPENAI", AiType::Openai),
    ("GOOGLE", AiType::Google),
    ("ANTHROPIC", AiType::Anthropic),
    ("AWS", AiType::Aws),
    ("OTHER", AiType::Other),
];

const AI_TYPE: ValueType<AiType> = ValueType {
    shape: Shape::Text(|| words(AI_TYPES)),
    read: |input| input.choice(AI_TYPES),
};

const TARGETS: Choice<bool> = &[("configuration", false), ("stored-key", true)];

const TARGET: ValueType<bool> = ValueType {
    shape: Shape::Text(|| words(TARGETS)),
    read: |input| input.choice(TARGETS),
};

/// A key's name, which people make up: nothing random.
const NAME: ValueType<String> = ValueType {
    shape: SHORT.shape,
    read: |input| {
        let name = (SHORT.read)(input)?;
        if redact::is_long_and_random(&name) {
            input.wrong(plain::KEY).help(plain::MOVE_KEY);
            return None;
        }
        Some(name)
    },
};

/// An id or a description as Flashback has it.
const ID: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1, "maxLength": 512 })),
    read: |input| {
        let text = input.text("…")?;
        if text.chars().count() > LONGEST_ID {
            input
                .wrong("is longer than 512 characters")
                .help("write it as Flashback shows it");
            return None;
        }
        Some(text.to_owned())
    },
};

/// The longest id or description that is taken of Flashback, in characters.
const LONGEST_ID: usize = 512;

settings! {
    /// The settings of `fields`, as they are written.
    table FieldTable fills FieldMap {
        /// The stored field that is Flashback's `secret`: its name, or a JSON pointer that begins with `/`. Default: the only field there is.
        secret: String = FIELD, Optional;
        /// The stored field that is Flashback's `key`, for providers whose credentials are a pair (AWS: the access key id).
        key: String = FIELD, Optional;
    }
}

/// `fields`.
pub const FIELDS: ValueType<FieldMap> = ValueType {
    shape: Shape::Table(FieldTable::ALL),
    read: |input| {
        let mut table = input.table("`fields = { secret = \"api_key\" }`")?;
        table.only(FieldTable::ALL);
        let read = FieldTable::read(&mut table);
        // One that is wrong makes the whole wrong: it is not to be called missing as well.
        let is_wrong = read.key.value.is_none() && read.key.span.is_some();
        read.finish().filter(|_| !is_wrong)
    },
};
