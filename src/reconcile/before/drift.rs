//! Drift: what somebody changed in Flashback behind the rotator's back, and what follows.
//!
//! ```text
//!   nothing to push ──▶ Compare ── not known, or as written ────────────▶ as it was
//!                          │ ours is gone or edited
//!                  Compare afresh ── not known, or as written after all ─▶ as it was
//!                          │ it is so
//!                        Push (the live value), which a 404 turns into a creation
//!
//!   ours is gone or renamed, and another has its name ──▶ Rest(Contradiction): no write
//! ```
//!
//! A list that may be older than the key's last push says nothing, and nothing is written but by a
//! list that was asked for in the same pass. A repair that the list does not show afterwards is not
//! repeated before the next resync: Flashback has taken it and shows it in a form of its own, or
//! somebody else writes it, too, and then the two would write in turns for ever.

use url::Url;

use super::super::Drift;
use super::{Facts, ListAge, Reason, Rest, Step, known_id, verification};
use crate::model::{Appearance, Live, Record, Settings, Shown};
use crate::words;

/// A name or address of somebody else is shown up to this length, in characters.
const LONGEST: usize = 120;

/// Whether the list is to be asked when there is nothing to push: the live value could be written
/// again, and nothing more urgent waits for an answer about it.
pub(super) fn matters(facts: &Facts<'_>, rest: &Rest) -> bool {
    let record = facts.record;
    let (Some(live), Some(_), None) = (&record.live, known_id(facts), &record.intent) else {
        return false;
    };
    // Whether the value works is found out first, where the time for that is limited.
    let urgent = record.verification.as_ref();
    if urgent.is_some_and(|verification| !verification.pace(facts.verify.grace, facts.now).1) {
        return false;
    }
    match rest {
        Rest::InSync => true,
        Rest::Held(_) => verification::keeps_older(facts, rest) || lives_as_held(record, live),
        _ => false,
    }
}

fn lives_as_held(record: &Record, live: &Live) -> bool {
    let held = record.held.as_ref();
    held.is_some_and(|held| held.is(&live.version, &live.origin))
}

/// The question to ask of the list, or what its answer makes of `rest`.
pub(super) fn at_rest(facts: &Facts<'_>, rest: Rest) -> Step {
    if let Some(question) = question(facts) {
        return question;
    }
    Step::Rest(reported(facts).unwrap_or(rest))
}

/// A resync writes nothing to what somebody else has taken over.
pub(super) fn before_resync(facts: &Facts<'_>) -> Option<Step> {
    if facts.record.verification.is_some() || known_id(facts).is_none() {
        return None;
    }
    match facts.compared {
        None => Some(Step::Compare(ListAge::Minutes)),
        Some(compared) => taken_over(facts, &compared.drift).map(Step::Rest),
    }
}

fn question(facts: &Facts<'_>) -> Option<Step> {
    match facts.compared {
        None => Some(Step::Compare(ListAge::Minutes)),
        Some(compared)
            if compared.age != ListAge::Zero && repair(facts, &compared.drift).is_some() =>
        {
            Some(Step::Compare(ListAge::Zero))
        }
        Some(_) => None,
    }
}

/// Why the live value is to be written again: somebody else has written its credentials, or a fresh list
/// has confirmed a drift.
pub(super) fn due(facts: &Facts<'_>) -> Option<Reason> {
    if let Some(user) = &facts.record.edits.changed_by {
        return Some(Reason::Overwritten(user.clone()));
    }
    let compared = facts
        .compared
        .filter(|compared| compared.age == ListAge::Zero)?;
    repair(facts, &compared.drift)
}

/// What is on trial is not written for an edit: that would begin the trial anew, or end another.
fn repair(facts: &Facts<'_>, drift: &Drift) -> Option<Reason> {
    let record = facts.record;
    let shown = record.live.as_ref().and_then(|live| live.shown.as_ref());
    match drift {
        Drift::Gone => (shown != Some(&Shown::Nowhere)).then_some(Reason::Unlisted),
        Drift::Edited(found) if record.verification.is_none() => {
            let again = matches!(shown, Some(Shown::As(before)) if before == found);
            let written = &record.live.as_ref()?.settings;
            (!again).then(|| Reason::Drifted(differences(written, found)))
        }
        Drift::Edited(_)
        | Drift::Unknown
        | Drift::AsWritten
        | Drift::Shared(_)
        | Drift::TakenOver { .. } => None,
    }
}

