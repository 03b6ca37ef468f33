//! The newest lists from Flashback: one of each kind for each workspace, shared by all its keys.
//!
//! Ten thousand keys that are new to a workspace need to know what it holds, and so does each of
//! them now and then: a list a key would be a hundred million lines to read. How old a list may be
//! is for the caller to say, by what it wants to know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::pass::Pass;
use super::{Engine, Fault};
use crate::failpoint;
use crate::flashback::{FlashbackError, Listing};
use crate::model::{
    AiLlmId, Listed, Problem, ProblemKind, Settings, Target, TargetKind, WorkspaceId,
};
use crate::progress::in_line;
use crate::reconcile::{ListAge, Remote, find};
use crate::telemetry::event;
use crate::telemetry::metrics::Metrics;
use crate::upstream::in_background;

/// How long a list is good for when nobody waits for the answer, and how soon a workspace that gave
/// none is asked again.
const GOOD_FOR: Duration = Duration::from_secs(5 * 60);

/// The same where somebody waits (`sync`, `plan`): they want to know how it stands now.
const GOOD_FOR_PEOPLE: Duration = Duration::from_secs(10);

/// How long it may be taken to tell that a name is free, or whose it is. Names are unique: where it
/// has changed since, the write that relies on it is turned down, and the list asked for again.
const GOOD_FOR_NAMES: Duration = Duration::from_secs(30);

/// How old a list may be that is looked into before a write …
const GOOD_BEFORE_A_WRITE: Duration = Duration::from_secs(2);

/// … and how long the write waits for one. A workspace that cannot be listed keeps no rotation back.
const WAIT_BEFORE_A_WRITE: Duration = Duration::from_secs(5);

/// The last list of each workspace, and of each kind.
pub struct Lists {
    good_for: Duration,
    workspaces: Mutex<HashMap<(WorkspaceId, TargetKind), Place>>,
    /// How many entries of the last list could not be read; `None` where there was no list.
    shown: Mutex<HashMap<WorkspaceId, HashMap<TargetKind, Option<usize>>>>,
}

/// Whoever asks for a list holds this meanwhile: whoever else wants one waits for the answer.
type Place = Arc<tokio::sync::Mutex<Option<Answer>>>;

/// What came of asking for a list.
struct Answer {
    since: Instant,
    list: Result<Arc<List>, FlashbackError>,
}

/// A list, at most as old as `asked_at` says.
pub struct List {
    pub asked_at: DateTime<Utc>,
    /// By name, as [`plain`] has it.
    all: Vec<Listed>,
    /// The places in `all`, by id.
    by_id: Vec<u32>,
    /// The positions of the entries that could not be read, from 1.
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

    /// The entries that take their credentials from this stored key.
    pub fn using(&self, stored_key: &AiLlmId) -> impl Iterator<Item = &AiLlmId> {
        let uses = |listed: &&Listed| listed.appearance.stored_key.as_ref() == Some(stored_key);
        self.all.iter().filter(uses).map(|listed| &listed.id)
    }

    /// What it has of this id and under these names, white space around them aside.
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

/// A name as it is compared: some servers take white space around it away.
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
        let mut workspaces = self
            .workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let place = (workspace.clone(), kind);
        Arc::clone(workspaces.entry(place).or_default())
    }

    /// The last answer if it will do, and else the one that `ask` brings.
    async fn get(
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
        let before = place.replace(Answer { since, list });
        let Some(Answer { list, .. }) = &*place else {
            unreachable!("an answer was put there")
        };
        report(workspace, kind, before.map(|answer| answer.list), list);
        self.show(workspace, kind, list, metrics);
        list.clone()
    }

    /// Tells of all the lists of a workspace, of which this is one. An outage of all of Flashback says
    /// nothing about them.
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
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = shown.entry(workspace.clone()).or_default();
        kinds.insert(kind, unreadable);
        let came = kinds.values().all(Option::is_some);
        metrics.listed(workspace, came, kinds.values().flatten().sum());
    }
}

/// Says what a list does not show, once for as long as it is the same.
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

/// Whether an error is of the list itself: an outage of all of Flashback is told elsewhere.
fn told(error: &FlashbackError) -> bool {
    !matches!(
        error,
        FlashbackError::CircuitOpen { .. }
            | FlashbackError::Unavailable { .. }
            | FlashbackError::SignIn { .. }
    )
}

