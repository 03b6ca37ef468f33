use futures_util::FutureExt as _;

use super::*;
use crate::model::Version;

const TOKEN: u64 = 1;

fn version(number: u64) -> Observation {
    Observation::Present {
        version: Version::new(number.to_string()),
        written_at: None,
    }
}

fn path(key: usize) -> String {
    format!("llm/{key}")
}

/// A list of this many secrets, all in this version.
fn list(keys: usize, number: u64) -> Named {
    let named = (0..keys).map(|key| (key.to_string().into(), Some(version(number))));
    named.collect()
}

/// Some observations, and how they were answered.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    lists: usize,
    listed: usize,
    alone: usize,
}

/// Observes a key in a folder of `size` secrets.
fn observe(folders: &Folders, key: usize, size: usize, look: VaultLook, counted: &mut Counted) {
    let path = path(key);
    match folders.plan(&path, look, TOKEN) {
        Plan::Alone => {
            counted.alone += 1;
            folders.note(&path);
        }
        Plan::Listed(_) => counted.listed += 1,
        Plan::Make(turn) => {
            let named = turn.made(list(size, 1));
            folders.take(&path, &named).expect("it is new");
            counted.lists += 1;
        }
        Plan::Wait(_) => panic!("no list is being made"),
    }
}

/// Lets all keys take some turns.
fn turns(folders: &Folders, keys: usize, size: usize, look: VaultLook, turns: usize) -> Counted {
    let mut counted = Counted::default();
    for _ in 0..turns {
        for key in 0..keys {
            observe(folders, key, size, look, &mut counted);
        }
    }
    counted
}

#[tokio::test(start_paused = true)]
async fn one_list_a_turn_answers_for_all_keys_of_a_folder() {
    let folders = Folders::default();
    let counted = turns(&folders, 1000, 1000, VaultLook::List, 60);
    assert_eq!((counted.lists, counted.alone), (60, 0), "{counted:?}");
    let folders = Folders::default();
    let first = turns(&folders, 1000, 1000, VaultLook::Auto, 1);
    assert_eq!((first.lists, first.alone), (1, ENOUGH - 1), "{first:?}");
    let later = turns(&folders, 1000, 1000, VaultLook::Auto, 59);
    assert_eq!((later.lists, later.alone), (59, 0), "{later:?}");
}

#[test]
fn few_keys_and_few_among_many_are_asked_alone() {
    let none = turns(&Folders::default(), ENOUGH - 1, 10, VaultLook::Auto, 10);
    assert_eq!((none.lists, none.listed), (0, 0));
    let once = turns(&Folders::default(), 10, 5000, VaultLook::Auto, 100);
    assert_eq!(once.lists, 1, "{once:?}");
    let metadata = turns(&Folders::default(), 100, 100, VaultLook::Metadata, 2);
    assert_eq!(metadata.alone, 200);
}

