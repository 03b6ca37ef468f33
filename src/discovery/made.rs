//! What a listed secret is as a key.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::rule::Rule;
use crate::document::FieldMap;
use crate::model::{AiType, KeyId, RuleId, Settings, Target, WorkspaceId};
use crate::redact;
use crate::setting::value_types::place;
use crate::setting::value_types::text::is_pointer;
use crate::source::Listed;
use crate::words::LONGEST_NAME;

/// What a secret is as a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The settings of its configuration in Flashback.
    pub settings: Settings,
    /// The fields that hold the credentials.
    pub fields: FieldMap,
}

/// The custom metadata, or tags, with which a secret says something about itself that goes before the rule.
///
/// Neither the workspace nor the endpoint is among them: who may tag a secret is often not who may read it, and both
/// decide who gets the key. A rule whose template names such an entry takes it from there all the same.
const NAME: &str = "flashback_name";
const AI_TYPE: &str = "flashback_ai_type";
const SECRET_FIELD: &str = "flashback_secret_field";
const KEY_FIELD: &str = "flashback_key_field";
const ENABLED: &str = "flashback_enabled";

/// The longest id of a key, in characters.
const LONGEST_ID: usize = 100;

/// The number of bytes of a digest that make an id unique.
const DIGEST: usize = 5;

/// Returns `true` unless the secret itself says that it is none of the keys.
pub fn is_enabled(listed: &Listed) -> bool {
    said(listed, ENABLED).is_none_or(|enabled| enabled.trim() != "false")
}

/// Returns what a secret is as a key.
///
/// # Errors
/// Returns why it cannot be one, as a sentence for people that repeats nothing of the secret's metadata.
pub fn make(rule: &Rule, listed: &Listed) -> Result<Made, String> {
    let path = &listed.path;
    if redact::is_a_key(path) || redact::is_long_and_random(path) {
        return Err("its path looks like a key or token".to_owned());
    }
    let ai_type = ai_type(rule, listed)?;
    let fields = fields(rule, listed)?;
    if ai_type == AiType::Aws && fields.key.is_none() {
        return Err("AWS credentials are a pair: `fields` names no `key`".to_owned());
    }
    if fields.key.is_some() && fields.secret.is_none() {
        return Err("with two fields, both are named: `fields` names no `secret`".to_owned());
    }
    Ok(Made {
        settings: Settings {
            workspace_id: workspace(rule, listed)?,
            name: name(rule, listed)?,
            ai_type,
            endpoint: endpoint(rule, listed, ai_type)?,
            target: Target::Configuration,
        },
        fields,
    })
}

/// Returns the id of the key that a rule makes of a path: the same in each process, and another for each path.
pub fn key_id(rule: &RuleId, path: &str) -> KeyId {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/');
    let plain: String = path
        .chars()
        .map(|c| match c {
            '/' => '.',
            c if fits(c) => c,
            _ => '_',
        })
        .collect();
    let id = format!("{rule}.{plain}");
    if path.chars().all(fits) && id.len() <= LONGEST_ID {
        return KeyId::new(id);
    }
    // Another path may look the same by now: the digest tells them apart.
    let digest = Sha256::digest(path.as_bytes());
    let digest = digest.iter().take(DIGEST).map(|byte| format!("{byte:02x}"));
    let room = LONGEST_ID - 2 * DIGEST - 1;
    let begin = &id[..id.len().min(room)];
    KeyId::new(format!("{begin}-{}", digest.collect::<String>()))
}

fn name(rule: &Rule, listed: &Listed) -> Result<String, String> {
    let name = match said(listed, NAME) {
        Some(name) => name.to_owned(),
        None => render("name", &rule.name, listed)?,
    };
    let name = short("name", &name)?.ok_or("`name` is empty")?;
    match redact::is_long_and_random(&name) {
        true => Err("`name` looks like a key or token".to_owned()),
        false => Ok(name),
    }
}

fn ai_type(rule: &Rule, listed: &Listed) -> Result<AiType, String> {
    let word = match said(listed, AI_TYPE) {
        Some(word) => word.to_owned(),
        None => render("ai_type", &rule.ai_type, listed)?,
    };
    let known = AiType::ALL.into_iter();
    let mut known = known.filter(|ai_type| ai_type.as_str() == word.trim());
    let none = || "`ai_type` is none of OPENAI, GOOGLE, ANTHROPIC, AWS and OTHER".to_owned();
    known.next().ok_or_else(none)
}

fn workspace(rule: &Rule, listed: &Listed) -> Result<WorkspaceId, String> {
    let own = render("workspace_id", &rule.workspace_id, listed)?;
    let own = short("workspace_id", &own)?;
    let workspace = own.or_else(|| rule.general_workspace.clone());
    let none = || "it has no workspace: `workspace_id` is empty, here and in `[flashback]`";
    Ok(WorkspaceId::new(workspace.ok_or_else(none)?))
}

fn endpoint(rule: &Rule, listed: &Listed, ai_type: AiType) -> Result<String, String> {
    let own = match &rule.endpoint {
        Some(template) => short("endpoint", &render("endpoint", template, listed)?)?,
        None => None,
    };
    if let Some(own) = own {
        return match place::web_problem(&own) {
            Some(problem) => Err(format!("`endpoint` {problem}")),
            None => Ok(own),
        };
    }
    let mut known = rule.endpoints.iter().filter(|(of, _)| *of == ai_type);
    let none = || format!("`endpoint` is missing: {} has no default", ai_type.as_str());
    known.next().map(|(_, own)| own.clone()).ok_or_else(none)
}

fn fields(rule: &Rule, listed: &Listed) -> Result<FieldMap, String> {
    let own = |name: &str, of_rule: &Option<String>| match said(listed, name) {
        None => Ok(of_rule.clone()),
        Some(field) if is_pointer(field) => short(name, field),
        Some(_) => Err(format!("`{name}` is not a JSON pointer")),
    };
    Ok(FieldMap {
        key: own(KEY_FIELD, &rule.fields.key)?,
        secret: own(SECRET_FIELD, &rule.fields.secret)?,
    })
}

fn render(setting: &str, template: &super::Template, listed: &Listed) -> Result<String, String> {
    let none = |of| format!("`{setting}` has no value: the secret has nothing for `{of}`");
    let (path, metadata) = (&listed.path, listed.metadata.as_ref());
    let rendered = match metadata {
        Some(metadata) => template.render(path, metadata),
        None => template.render(path, &BTreeMap::new()),
    };
    rendered.map_err(none)
}

/// Returns an entry of the secret's own metadata.
fn said<'a>(listed: &'a Listed, name: &str) -> Option<&'a str> {
    listed.metadata.as_ref()?.get(name).map(String::as_str)
}

/// Returns a text that Flashback and people may see, without white space around it; `None` if nothing is left.
fn short(setting: &str, text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    let problem = match text {
        _ if text.chars().any(char::is_control) => "has a control character in it",
        _ if redact::is_a_key(text) => "looks like a key or token",
        _ if text.chars().count() > LONGEST_NAME => "is too long",
        _ => return Ok(Some(text.to_owned()).filter(|text| !text.is_empty())),
    };
    Err(format!("`{setting}` {problem}"))
}
