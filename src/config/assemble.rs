//! From the tables to one [`Config`], and what only shows when all of them are known.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use chrono_tz::Tz;

use super::findings::{Findings, Reference};
use super::form::time::Rhythm;
use super::mask::shown_name;
use super::setting::{Reader, list, suggest};
use super::tables;
use super::tables::key::Key;
use super::tables::source::Source;
use super::tables::verify::Verify;
use super::tree::{Spot, Tree};
use super::{
    Check, Config, CronLine, FlashbackConfig, KeyConfig, SourceConfig, SourceKind, StateConfig,
};
use crate::model::{AiLlmId, AiType, KeyId, Origin, Settings, SourceId, Target, WorkspaceId};

/// Reads the merged tree. `None` where something is wrong, which `findings` has then.
pub(super) fn assemble(
    tree: &Tree,
    reference: &Tree,
    default_state: PathBuf,
    findings: &mut Findings,
) -> Option<Config> {
    let mut root = Reader {
        tree,
        // The first file that is not the reference: what is missing is missing there.
        spot: Spot::new(super::findings::REFERENCE + 1, &(0..0)),
        path: "",
        default: Some(reference),
        findings,
    };
    root.only(tables::ALL);
    let flashback = root.get(&tables::FLASHBACK);
    let state = root.get(&tables::STATE);
    let schedule = root.get(&tables::SCHEDULE);
    let retry = root.get(&tables::RETRY);
    let verify = root.get(&tables::VERIFY);
    let http = root.get(&tables::HTTP);
    let log = root.get(&tables::LOG);
    let sources = root.get(&tables::SOURCES);
    let keys = root.get(&tables::KEYS);

    let sources = Sources::check(sources.unwrap_or_default(), findings);
    let general = General {
        names_workspace: flashback.as_ref().is_none_or(|f| f.names_workspace),
        workspace_id: flashback.as_ref().and_then(|f| f.workspace_id.clone()),
        check: schedule.as_ref().and_then(|s| s.check.clone()),
        timezone: schedule.as_ref().and_then(|s| s.timezone),
        verify: verify.unwrap_or_default(),
    };
    let keys = check_keys(keys.unwrap_or_default(), &sources, &general, findings);
    let (flashback, retry) = (flashback?, retry?);
    Some(Config {
        flashback: FlashbackConfig {
            base_url: flashback.base_url?,
            auth: flashback.auth?,
        },
        watch_edits: flashback.watch_edits?,
        state: state?.unwrap_or(StateConfig::Sqlite {
            path: default_state,
        }),
        resync: schedule?.resync?,
        retry: retry.limits?,
        refused: retry.refused?,
        verify: general.verify.finish()?,
        http_listen: http?.listen?,
        log: log?,
        sources: sources.finish()?,
        keys: keys?,
    })
}

/// What a key takes where it says nothing itself.
struct General {
    names_workspace: bool,
    workspace_id: Option<String>,
    check: Option<Rhythm>,
    timezone: Option<Tz>,
    verify: Verify,
}

/// The sources, the wrong ones too: a key that names one of those names no unknown source.
struct Sources(BTreeMap<SourceId, Option<SourceConfig>>);

impl Sources {
    fn check(read: Vec<Source>, findings: &mut Findings) -> Self {
        let references = std::mem::take(&mut findings.references);
        report_cycles(&read, &references, findings);
        let sources = Self(
            read.into_iter()
                .map(|source| (source.id, source.config))
                .collect(),
        );
        for reference in &references {
            if sources.knows(&reference.source, reference.spot, findings) {
                sources.check_path(
                    &reference.source,
                    &reference.path,
                    reference.path_spot,
                    findings,
                );
            }
        }
        sources
    }

    fn knows(&self, id: &SourceId, spot: Spot, findings: &mut Findings) -> bool {
        if self.0.contains_key(id) {
            return true;
        }
        let names = self.0.keys().map(SourceId::as_str);
        let help = match suggest(id.as_str(), names.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None if self.0.is_empty() => "there is none yet: add `[sources.ID]`".to_owned(),
            None => format!("the sources are {}", list(names).replace(" or ", " and ")),
        };
        findings.missing(spot, "there is no such source").help(help);
        false
    }

    /// A path in a source, as far as the configuration alone can tell.
    fn check_path(&self, source: &SourceId, path: &str, spot: Spot, findings: &mut Findings) {
        let problem = match self.0.get(source).and_then(Option::as_ref).map(|s| &s.kind) {
            Some(SourceKind::File { .. }) if !stays_below(path) => Some((
                "the path leaves the source's directory",
                "write it relative to `dir`, without a leading `/` and without `..`",
            )),
            Some(SourceKind::Vault(_)) if !is_vault_path(path) => Some((
                "this is no path in Vault",
                "write it below the mount, as in `vault kv get -mount=secret llm/openai`: without `/` at its ends, and without `.` and `..`",
            )),
            _ => None,
        };
        if let Some((message, help)) = problem {
            findings.mistake(spot, message).help(help);
        }
    }