/// The first of some positions, and how many more there are.
pub fn positions(all: &[usize]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl Pass<'_> {
    /// Looks for what is to hold the key, by its name or id.
    ///
    /// With a write on record whose outcome is not known, or one that was turned down a moment ago, only
    /// a list that is asked for from now on can tell; many keys that want one at once share it.
    pub(super) async fn list(&mut self) -> Result<(), Fault> {
        let started = Instant::now();
        let good_for = match self.waited_for {
            true => GOOD_FOR_PEOPLE,
            false => GOOD_FOR_NAMES,
        };
        let good_for = good_for.min(self.engine.lists.good_for);
        let afresh = self.record.intent.is_some() || self.rejection.is_some();
        let will_do = |since: Instant, came: bool| {
            since >= started || (came && !afresh && since.elapsed() < good_for)
        };
        let settings = &self.managed.config.settings;
        self.remote = match self.listed(settings.target.kind(), will_do).await? {
            Ok(list) => {
                let intent = self.record.intent.as_ref();
                let earlier = intent.map(|intent| intent.settings.name.as_str());
                let names: Vec<&str> = [&*settings.name].into_iter().chain(earlier).collect();
                let id = match &settings.target {
                    Target::StoredKey { id } => id.as_ref(),
                    Target::Configuration => None,
                };
                find(settings, &self.record, &list.about(id, &names))
            }
            Err(
                error @ (FlashbackError::Refused { .. }
                | FlashbackError::NotFound { .. }
                | FlashbackError::Unsendable { .. }),
            ) => Remote::Unlistable(error.to_string()),
            Err(error) => return Err(Fault::Flashback(error)),
        };
        failpoint::reach("list_answered");
        Ok(())
    }

    /// A list to hold what is on record against; none where there is none to be had.
    pub(super) async fn list_to_compare(&self, age: ListAge) -> Result<Option<Arc<List>>, Fault> {
        let started = Instant::now();
        let kept = self.engine.lists.good_for;
        let good_for = match self.waited_for {
            true => GOOD_FOR_PEOPLE.min(kept),
            false => kept,
        };
        let will_do = |since: Instant, came: bool| match age {
            ListAge::Zero => since >= started,
            ListAge::Seconds if came => since + GOOD_BEFORE_A_WRITE >= started,
            ListAge::Seconds | ListAge::Minutes => since.elapsed() < good_for,
        };
        let listed = self.listed(self.managed.config.settings.target.kind(), will_do);
        let list = match age {
            ListAge::Seconds => match tokio::time::timeout(WAIT_BEFORE_A_WRITE, listed).await {
                Ok(list) => list?,
                Err(_) => return Ok(None),
            },
            ListAge::Zero | ListAge::Minutes => in_background(listed).await?,
        };
        Ok(list.ok())
    }

    /// The configurations that take their credentials from a stored key, as they are now.
    pub(super) async fn users_of(
        &self,
        stored_key: &AiLlmId,
    ) -> Result<Result<Vec<AiLlmId>, FlashbackError>, Fault> {
        let started = Instant::now();
        let will_do = |since: Instant, _| since >= started;
        let list = self.listed(TargetKind::Configuration, will_do).await?;
        Ok(list.map(|list| list.using(stored_key).cloned().collect()))
    }

    async fn listed(
        &self,
        kind: TargetKind,
        will_do: impl Fn(Instant, bool) -> bool,
    ) -> Result<Result<Arc<List>, FlashbackError>, Fault> {
        let workspace = &self.managed.config.settings.workspace_id;
        let ask = async {
            let _place = self.managed.place().await;
            self.engine.flashback.list(workspace, kind).await
        };
        let Engine { lists, metrics, .. } = self.engine;
        let list = lists.get((workspace, kind), metrics, will_do, ask);
        self.unless_stopped(list).await
    }
}

impl Engine {
    /// Returns the problem of a key whose workspace could not be listed the last time.
    pub(super) fn unlisted(&self, settings: &Settings) -> Option<Problem> {
        let place = self
            .lists
            .place(&settings.workspace_id, settings.target.kind());
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
    fn what_is_asked_for_is_found_and_nothing_else() {
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
