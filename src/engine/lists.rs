//! What Flashback listed last: one list for each workspace, shared by all its keys.
//!
//! Ten thousand keys that are new to a workspace need to know what it holds, and so does each of
//! them now and then: a list a key would be a hundred million lines to read. How old a list may be
//! is for the caller to say, by what it wants to know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::Fault;
use super::pass::Pass;
use crate::failpoint;
use crate::flashback::{FlashbackError, Listed};
use crate::lane::unhurried;
use crate::model::{AiLlmId, Settings, WorkspaceId};
use crate::reconcile::{Remote, find};

/// How long a list is good for when nobody waits for the answer, and how soon a workspace that gave
/// none is asked again.
const GOOD_FOR: Duration = Duration::from_secs(5 * 60);

/// The same where somebody waits (`sync`, `plan`): they want to know how it stands now.
const GOOD_FOR_PEOPLE: Duration = Duration::from_secs(10);

/// How long it may be taken to tell that a name is free, or whose it is. Names are unique: where it
/// has changed since, the write that relies on it is turned down, and the list asked for again.
const GOOD_FOR_NAMES: Duration = Duration::from_secs(30);

/// The last list of each workspace.
pub struct Lists {
    good_for: Duration,
    workspaces: Mutex<HashMap<WorkspaceId, Place>>,
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
}

impl List {
    fn new(asked_at: DateTime<Utc>, mut all: Vec<Listed>) -> Self {
        // Each brings a text of its own for the workspace that they all have in common.
        let mut workspace: Option<WorkspaceId> = None;
        for settings in all.iter_mut().map(|listed| &mut listed.settings) {
            match &workspace {
                Some(same) if *same == settings.workspace_id => {
                    settings.workspace_id = same.clone();
                }
                _ => workspace = Some(settings.workspace_id.clone()),
            }
        }
        all.shrink_to_fit();
        all.sort_by(|one, other| plain(&one.settings.name).cmp(plain(&other.settings.name)));
        let mut by_id: Vec<u32> = (0..).take(all.len()).collect();
        by_id.sort_by_key(|place| all[*place as usize].id.as_str());
        Self {
            asked_at,
            all,
            by_id,
        }
    }

    /// What it has of this id and under these names, white space around them aside.
    pub fn about(&self, id: Option<&AiLlmId>, names: &[&str]) -> Vec<(&AiLlmId, &Settings)> {
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
            let of = |listed: &Listed| plain(&listed.settings.name) < name;
            let from = self.all.partition_point(of);
            let same = |listed: &&Listed| plain(&listed.settings.name) == name;
            let named = self.all[from..].iter().take_while(same);
            about.extend(named.filter(|listed| Some(&listed.id) != id));
        }
        about
            .into_iter()
            .map(|Listed { id, settings }| (id, settings))
            .collect()
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
        }
    }
}

impl Lists {
    fn place(&self, workspace: &WorkspaceId) -> Place {
        let mut workspaces = self
            .workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(workspaces.entry(workspace.clone()).or_default())
    }

    /// The last answer if it will do, and else the one that `ask` brings.
    async fn get(
        &self,
        workspace: &WorkspaceId,
        will_do: impl Fn(Instant, bool) -> bool,
        ask: impl Future<Output = Result<Vec<Listed>, FlashbackError>>,
    ) -> Result<Arc<List>, FlashbackError> {
        let place = self.place(workspace);
        let mut place = place.lock().await;
        if let Some(Answer { since, list }) = &*place
            && will_do(*since, list.is_ok())
        {
            return list.clone();
        }
        let (since, asked_at) = (Instant::now(), Utc::now());
        let list = ask.await.map(|all| Arc::new(List::new(asked_at, all)));
        let answer = Answer { since, list };
        place.insert(answer).list.clone()
    }
}

impl Pass<'_> {
    /// Looks for the key's configuration by its name.
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
        self.remote = match self.listed(will_do).await? {
            Ok(list) => {
                let settings = &self.unit.config.settings;
                let intent = self.record.intent.as_ref();
                let earlier = intent.map(|intent| intent.settings.name.as_str());
                let names: Vec<&str> = [&*settings.name].into_iter().chain(earlier).collect();
                find(settings, &self.record, &list.about(None, &names))
            }
            Err(error @ (FlashbackError::Refused { .. } | FlashbackError::NotFound { .. })) => {
                Remote::Unlistable(error.to_string())
            }
            Err(error) => return Err(Fault::Flashback(error)),
        };
        failpoint::reach("list_answered");
        Ok(())
    }

    /// A list to hold what is on record against; none where there is none to be had.
    pub(super) async fn list_to_compare(&self, afresh: bool) -> Result<Option<Arc<List>>, Fault> {
        let started = Instant::now();
        let good_for = match self.waited_for {
            true => GOOD_FOR_PEOPLE.min(self.engine.lists.good_for),
            false => self.engine.lists.good_for,
        };
        let will_do = |since: Instant, _| match afresh {
            true => since >= started,
            false => since.elapsed() < good_for,
        };
        let list = unhurried(self.listed(will_do)).await?;
        Ok(list.ok())
    }

    async fn listed(
        &self,
        will_do: impl Fn(Instant, bool) -> bool,
    ) -> Result<Result<Arc<List>, FlashbackError>, Fault> {
        let workspace = &self.unit.config.settings.workspace_id;
        let ask = async {
            let _place = self.unit.places.acquire().await.expect("never closed");
            let list = self.engine.flashback.list(workspace).await;
            if let Err(error) = &list {
                tracing::debug!(
                    workspace_id = %workspace,
                    error = %error,
                    "no list; what was changed in Flashback is not noticed for now"
                );
            }
            list
        };
        let list = self.engine.lists.get(workspace, will_do, ask);
        self.unless_stopped(list).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AiType;

    fn listed(id: &str, name: &str) -> Listed {
        Listed {
            id: AiLlmId::new(id),
            settings: Settings {
                workspace_id: WorkspaceId::new("w"),
                name: name.to_owned(),
                ai_type: AiType::Openai,
                endpoint: String::new(),
            },
        }
    }

    #[test]
    fn what_is_asked_for_is_found_and_nothing_else() {
        let all = [("4", "d"), ("1", "a"), ("3", " b "), ("2", "b"), ("5", "a")];
        let all = all.map(|(id, name)| listed(id, name)).to_vec();
        let list = List::new(Utc::now(), all);
        let ids = |id: Option<&str>, names: &[&str]| -> Vec<String> {
            let id = id.map(AiLlmId::new);
            let found = list.about(id.as_ref(), names);
            let mut ids: Vec<_> = found.iter().map(|(id, _)| id.to_string()).collect();
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