#[test]
fn a_key_that_is_observed_again_at_once_is_not_answered_from_the_same_list() {
    let folders = Folders::default();
    turns(&folders, 20, 20, VaultLook::List, 2);
    for key in 0..20 {
        assert!(!matches!(
            folders.plan(&path(key), VaultLook::Metadata, TOKEN),
            Plan::Listed(_)
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_began_before_a_newer_answer_is_not_used() {
    let folders = Folders::default();
    turns(&folders, 20, 20, VaultLook::List, 2);
    let (first, second) = (path(0), path(1));
    let Plan::Make(turn) = folders.plan(&first, VaultLook::List, TOKEN) else {
        panic!("it is time for a list");
    };
    // It is told by an event, and read, while the list is on its way.
    let Plan::Wait(made) = folders.plan(&second, VaultLook::List, TOKEN) else {
        panic!("it waits");
    };
    folders.note(&second);
    assert!(matches!(
        folders.plan(&second, VaultLook::List, TOKEN),
        Plan::Alone
    ));
    let named = turn.made(list(20, 1));
    assert_eq!(folders.take(&first, &named), Some(version(1)));
    let waited = wait(made).await.expect("a list").expect("a list");
    assert_eq!(folders.take(&second, &waited), None);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_not_observed_lately_accepts_only_a_recent_list() {
    let folders = Folders::default();
    turns(&folders, 20, 21, VaultLook::List, 2);
    tokio::time::advance(RECENT).await;
    let Plan::Listed(_) = folders.plan(&path(20), VaultLook::List, TOKEN) else {
        panic!("it is recent");
    };
    let folders = Folders::default();
    turns(&folders, 20, 21, VaultLook::List, 2);
    tokio::time::advance(RECENT + Duration::from_secs(1)).await;
    let Plan::Make(_) = folders.plan(&path(20), VaultLook::List, TOKEN) else {
        panic!("it is old");
    };
}

#[tokio::test(start_paused = true)]
async fn a_refused_list_is_tried_again_with_another_token_and_after_an_hour() {
    let folders = Folders::default();
    turns(&folders, ENOUGH - 1, 10, VaultLook::Auto, 1);
    let path = path(8);
    let plan = |generation| folders.plan(&path, VaultLook::Auto, generation);
    let Plan::Make(turn) = plan(TOKEN) else {
        panic!("it is tried");
    };
    turn.refused(TOKEN);
    assert!(matches!(plan(TOKEN), Plan::Alone));
    assert!(matches!(plan(TOKEN + 1), Plan::Make(_)));
    tokio::time::advance(DENIED_FOR).await;
    assert!(matches!(plan(TOKEN), Plan::Make(_)));
}

#[tokio::test]
async fn those_who_wait_for_a_list_that_comes_to_nothing_go_on() {
    let folders = Folders::default();
    let (first, second) = (path(0), path(1));
    let begin = || match folders.plan(&first, VaultLook::List, TOKEN) {
        Plan::Make(turn) => turn,
        _ => panic!("it is time for a list"),
    };
    let join = || match folders.plan(&second, VaultLook::List, TOKEN) {
        Plan::Wait(made) => Box::pin(wait(made)),
        _ => panic!("it waits"),
    };
    let turn = begin();
    let mut waits = join();
    assert!(waits.as_mut().now_or_never().is_none());
    drop(turn);
    assert_eq!(waits.await, Ok(None), "its task was cancelled");
    let turn = begin();
    let waits = join();
    let error = SourceError::Invalid {
        what: "no".to_owned(),
    };
    turn.failed(&error);
    assert_eq!(waits.await, Err(error));
}

#[test]
fn what_a_list_does_not_say_is_asked_alone() {
    let folders = Folders::default();
    let (hidden, deleted) = ("llm/hidden", "llm/deleted");
    let Plan::Make(turn) = folders.plan(hidden, VaultLook::List, TOKEN) else {
        panic!("it is time for a list");
    };
    let mut named = list(3, 1);
    named.insert("deleted".into(), None);
    let named = turn.made(named);
    assert_eq!(folders.take(hidden, &named), None);
    for path in [hidden, deleted] {
        let plan = folders.plan(path, VaultLook::List, TOKEN);
        assert!(matches!(plan, Plan::Alone), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_a_list_shows_to_have_changed_are_told() {
    let folders = Folders::default();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let ear = Arc::clone(&heard);
    folders.tell(Arc::new(move |path: &str, version: &Version| {
        ear.lock().push(format!("{path} {version}"));
    }));
    turns(&folders, 3, 5, VaultLook::List, 2);
    assert_eq!(*heard.lock(), [""; 0], "nothing has changed");
    let path = path(0);
    let Plan::Make(turn) = folders.plan(&path, VaultLook::List, TOKEN) else {
        panic!("it is time for a list");
    };
    let mut named = list(5, 1);
    // One that is no key, one that is a key, and one that has gone.
    named.insert("4".into(), Some(version(2)));
    named.insert("2".into(), Some(version(2)));
    named.remove("1");
    turn.made(named);
    assert_eq!(*heard.lock(), ["llm/2 2"]);
}
