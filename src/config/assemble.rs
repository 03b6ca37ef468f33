//! From the tables to one [`Config`], and what only shows when all of them are known.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use super::diagnostics::{Diagnostics, Reference};
use super::hints::{self, Certainty, Hint};
use super::keys::{General, check_keys};
use super::setting::{Reader, list, suggest};
use super::tables;
use super::tables::source::Source;
use super::tree::{Span, Tree};
use super::{Config, FlashbackConfig, SourceConfig, SourceKind, StateConfig};
use crate::model::SourceId;

/// Reads the merged tree. `None` where something is wrong, which `findings` has then.
pub(super) fn assemble(
    tree: &Tree,
    reference: &Tree,
    default_state: PathBuf,
    diagnostics: &mut Diagnostics,
) -> Option<Config> {
    let mut root = Reader {
        tree,
        // The first file that is not the reference: what is missing is missing there.
        span: Span::new(super::diagnostics::REFERENCE + 1, &(0..0)),
        path: "",
        default: Some(reference),
        diagnostics,
    };
    root.only(tables::ALL);
    let flashback = root.get(&tables::FLASHBACK);
    let state = root.get(&tables::STATE);
    let schedule = root.get(&tables::SCHEDULE);
    let retry = root.get(&tables::RETRY);
    let verify = root.get(&tables::VERIFY).unwrap_or_default();
    let http = root.get(&tables::HTTP);
    let log = root.get(&tables::LOG);
    let defaults = root.get(&tables::DEFAULTS);
    let sources = root.get(&tables::SOURCES);
    let notify = root.get(&tables::NOTIFY);
    let keys = root.get(&tables::KEYS);

    let sources = Sources::check(sources.unwrap_or_default(), diagnostics);
    let general = General {
        names_workspace: flashback.as_ref().is_none_or(|f| f.names_workspace),
        workspace_id: flashback.as_ref().and_then(|f| f.workspace_id.clone()),
        check: schedule.as_ref().and_then(|s| s.check.clone()),
        timezone: schedule.as_ref().and_then(|s| s.timezone),
        verify: defaults.unwrap_or_default().or(verify),
    };
    let keys = check_keys(keys.unwrap_or_default(), &sources, &general, diagnostics);
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
        verify: verify.finish()?,
        http_listen: http?.listen?,
        log: log?,
        sources: sources.finish()?,
        notify: notify?
            .into_iter()
            .map(|receiver| Some((receiver.id, receiver.config?)))
            .collect::<Option<_>>()?,
        keys: keys?,
    })
}

/// Reads no more than where the state is and where the daemon answers: what is asked of a configuration whose
/// other tables may be broken. `None` for what is wrong itself.
pub(super) fn peek(
    tree: &Tree,
    reference: &Tree,
    default_state: PathBuf,
    diagnostics: &mut Diagnostics,
) -> (Option<StateConfig>, Option<SocketAddr>) {
    let mut root = Reader {
        tree,
        span: Span::new(super::diagnostics::REFERENCE + 1, &(0..0)),
        path: "",
        default: Some(reference),
        diagnostics,
    };
    let state = root.get(&tables::STATE).map(|state| {
        state.unwrap_or(StateConfig::Sqlite {
            path: default_state,
        })
    });
    let listen = root.get(&tables::HTTP).and_then(|http| http.listen);
    (state, listen)
}

/// The sources, the wrong ones too: a key that names one of those names no unknown source.
pub(super) struct Sources(BTreeMap<SourceId, Option<SourceConfig>>);

impl Sources {
    fn check(read: Vec<Source>, diagnostics: &mut Diagnostics) -> Self {
        let references = std::mem::take(&mut diagnostics.references);
        report_cycles(&read, &references, diagnostics);
        let sources = Self(
            read.into_iter()
                .map(|source| (source.id, source.config))
                .collect(),
        );
        for reference in &references {
            if sources.knows(&reference.source, reference.span, diagnostics) {
                sources.check_path(
                    &reference.source,
                    &reference.path,
                    reference.path_span,
                    diagnostics,
                );
            }
        }
        sources
    }

    pub(super) fn knows(&self, id: &SourceId, span: Span, diagnostics: &mut Diagnostics) -> bool {
        if self.0.contains_key(id) {
            return true;
        }
        let names = self.0.keys().map(SourceId::as_str);
        let help = match suggest(id.as_str(), names.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None if self.0.is_empty() => "there is none yet: add `[sources.ID]`".to_owned(),
            None if self.0.len() == 1 => format!("the only source is {}", list(names)),
            None => format!("the sources are {}", list(names).replace(" or ", " and ")),
        };
        diagnostics
            .missing(span, "there is no such source")
            .help(help);
        false
    }

    /// A path in a source, as far as the configuration alone can tell.
    pub(super) fn check_path(
        &self,
        source: &SourceId,
        path: &str,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) {
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
            diagnostics.mistake(span, message).help(help);
            return;
        }
        let hint = match self.0.get(source).and_then(Option::as_ref).map(|s| &s.kind) {
            Some(SourceKind::Vault(vault)) => {
                let namespace = vault.namespace.as_deref();
                hints::vault_path(namespace, &vault.mount, vault.kv_version, path)
            }
            Some(SourceKind::Aws(aws)) => hints::aws_path(aws.region.as_deref(), path),
            _ => None,
        };
        match hint {
            Some(Hint {
                text,
                certainty: Certainty::Certain,
            }) => {
                let (what, help) = text.split_once(": ").unwrap_or((&text, ""));
                diagnostics.mistake(span, what).help(help);
            }
            Some(Hint {
                text,
                certainty: Certainty::Likely,
            }) => diagnostics.warn(Some(span), text),
            _ => {}
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
fn report_cycles(sources: &[Source], references: &[Reference], diagnostics: &mut Diagnostics) {
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
                diagnostics
                    .mistake(first.span, message)
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
