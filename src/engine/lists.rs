//! The newest lists from Flashback: one of each kind for each workspace, shared by all its keys.
//!
//! Ten thousand keys of one workspace all need its list now and then. One request for each would be a hundred
//! million entries to read, so they share the answers. The caller says how old a list may be.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::failpoint;
use crate::flashback::{FlashbackError, Listing};
use crate::model::{AiLlmId, Listed, Problem, ProblemKind, Settings, TargetKind, WorkspaceId};
use crate::progress::in_line;
use crate::telemetry::event;
use crate::telemetry::metrics::Metrics;

/// The greatest age of a list when no person waits for the answer, and the wait before a workspace that gave no list
/// is asked again.
const GOOD_FOR: Duration = Duration::from_secs(5 * 60);

/// The last list of each workspace, and of each kind.
pub struct Lists {
    pub(super) good_for: Duration,
    workspaces: Mutex<HashMap<(WorkspaceId, TargetKind), Place>>,
    /// The number of unreadable entries in the last list; `None` if there was no list.
    shown: Mutex<HashMap<WorkspaceId, HashMap<TargetKind, Option<usize>>>>,
}

/// The last answer of a workspace, locked while a new list is asked for, so that others wait for that.
type Place = Arc<tokio::sync::Mutex<Option<Answer>>>;

/// The answer to a request for a list.
struct Answer {
    since: Instant,
    list: Result<Arc<List>, FlashbackError>,
}

/// A list that was asked for at `asked_at`.
pub struct List {
    pub asked_at: DateTime<Utc>,
    /// The entries, sorted by their [`plain`] names.
    all: Vec<Listed>,
    /// The indices into `all`, sorted by id.
    by_id: Vec<u32>,
    /// The positions in the answer of the entries that could not be read, from 1.
    unreadable: Vec<usize>,
}

impl List {
    fn new(asked_at: DateTime<Utc>, listing: Listing) -> Self {
        let Listing {
            entries: mut all,
            unreadable,
        } = listing;
        all.shrink_to_fit();
        let name = |listed: &Listed| plain(&listed.appearance.name).to_owned();
        all.sort_by_cached_key(name);
        let mut by_id: Vec<u32> = (0..).take(all.len()).collect();
        by_id.sort_by_key(|place| all[*place as usize].id.as_str());
        Self {
            asked_at,
            all,
            by_id,
            unreadable,
        }
    }

    /// Returns the entries that take their credentials from this stored key.
    pub fn using(&self, stored_key: &AiLlmId) -> impl Iterator<Item = &AiLlmId> {
        let uses = |listed: &&Listed| listed.appearance.stored_key.as_ref() == Some(stored_key);
        self.all.iter().filter(uses).map(|listed| &listed.id)
    }

    /// Returns the entries of this id and of these names. White space around names does not count.
    pub fn about(&self, id: Option<&AiLlmId>, names: &[&str]) -> Vec<&Listed> {
        let mut about: Vec<&Listed> = Vec::new();
        if let Some(id) = id {
            let of = |place: &u32| self.all[*place as usize].id.as_str();
            let from = self.by_id.partition_point(|place| of(place) < id.as_str());
            let same = self.by_id[from..]
                .iter()
                .take_while(|place| of(place) == id.as_str());
            about.extend(same.map(|place| &self.all[*place as usize]));
        }
        for (index, name) in names.iter().map(|name| plain(name)).enumerate() {
            if names[..index].iter().any(|earlier| plain(earlier) == name) {
                continue;
            }
            let of = |listed: &Listed| plain(&listed.appearance.name) < name;
            let from = self.all.partition_point(of);
            let same = |listed: &&Listed| plain(&listed.appearance.name) == name;
            let named = self.all[from..].iter().take_while(same);
            about.extend(named.filter(|listed| Some(&listed.id) != id));
        }
        about
    }
}

/// Returns a name as it is compared. Some servers remove white space around names.
fn plain(name: &str) -> &str {
    name.trim()
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            good_for: failpoint::interval("FLASHBACK_ROTATOR_LIST_EVERY_MS", GOOD_FOR),
            workspaces: Mutex::default(),
            shown: Mutex::default(),
        }
    }
}

impl Lists {
    fn place(&self, workspace: &WorkspaceId, kind: TargetKind) -> Place {
        let mut workspaces = self.workspaces.lock();
        let place = (workspace.clone(), kind);
        Arc::clone(workspaces.entry(place).or_default())
    }

