//! Puts the tables together into one [`Config`], and checks what depends on several of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::credentials::{CredentialPlan, Held, Owner};
use super::discover::{Discover, check_rules};
use super::flashback::Flashback;
use super::general::{HttpConfig, LogConfig, Retry, Schedule};
use super::key::Key;
use super::keys::{General, check_keys};
use super::kinds::Kinds;
use super::model::{Config, FlashbackConfig};
use super::notify::NotifyConfig;
use super::providers::Providers;
use super::sources::Sources;
use super::state::StateConfig;
use super::verify::Verify;
use super::{discover, key, notify, providers, root, sources};
use crate::model::ReceiverId;
use crate::retry::Limits;
use crate::setting::diagnostics::{Diagnostics, REFERENCE};
use crate::setting::tree::Tree;
use crate::setting::{Reader, Span};

/// Begins to read the merged `tree`, with the defaults of `reference`.
fn reader<'a, 'f>(
    tree: &'a Tree,
    reference: &'a Tree,
    diagnostics: &'f mut Diagnostics,
) -> Reader<'a, 'f> {
    Reader {
        tree,
        // The first file that is not the reference: what is missing is missing there.
        span: Span::new(REFERENCE + 1, &(0..0)),
        path: "",
        defaults: vec![reference],
        diagnostics,
    }
}

/// The tables as they are written, before it is checked that they fit together.
struct Tables {
    flashback: Option<Flashback>,
    state: Option<Option<StateConfig>>,
    schedule: Option<Schedule>,
    retry: Option<Retry>,
    verify: Verify,
    http: Option<HttpConfig>,
    log: Option<LogConfig>,
    defaults: Verify,
    sources: Sources,
    providers: Providers,
    notify: Option<BTreeMap<ReceiverId, NotifyConfig>>,
    discover: Vec<Discover>,
    keys: Vec<Key>,
    /// The secret references, each with the table that it stands in.
    held: Held,
}

impl Tables {
    /// Reads every table, also after mistakes, so that all of them are reported.
    fn read(mut root: Reader<'_, '_>, kinds: Kinds) -> Self {
        root.only(root::ALL);
        let mut held = Held::new();
        let mut keep = |owner: Owner, references: &mut Vec<_>| {
            held.extend(references.drain(..).map(|one| (owner.clone(), one)));
        };
        let flashback = root.get(&root::FLASHBACK);
        keep(Owner::Flashback, &mut root.diagnostics.references);
        let state = root.get(&root::STATE);
        keep(Owner::State, &mut root.diagnostics.references);
        let mut sources = BTreeMap::new();
        for mut source in sources::read(&mut root, kinds) {
            keep(Owner::Source(source.id.clone()), &mut source.references);
            sources.insert(source.id, source.config);
        }
        let mut providers = BTreeMap::new();
        for mut provider in providers::read(&mut root, kinds) {
            keep(
                Owner::Provider(provider.id.clone()),
                &mut provider.references,
            );
            providers.insert(provider.id, provider.config);
        }
        let mut notify = Some(BTreeMap::new());
        for mut receiver in notify::read(&mut root) {
            keep(
                Owner::Receiver(receiver.id.clone()),
                &mut receiver.references,
            );
            notify = notify.zip(receiver.config).map(|(mut all, config)| {
                all.insert(receiver.id, config);
                all
            });
        }
        let http = root.get(&root::HTTP);
        keep(Owner::Http, &mut root.diagnostics.references);
        Self {
            flashback,
            state,
            schedule: root.get(&root::SCHEDULE),
            retry: root.get(&root::RETRY),
            verify: root.get(&root::VERIFY).unwrap_or_default(),
            http,
            log: root.get(&root::LOG),
            defaults: root.get(&root::DEFAULTS).unwrap_or_default(),
            sources: Sources(sources),
            providers: Providers(providers),
            notify,
            discover: discover::read(&mut root),
            keys: key::read(&mut root),
            held,
        }
    }

    /// Returns the settings of keys that have none of their own.
    fn general(&self) -> General {
        let flashback = self.flashback.as_ref();
        let schedule = self.schedule.as_ref();
        General {
            names_workspace: flashback.is_none_or(|it| it.workspace_id.span.is_some()),
            workspace_id: flashback.and_then(|it| it.workspace_id.value.clone()),
            check: schedule.and_then(|it| it.check.value.clone()),
            check_with_events: schedule.and_then(|it| it.check_with_events.value),
            timezone: schedule.and_then(|it| it.timezone.value.clone()),
            verify: self.defaults.or(self.verify),
        }
    }
}

/// Reads the merged tree. Returns `None` if something is wrong, which `diagnostics` has then.
pub fn assemble(
    tree: &Tree,
    reference: &Tree,
    kinds: Kinds,
    default_state: PathBuf,
    diagnostics: &mut Diagnostics,
) -> Option<Config> {
    let tables = Tables::read(reader(tree, reference, diagnostics), kinds);
    let sources = &tables.sources;
    for (_, reference) in &tables.held {
        if let Some((span, path_span)) = reference.spans {
            sources.check_reference(&reference.secret, span, path_span, diagnostics);
        }
    }
    let general = tables.general();
    let credentials = CredentialPlan::new(tables.held, diagnostics);
    if tables.keys.is_empty() && tables.discover.is_empty() {
        diagnostics.warn(
            None,
            "there are no keys yet, so there is nothing to do: add `[keys.ID]`",
        );
    }
    let discover = check_rules(tables.discover, sources, &general, reference, diagnostics);
    let providers = &tables.providers;
    let keys = check_keys(tables.keys, sources, providers, &general, diagnostics);
    let (flashback, retry) = (tables.flashback?, tables.retry?);
    Some(Config {
        flashback: FlashbackConfig {
            base_url: flashback.base_url.value?,
            auth: flashback.auth.value?,
        },
        watch_edits: flashback.watch_edits.value?,
        state: tables.state?.unwrap_or(StateConfig::Sqlite {
            path: default_state,
        }),
        resync: tables.schedule?.resync.value?,
        retry: Limits {
            initial: retry.initial.value?,
            max: retry.max.value?,
            give_up_after: retry.give_up_after.value?,
        },
        refused: retry.refused.value?,
        verify: tables.verify.finish()?,
        http: tables.http?,
        log: tables.log?,
        sources: tables.sources.finish()?,
        providers: tables.providers.finish()?,
        notify: tables.notify?,
        discover: discover?,
        keys: keys?,
        credentials,
        kinds,
    })
}

/// Reads only the location of the state and the address of the HTTP server, from a configuration whose other
/// tables may be invalid. Each is `None` if it is wrong itself.
pub fn peek(
    tree: &Tree,
    reference: &Tree,
    default_state: PathBuf,
    diagnostics: &mut Diagnostics,
) -> (Option<StateConfig>, Option<SocketAddr>) {
    let mut root = reader(tree, reference, diagnostics);
    let state = root.get(&root::STATE).map(|state| {
        state.unwrap_or(StateConfig::Sqlite {
            path: default_state,
        })
    });
    let listen = root.get(&root::HTTP).map(|http| http.listen);
    (state, listen)
}
