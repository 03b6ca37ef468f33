//! From the tables to one [`Config`], and what only shows when all of them are known.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::credentials::{CredentialPlan, Held, Owner};
use super::keys::{General, check_keys};
use super::model::{Config, FlashbackConfig};
use super::sources::Sources;
use super::state::StateConfig;
use super::{key, notify, root, sources};
use crate::retry::Limits;
use crate::setting::diagnostics::{Diagnostics, REFERENCE};
use crate::setting::tree::Tree;
use crate::setting::{Reader, Span};
use crate::source::Kinds;

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

/// Reads the merged tree. `None` where something is wrong, which `diagnostics` has then.
pub fn assemble(
    tree: &Tree,
    reference: &Tree,
    kinds: Kinds,
    default_state: PathBuf,
    diagnostics: &mut Diagnostics,
) -> Option<Config> {
    let mut root = reader(tree, reference, diagnostics);
    root.only(root::ALL);
    let mut held = Held::new();
    let mut hold = |owner: Owner, references: &mut Vec<_>| {
        held.extend(references.drain(..).map(|one| (owner.clone(), one)));
    };
    let flashback = root.get(&root::FLASHBACK);
    hold(Owner::Flashback, &mut root.diagnostics.references);
    let state = root.get(&root::STATE);
    hold(Owner::State, &mut root.diagnostics.references);
    let schedule = root.get(&root::SCHEDULE);
    let retry = root.get(&root::RETRY);
    let verify = root.get(&root::VERIFY).unwrap_or_default();
    let http = root.get(&root::HTTP);
    let log = root.get(&root::LOG);
    let defaults = root.get(&root::DEFAULTS).unwrap_or_default();
    let mut configs = BTreeMap::new();
    for mut source in sources::read(&mut root, kinds) {
        hold(Owner::Source(source.id.clone()), &mut source.references);
        configs.insert(source.id, source.config);
    }
    let mut receivers = Some(BTreeMap::new());
    for mut receiver in notify::read(&mut root) {
        hold(
            Owner::Receiver(receiver.id.clone()),
            &mut receiver.references,
        );
        receivers = receivers.zip(receiver.config).map(|(mut all, config)| {
            all.insert(receiver.id, config);
            all
        });
    }
    let keys = key::read(&mut root);

    let sources = Sources(configs);
    for (_, reference) in &held {
        if let Some((span, path_span)) = reference.spans {
            sources.check_reference(&reference.secret, span, path_span, diagnostics);
        }
    }
    let credentials = CredentialPlan::new(held, diagnostics);
    let general = General {
        names_workspace: flashback
            .as_ref()
            .is_none_or(|flashback| flashback.workspace_id.span.is_some()),
        workspace_id: flashback
            .as_ref()
            .and_then(|flashback| flashback.workspace_id.value.clone()),
        check: schedule
            .as_ref()
            .and_then(|schedule| schedule.check.value.clone()),
        timezone: schedule
            .as_ref()
            .and_then(|schedule| schedule.timezone.value),
        verify: defaults.or(verify),
    };
    let keys = check_keys(keys, &sources, &general, diagnostics);
    let (flashback, retry) = (flashback?, retry?);
    Some(Config {
        flashback: FlashbackConfig {
            base_url: flashback.base_url.value?,
            auth: flashback.auth.value?,
        },
        watch_edits: flashback.watch_edits.value?,
        state: state?.unwrap_or(StateConfig::Sqlite {
            path: default_state,
        }),
        resync: schedule?.resync.value?,
        retry: Limits {
            initial: retry.initial.value?,
            max: retry.max.value?,
            give_up_after: retry.give_up_after.value?,
        },
        refused: retry.refused.value?,
        verify: verify.finish()?,
        http_listen: http?.listen.value?,
        log: log?,
        sources: sources.finish()?,
        notify: receivers?,
        keys: keys?,
        credentials,
        kinds,
    })
}

/// Reads no more than where the state is and where the daemon answers: what is asked of a configuration whose
/// other tables may be broken. `None` for what is wrong itself.
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
    let listen = root.get(&root::HTTP).and_then(|http| http.listen.value);
    (state, listen)
}