    /// Returns the last answer if `will_do` accepts its time and success, and otherwise asks for a new list.
    pub(super) async fn get(
        &self,
        (workspace, kind): (&WorkspaceId, TargetKind),
        metrics: &Metrics,
        will_do: impl Fn(Instant, bool) -> bool,
        ask: impl Future<Output = Result<Listing, FlashbackError>>,
    ) -> Result<Arc<List>, FlashbackError> {
        let place = self.place(workspace, kind);
        let mut place = in_line(place.lock()).await;
        if let Some(Answer { since, list }) = &*place
            && will_do(*since, list.is_ok())
        {
            return list.clone();
        }
        let (since, asked_at) = (Instant::now(), Utc::now());
        let list = ask
            .await
            .map(|listing| Arc::new(List::new(asked_at, listing)));
        let answer = Answer {
            since,
            list: list.clone(),
        };
        let before = place.replace(answer).map(|answer| answer.list);
        report(workspace, kind, before, &list);
        self.show(workspace, kind, &list, metrics);
        list
    }

    /// Sets the metrics of a workspace's lists. An outage of all of Flashback changes nothing about them.
    fn show(
        &self,
        workspace: &WorkspaceId,
        kind: TargetKind,
        list: &Result<Arc<List>, FlashbackError>,
        metrics: &Metrics,
    ) {
        if list.as_ref().is_err_and(|error| !told(error)) {
            return;
        }
        let unreadable = list.as_ref().ok().map(|list| list.unreadable.len());
        let mut shown = self.shown.lock();
        let kinds = shown.entry(workspace.clone()).or_default();
        kinds.insert(kind, unreadable);
        let came = kinds.values().all(Option::is_some);
        metrics.listed(workspace, came, kinds.values().flatten().sum());
    }

    /// Returns the problem of a key whose workspace could not be listed the last time, if that is so.
    pub(super) fn problem(&self, settings: &Settings) -> Option<Problem> {
        let place = self.place(&settings.workspace_id, settings.target.kind());
        let place = place.try_lock().ok()?;
        let error = place.as_ref()?.list.as_ref().err()?;
        told(error).then(|| Problem {
            kind: ProblemKind::Unlisted,
            error: format!(
                "Flashback does not list workspace `{}`, so that what is changed there is not \
                 noticed: {error}",
                settings.workspace_id
            ),
        })
    }
}

/// Logs what a list does not show, if that differs from the list before.
fn report(
    workspace: &WorkspaceId,
    kind: TargetKind,
    before: Option<Result<Arc<List>, FlashbackError>>,
    list: &Result<Arc<List>, FlashbackError>,
) {
    match list {
        Ok(list) if !list.unreadable.is_empty() => {
            let same = |before: &Arc<List>| before.unreadable == list.unreadable;
            if !before.is_some_and(|before| before.is_ok_and(|before| same(&before))) {
                tracing::warn!(
                    event = event::LISTING_INCOMPLETE,
                    workspace_id = %workspace,
                    positions = positions(&list.unreadable),
                    "Flashback lists what cannot be read as a {}; it is passed over",
                    kind.noun()
                );
            }
        }
        Err(error) if told(error) && !matches!(before, Some(Err(_))) => {
            tracing::warn!(
                event = event::LISTING_INCOMPLETE,
                workspace_id = %workspace,
                error = %error,
                "Flashback does not list the workspace; what is changed there is not noticed for now"
            );
        }
        Ok(_) | Err(_) => {}
    }
}

/// Returns `true` if an error concerns the list itself. An outage of all of Flashback is reported elsewhere.
fn told(error: &FlashbackError) -> bool {
    !matches!(
        error,
        FlashbackError::CircuitOpen { .. }
            | FlashbackError::Unavailable { .. }
            | FlashbackError::SignIn { .. }
    )
}

/// Returns the first of some positions as text, and how many more there are.
pub fn positions(all: &[usize]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Appearance;

    fn listed(id: &str, name: &str) -> Listed {
        Listed {
            id: AiLlmId::new(id),
            appearance: Appearance {
                name: name.to_owned(),
                ai_type: None,
                endpoint: None,
                stored_key: None,
            },
        }
    }

    #[test]
    fn finds_listed_entries_by_id_or_trimmed_name_once_each() {
        let all = [("4", "d"), ("1", "a"), ("3", " b "), ("2", "b"), ("5", "a")];
        let all = all.map(|(id, name)| listed(id, name)).to_vec();
        let listing = Listing {
            entries: all,
            unreadable: Vec::new(),
        };
        let list = List::new(Utc::now(), listing);
        let ids = |id: Option<&str>, names: &[&str]| -> Vec<String> {
            let id = id.map(AiLlmId::new);
            let found = list.about(id.as_ref(), names);
            let mut ids: Vec<_> = found.iter().map(|one| one.id.to_string()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(None, &["b"]), ["2", "3"]);
        assert_eq!(ids(None, &["a", "a "]), ["1", "5"], "each once");
        assert_eq!(ids(Some("1"), &["a"]), ["1", "5"], "each once");
        assert_eq!(ids(Some("4"), &["a"]), ["1", "4", "5"]);
        assert_eq!(ids(Some("9"), &["c"]), [""; 0]);
    }
}