    fn finish(self) -> Option<BTreeMap<SourceId, SourceConfig>> {
        self.0
            .into_iter()
            .map(|(id, config)| Some((id, config?)))
            .collect()
    }
}

fn stays_below(path: &str) -> bool {
    Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn is_vault_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// A source that needs itself to sign in, through others or not, can never begin.
fn report_cycles(sources: &[Source], references: &[Reference], findings: &mut Findings) {
    let needs: HashMap<&SourceId, &[Reference]> = sources
        .iter()
        .map(|source| (&source.id, &references[source.references.clone()]))
        .collect();
    for source in sources {
        // From each source the way is followed until it ends, or comes back to where it began.
        let mut open: Vec<_> = needs[&source.id]
            .iter()
            .map(|first| (first, first))
            .collect();
        let mut seen = Vec::new();
        while let Some((first, reference)) = open.pop() {
            if reference.source == source.id {
                let message = match std::ptr::eq(first, reference) {
                    true => "this source needs itself to sign in",
                    false => "this source needs itself to sign in, by way of another source",
                };
                findings
                    .mistake(first.spot, message)
                    .help("keep this credential outside of the sources that wait for it: `{ env = \"NAME\" }`, `{ file = \"PATH\" }` or `{ credential = \"NAME\" }`");
                break;
            }
            if !seen.contains(&&reference.source) {
                seen.push(&reference.source);
                let further = needs.get(&reference.source).copied().unwrap_or_default();
                open.extend(further.iter().map(|next| (first, next)));
            }
        }
    }
}

fn check_keys(
    mut keys: Vec<Key>,
    sources: &Sources,
    general: &General,
    findings: &mut Findings,
) -> Option<BTreeMap<KeyId, Arc<KeyConfig>>> {
    if keys.is_empty() {
        findings.warn(
            None,
            "there are no keys yet, so there is nothing to do: add `[keys.ID]`",
        );
    }
    // In the order they were written in, so that a second one is called the second.
    keys.sort_by_key(|key| key.spot);
    check_workspaces(&keys, general, findings);
    let mut names: HashMap<(bool, String, String), Spot> = HashMap::new();
    let mut configs = Some(BTreeMap::new());
    for key in keys {
        if let (Some(id), Some(spot)) = (&key.source, key.written.source)
            && sources.knows(id, spot, findings)
            && let (Some(path), Some(spot)) = (&key.path, key.written.path)
        {
            sources.check_path(id, path, spot, findings);
        }
        check_needs(&key, findings);
        check_pair(&key, findings);
        let (name, name_spot) = check_target(&key, findings);
        let workspace = match key.written.workspace_id {
            Some(_) => key.workspace_id.clone(),
            None => general.workspace_id.clone(),
        };
        let spot = name_spot.unwrap_or(key.spot);
        let kind = key.stored == Some(true);
        if let (Some(name), Some(workspace)) = (&name, &workspace)
            && let Some(first) = names.insert((kind, workspace.clone(), name.clone()), spot)
        {
            findings
                .mistake(spot, same_name(kind).0)
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

/// What is said where two keys would be written to the same place.
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

/// What a key is known by in Flashback, and where that was written: a configuration by its name, a
/// stored key by its description or id.
fn check_target(key: &Key, findings: &mut Findings) -> (Option<String>, Option<Spot>) {
    let written = &key.written;
    if key.stored != Some(true) {
        let strays = [
            ("api_key_id", written.api_key_id),
            ("description", written.description),
            ("create", written.create),
        ];
        for (name, spot) in strays {
            if let (Some(spot), Some(false)) = (spot, key.stored) {
                findings
                    .mistake(spot, format!("`{name}` belongs to a stored key"))
                    .help("write `target = \"stored-key\"`, or leave it out");
            }
        }
        return match written.name {
            Some(spot) => (key.name.clone(), Some(spot)),
            None => (Some(key.id.as_str().to_owned()), None),
        };
    }
    if let Some(spot) = written.name {
        findings
            .mistake(spot, "`name` belongs to a configuration")
            .help("a stored key is known by `api_key_id` or by `description`");
    }
    match (written.api_key_id, written.description) {
        (Some(_), Some(spot)) => {
            findings
                .mistake(
                    spot,
                    "`api_key_id` and `description` both say which stored key it is",
                )
                .help("write one of the two: the id is safer, and a description survives a new id");
            (None, None)
        }
        (Some(spot), None) => {
            if let (Some(create), Some(true)) = (written.create, key.create) {
                findings
                    .mistake(create, "a stored key of a given id cannot be created")
                    .help("Flashback gives the ids: write `description` instead of `api_key_id`");
            }
            (key.api_key_id.clone(), Some(spot))
        }
        (None, Some(spot)) => (key.description.clone(), Some(spot)),
        (None, None) => {
            let id = shown_name(key.id.as_str());
            findings
                .missing(
                    key.spot,
                    format!("`api_key_id` is missing in `[keys.{id}]`"),
                )
                .help("say which stored key it is: `api_key_id = \"…\"`, or `description = \"…\"`");
            (None, None)
        }
    }
}

/// What a key needs because of its provider.
fn check_needs(key: &Key, findings: &mut Findings) {
    let id = key.id.as_str();
    if matches!(key.ai_type, Some(AiType::Aws | AiType::Other)) && key.written.endpoint.is_none() {
        let (kind, example) = match key.ai_type {
            Some(AiType::Aws) => ("AWS", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
            _ => ("OTHER", "https://llm.example.com/v1"),
        };
        findings
            .missing(
                key.spot,
                format!("`endpoint` is missing in `[keys.{}]`", shown_name(id)),
            )
            .help(format!(
                "`{kind}` has no default: write `endpoint = \"{example}\"`"
            ));
    }
    let has_key_field = match (&key.fields, key.written.fields) {
        (Some(fields), _) => fields.key.is_some(),
        // It is there and wrong, and has been reported.
        (None, written) => written.is_some(),
    };
    if key.ai_type == Some(AiType::Aws) && !has_key_field {
        findings
            .missing(
                key.written.fields.unwrap_or(key.spot),
                format!("`fields.key` is missing in `[keys.{}]`", shown_name(id)),
            )
            .help("AWS credentials are a pair: write `fields = { key = \"AccessKeyId\", secret = \"SecretAccessKey\" }`, with the names your secret has");
    }
}

/// Where a pair is asked for, both have to be named: neither is the only field.
fn check_pair(key: &Key, findings: &mut Findings) {
    if let (Some(fields), Some(spot)) = (&key.fields, key.written.fields)
        && fields.key.is_some()
        && fields.secret.is_none()
    {
        let id = shown_name(key.id.as_str());
        findings
            .missing(spot, format!("`fields.secret` is missing in `[keys.{id}]`"))
            .help(
                "with two fields, both are named: write `fields = { key = \"…\", secret = \"…\" }`",
            );
    }
}

/// One mistake for all keys that neither name a workspace nor have a general one.
fn check_workspaces(keys: &[Key], general: &General, findings: &mut Findings) {
    let mut homeless = keys.iter().filter(|key| key.written.workspace_id.is_none());
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
    findings
        .missing(first.spot, format!("{who} no workspace"))
        .help("write `workspace_id` in `[flashback]` for all keys, or in each of them");
}

fn finish_key(
    key: Key,
    name: Option<String>,
    workspace: Option<String>,
    general: &General,
) -> Option<KeyConfig> {
    let rhythm = key.check.or_else(|| general.check.clone())?;
    let stored = key.stored?;
    Some(KeyConfig {
        may_create: !stored || key.create?,
        settings: Settings {
            workspace_id: WorkspaceId::new(workspace?),
            name: name?,
            ai_type: key.ai_type?,
            endpoint: key.endpoint?,
            target: match stored {
                false => Target::Configuration,
                true => Target::StoredKey {
                    id: key.api_key_id.map(AiLlmId::new),
                },
            },
        },
        origin: Origin {
            source: key.source?,
            path: key.path?,
            fields: key.fields.unwrap_or_default(),
        },
        check: match rhythm {
            Rhythm::Every(interval) => Check::Every(interval),
            Rhythm::Cron(expression) => Check::Cron(CronLine {
                expression,
                timezone: general.timezone?,
            }),
        },
        verify: key.verify.or(general.verify).finish()?,
        enabled: key.enabled?,
    })
}

/// Where the state is when nothing is said: systemd's StateDirectory= may name several.
pub(super) fn default_state(directory: Option<&std::ffi::OsStr>) -> PathBuf {
    let first = directory.and_then(|list| std::env::split_paths(list).next());
    first.unwrap_or_else(|| PathBuf::from(".")).join("state.db")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn state_is_in_the_first_directory_systemd_names_else_here() {
        let state = |list: Option<&str>| default_state(list.map(OsStr::new));
        assert_eq!(state(Some("/a:/b")), Path::new("/a/state.db"));
        assert_eq!(state(None), Path::new("./state.db"));
    }

    #[test]
    fn paths_in_sources_stay_where_they_belong() {
        assert!(stays_below("a/b.json") && stays_below("./a"));
        assert!(!stays_below("/a") && !stays_below("a/../../b"));
        assert!(is_vault_path("llm/openai") && is_vault_path("a"));
        assert!(!is_vault_path("/a") && !is_vault_path("a/") && !is_vault_path("a/../b"));
    }
}
