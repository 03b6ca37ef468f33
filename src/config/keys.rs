//! Completes the keys from the general tables, and makes the checks that need more than a key's own table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::key::Key;
use super::providers::Providers;
use super::rotations::check_rotations;
use super::sources::Sources;
use super::verify::Verify;
use crate::model::{
    AiLlmId, AiType, Check, CronLine, KeyConfig, KeyId, Origin, Settings, SourceId, Target,
    WorkspaceId,
};
use crate::setting::mask::shown_name;
use crate::setting::value_types::time::Rhythm;
use crate::setting::{Diagnostics, Span};

/// The defaults for settings that a key leaves out.
pub struct General {
    /// `true` if there is a general `workspace_id`, even an invalid one.
    pub names_workspace: bool,
    pub workspace_id: Option<String>,
    pub check: Option<Rhythm>,
    pub check_with_events: Option<Duration>,
    pub timezone: Option<String>,
    pub verify: Verify,
}

/// Checks and completes the keys. Returns `None` if one is invalid, after reporting it to `diagnostics`.
pub fn check_keys(
    mut keys: Vec<Key>,
    sources: &Sources,
    providers: &Providers,
    general: &General,
    diagnostics: &mut Diagnostics,
) -> Option<BTreeMap<KeyId, Arc<KeyConfig>>> {
    // In the order of the file, so that of two keys with one name the later is reported.
    keys.sort_by_key(|key| key.span);
    check_workspaces(&keys, general, diagnostics);
    check_rotations(&keys, providers, diagnostics);
    let mut names: HashMap<(bool, String, String), Span> = HashMap::new();
    let mut configs = Some(BTreeMap::new());
    for key in keys {
        let source = key.table.source.value.as_ref().map(SourceId::new);
        if let (Some(id), Some(span)) = (&source, key.table.source.span)
            && sources.knows(id, span, diagnostics)
            && let (Some(path), Some(span)) = (&key.table.path.value, key.table.path.span)
        {
            sources.check_path(id, path, span, diagnostics);
        }
        check_needs(&key, diagnostics);
        check_pair(&key, diagnostics);
        let (name, name_span) = check_target(&key, diagnostics);
        let workspace = match key.table.workspace_id.span {
            Some(_) => key.table.workspace_id.value.clone(),
            None => general.workspace_id.clone(),
        };
        let span = name_span.unwrap_or(key.span);
        let kind = key.table.stored.value == Some(true);
        if let (Some(name), Some(workspace)) = (&name, &workspace)
            && let Some(first) = names.insert((kind, workspace.clone(), name.clone()), span)
        {
            diagnostics
                .mistake(span, same_name(kind).0)
                .help(same_name(kind).1)
                .also(first, "the other is here");
        }
        let id = key.id.clone();
        let config = finish_key(key, name, workspace, general);
        configs = match (configs, config) {
            (Some(mut configs), Some(config)) => {
                configs.insert(id, Arc::new(config));
                Some(configs)
            }
            _ => None,
        };
    }
    configs
}

/// Returns the message and the help for two keys that would be written to the same place.
fn same_name(stored: bool) -> (&'static str, &'static str) {
    match stored {
        false => (
            "two keys have the same name in the same workspace",
            "a name stands for one configuration in Flashback: give each key its own `name`, or its own `workspace_id`",
        ),
        true => (
            "two keys have the same stored key",
            "one secret belongs in a stored key: leave one of them out",
        ),
    }
}

/// Returns the name of a key in Flashback and the place where it is written: a configuration's name, or a stored
/// key's description or id.
fn check_target(key: &Key, diagnostics: &mut Diagnostics) -> (Option<String>, Option<Span>) {
    let table = &key.table;
    if table.stored.value != Some(true) {
        report_misplaced(key, diagnostics);
        return match table.name.span {
            Some(span) => (table.name.value.clone(), Some(span)),
            None => (Some(key.id.as_str().to_owned()), None),
        };
    }
    if let Some(span) = table.name.span {
        diagnostics
            .mistake(span, "`name` belongs to a configuration")
            .help("a stored key is known by `api_key_id` or by `description`");
    }
    match (table.api_key_id.span, table.description.span) {
        (Some(_), Some(span)) => {
            diagnostics
                .mistake(
                    span,
                    "`api_key_id` and `description` both say which stored key it is",
                )
                .help("write one of the two: the id is safer, and a description survives a new id");
            (None, None)
        }
        (Some(span), None) => {
            if let (Some(create), Some(true)) = (table.create.span, key.table.create.value) {
                diagnostics
                    .mistake(create, "a stored key of a given id cannot be created")
                    .help("Flashback gives the ids: write `description` instead of `api_key_id`");
            }
            (key.table.api_key_id.value.clone(), Some(span))
        }
        (None, Some(span)) => (key.table.description.value.clone(), Some(span)),
        (None, None) => {
            let id = shown_name(key.id.as_str());
            diagnostics
                .missing(
                    key.span,
                    format!("`api_key_id` is missing in `[keys.{id}]`"),
                )
                .help("say which stored key it is: `api_key_id = \"…\"`, or `description = \"…\"`");
            (None, None)
        }
    }
}