/// What people have to put right.
fn reported(facts: &Facts<'_>) -> Option<Rest> {
    if facts.record.verification.is_some() {
        return None;
    }
    let drift = &facts.compared?.drift;
    match drift {
        // It is shown as before its repair.
        Drift::Edited(found) if repair(facts, drift).is_none() => {
            let written = &facts.record.live.as_ref()?.settings;
            Some(Rest::Contradiction(format!(
                "{} again after it was put right: somebody else writes it, too, or Flashback shows \
                 it in another form. Let only one of them write it, or configure the key as \
                 Flashback shows it",
                differences(written, found)
            )))
        }
        drift => taken_over(facts, drift),
    }
}

fn taken_over(facts: &Facts<'_>, drift: &Drift) -> Option<Rest> {
    let Drift::TakenOver { by, renamed } = drift else {
        return None;
    };
    let id = facts.record.ai_llm_id.as_ref()?;
    let (name, workspace) = (&facts.settings.name, &facts.settings.workspace_id);
    let (happened, remedy) = match renamed {
        Some(renamed) => (
            format!("was renamed to `{renamed}`"),
            "Rename or delete that one".to_owned(),
        ),
        None => (
            "is gone".to_owned(),
            "Rename or delete that one, or have it taken over with `sync --force`".to_owned(),
        ),
    };
    Some(Rest::Contradiction(format!(
        "the configuration {id} {happened} in Flashback, and its name `{name}` in workspace \
         `{workspace}` belongs to another one now ({by}), to which nothing is written by itself. \
         {remedy}"
    )))
}

/// Lists the differences, for people; empty where there are none. A field that the list leaves out counts as equal.
fn differences(written: &Settings, found: &Appearance) -> String {
    let mut all = Vec::new();
    if !same_name(&written.name, &found.name) {
        all.push(format!("name was `{}`", shown(&found.name)));
    }
    let other = |ai_type: &&String| ai_type.trim() != written.ai_type.as_str();
    if let Some(ai_type) = found.ai_type.as_ref().filter(other) {
        all.push(format!("ai_type was {}", shown(ai_type)));
    }
    let other = |endpoint: &&String| !same_endpoint(&written.endpoint, endpoint);
    if let Some(endpoint) = found.endpoint.as_ref().filter(other) {
        all.push(format!("endpoint was {}", shown_url(endpoint)));
    }
    if all.is_empty() {
        return String::new();
    }
    format!("{} in Flashback", all.join(", "))
}

fn same_name(one: &str, other: &str) -> bool {
    one.trim() == other.trim()
}

/// Compares as URLs: the case of scheme and host and a default port mean nothing, and a slash at the
/// end is often added or taken away.
fn same_endpoint(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let text = text.trim();
        let url = Url::parse(text).map_or_else(|_| text.to_owned(), String::from);
        url.trim_end_matches('/').to_owned()
    };
    plain(one) == plain(other)
}

/// Words that somebody wrote into Flashback, as far as they may be shown.
fn shown(text: &str) -> String {
    words::shown(text, &[]).chars().take(LONGEST).collect()
}

/// An address without what may carry a password or a key.
fn shown_url(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = plain.split_once("://").unwrap_or(("", plain));
    let (host, path) = match rest.split_once('/') {
        Some((host, path)) => (host, Some(path)),
        None => (rest, None),
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, format!(":{port}")),
        _ => (host, String::new()),
    };
    let parts = std::iter::once(host).chain(path.into_iter().flat_map(|path| path.split('/')));
    let mut parts: Vec<_> = parts.map(shown).collect();
    parts[0] += &port;
    let scheme = match scheme {
        "" => String::new(),
        scheme => format!("{}://", shown(scheme)),
    };
    format!("{scheme}{}", parts.join("/"))
}