/// Reports settings that apply only to a stored key in the table of a configuration.
fn report_misplaced(key: &Key, diagnostics: &mut Diagnostics) {
    let table = &key.table;
    let create = table.create.span;
    let misplaced = [
        ("api_key_id", table.api_key_id.span),
        ("description", table.description.span),
        (
            "create",
            create.filter(|_| table.create.value == Some(true)),
        ),
    ];
    for (name, span) in misplaced {
        if let (Some(span), Some(false)) = (span, table.stored.value) {
            diagnostics
                .mistake(span, format!("`{name}` belongs to a stored key"))
                .help("write `target = \"stored-key\"`, or leave it out");
        }
    }
}

/// Checks the settings that a key's provider requires.
fn check_needs(key: &Key, diagnostics: &mut Diagnostics) {
    let id = key.id.as_str();
    if matches!(key.table.ai_type.value, Some(AiType::Aws | AiType::Other))
        && key.table.endpoint.span.is_none()
    {
        let (kind, example) = match key.table.ai_type.value {
            Some(AiType::Aws) => ("AWS", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
            _ => ("OTHER", "https://llm.example.com/v1"),
        };
        diagnostics
            .missing(
                key.span,
                format!("`endpoint` is missing in `[keys.{}]`", shown_name(id)),
            )
            .help(format!(
                "`{kind}` has no default: write `endpoint = \"{example}\"`"
            ));
    }
    let has_key_field = match (&key.table.fields.value, key.table.fields.span) {
        (Some(fields), _) => fields.key.is_some(),
        // `fields` is written but invalid, which has been reported.
        (None, written) => written.is_some(),
    };
    if key.table.ai_type.value == Some(AiType::Aws) && !has_key_field {
        diagnostics
            .missing(
                key.table.fields.span.unwrap_or(key.span),
                format!("`fields.key` is missing in `[keys.{}]`", shown_name(id)),
            )
            .help("AWS credentials are a pair: write `fields = { key = \"AccessKeyId\", secret = \"SecretAccessKey\" }`, with the names your secret has");
    }
}

/// Checks that `fields` names both halves of a pair: neither is the only field.
fn check_pair(key: &Key, diagnostics: &mut Diagnostics) {
    if let (Some(fields), Some(span)) = (&key.table.fields.value, key.table.fields.span)
        && fields.key.is_some()
        && fields.secret.is_none()
    {
        let id = shown_name(key.id.as_str());
        diagnostics
            .missing(span, format!("`fields.secret` is missing in `[keys.{id}]`"))
            .help(
                "with two fields, both are named: write `fields = { key = \"…\", secret = \"…\" }`",
            );
    }
}

/// Reports the keys that neither name a workspace nor have a general one, in one mistake.
fn check_workspaces(keys: &[Key], general: &General, diagnostics: &mut Diagnostics) {
    let mut homeless = keys
        .iter()
        .filter(|key| key.table.workspace_id.span.is_none());
    let (false, Some(first)) = (general.names_workspace, homeless.next()) else {
        return;
    };
    let who = match homeless.count() {
        0 => format!("`[keys.{}]` has", shown_name(first.id.as_str())),
        1 => format!(
            "`[keys.{}]` and one more key have",
            shown_name(first.id.as_str())
        ),
        more => format!(
            "`[keys.{}]` and {more} more keys have",
            shown_name(first.id.as_str())
        ),
    };
    diagnostics
        .missing(first.span, format!("{who} no workspace"))
        .help("write `workspace_id` in `[flashback]` for all keys, or in each of them");
}

fn finish_key(
    key: Key,
    name: Option<String>,
    workspace: Option<String>,
    general: &General,
) -> Option<KeyConfig> {
    let (check, check_with_events) = check_of(key.table.check.value, general)?;
    let stored = key.table.stored.value?;
    let verify = key.table.verify.value.unwrap_or_default();
    let rotate = match (key.table.rotate.value, key.table.rotate.span) {
        (Some(rotate), _) => Some(Box::new(rotate.finish(general.timezone.as_deref())?)),
        (None, Some(_)) => return None,
        (None, None) => None,
    };
    Some(KeyConfig {
        may_create: !stored || key.table.create.value?,
        settings: Settings {
            workspace_id: WorkspaceId::new(workspace?),
            name: name?,
            ai_type: key.table.ai_type.value?,
            endpoint: key.table.endpoint.value?,
            target: match stored {
                false => Target::Configuration,
                true => Target::StoredKey {
                    id: key.table.api_key_id.value.map(AiLlmId::new),
                },
            },
        },
        origin: Origin {
            source: SourceId::new(key.table.source.value?),
            path: key.table.path.value?,
            fields: key.table.fields.value.unwrap_or_default(),
        },
        check,
        check_with_events,
        verify: verify.or(general.verify).finish()?,
        max_age: key.table.max_age.value.flatten(),
        rotate,
        enabled: key.table.enabled.value?,
        rule: None,
    })
}

/// Returns the times of checks, from what a table says or the general tables, and the interval of those that are made
/// while each change in the source is heard of.
pub fn check_of(own: Option<Rhythm>, general: &General) -> Option<(Check, Option<Duration>)> {
    let is_general = own.is_none();
    let check = match own.or_else(|| general.check.clone())? {
        Rhythm::Every(interval) => Check::Every(interval),
        Rhythm::Cron(expression) => Check::Cron(CronLine {
            expression,
            timezone: general.timezone.clone()?,
        }),
    };
    let with_events = match check {
        // Events never make a key be checked more often.
        Check::Every(interval) if is_general => Some(interval.max(general.check_with_events?)),
        _ => None,
    };
    Some((check, with_events))
}
