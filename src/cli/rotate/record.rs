//! The record of a rotation that a person has asked for: for people, and as a document to keep.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::rotation;
use crate::cli::table::{self, Table};
use crate::daemon::state::host;
use crate::engine::{OldKeyReport, RotationReport};
use crate::model::{EndedKey, Fate, KeyId, ProviderKeyId, RotateCommand};

/// The version of the document's form. Fields may be added without another one.
const FORM: u32 = 1;

/// What has come of the wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new key is live and verified. A compromised old key is dead, another one will be.
    Done,
    /// The new key is live and verified, and the compromised one is not known here, so that it was not revoked.
    NotRevoked,
    /// The old key is dead, and the new one is not known to work.
    Broken,
    /// The new key has not stayed: an older one, or another one, went live again.
    TakenBack,
    /// It does not get on.
    Stuck,
    /// It is under way.
    Unfinished,
    /// Nobody has taken the wish.
    NotTaken,
}

impl Outcome {
    fn of(wanted: &RotateCommand, report: &RotationReport) -> Self {
        let is_ours = |command: &RotateCommand| command.at >= wanted.at;
        if report.asked.as_ref().is_some_and(is_ours) {
            return match &report.stuck {
                Some(_) => Self::Stuck,
                None => Self::Unfinished,
            };
        }
        let times = &report.times;
        if !times.asked.as_ref().is_some_and(is_ours) {
            return Self::NotTaken;
        }
        match times.verified_at {
            None if wanted.even_if_broken => Self::Broken,
            None => Self::TakenBack,
            Some(_) if wanted.compromised && times.replaced.is_none() => Self::NotRevoked,
            Some(_) => Self::Done,
        }
    }
}

/// The record of a rotation that a person has asked for.
pub struct RotationRecord {
    key: KeyId,
    wanted: RotateCommand,
    report: RotationReport,
    /// The error of the check, if it has failed.
    failed: Option<String>,
    now: DateTime<Utc>,
    /// What has come of the wish.
    pub outcome: Outcome,
}

impl RotationRecord {
    /// Makes the record of what is known `now`. `failed` is the error of the key's last check.
    pub fn new(
        key: &KeyId,
        wanted: RotateCommand,
        report: RotationReport,
        failed: Option<String>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            key: key.clone(),
            outcome: Outcome::of(&wanted, &report),
            wanted,
            report,
            failed,
            now,
        }
    }

    /// Returns the reason for an outcome that is not "done".
    pub fn reason(&self) -> String {
        let waiting = self.report.waiting.as_deref();
        let why = self.failed.as_deref().or(waiting);
        match self.outcome {
            Outcome::Done => String::new(),
            Outcome::NotRevoked => "the new key is live and verified; the old one is not known here and was NOT revoked: revoke it at the provider yourself, and name it by `adopt` the next time".to_owned(),
            Outcome::Broken => "the old key is dead, as you wanted, and the new one is not known to work".to_owned(),
            Outcome::TakenBack => "the new key has not stayed, because another version went live: `rotate` makes another one".to_owned(),
            Outcome::Stuck => format!(
                "the rotation does not get on, and what worked goes on working: {}",
                waiting.or(why).unwrap_or("`status` may say why")
            ),
            Outcome::Unfinished => format!(
                "the rotation is not over: {}",
                why.unwrap_or("`status` shows what comes of it")
            ),
            Outcome::NotTaken => format!(
                "no rotation was begun: {}",
                why.unwrap_or("the daemon has not loaded a configuration in which the key has `rotate`")
            ),
        }
    }

    /// Returns the steps so far, in order, each with its name in the document and for people.
    fn steps(&self) -> [(&'static str, &'static str, Option<DateTime<Utc>>); 6] {
        let times = &self.report.times;
        let is_ours = times.asked.is_some_and(|asked| asked.at >= self.wanted.at);
        let at = |at: Option<DateTime<Utc>>| at.filter(|_| is_ours);
        [
            ("started", "begun", at(times.started_at)),
            ("minted", "minted", at(times.minted_at)),
            ("stored", "stored", at(times.stored_at)),
            ("live", "live", at(times.live_at)),
            ("verified", "verified", at(times.verified_at)),
            ("old_key_dead", "old key dead", at(self.dead_at())),
        ]
    }

    /// Returns the time since which the key that was replaced does not work any more.
    fn dead_at(&self) -> Option<DateTime<Utc>> {
        let replaced = self.report.times.replaced.as_ref()?;
        let mut old = self.report.old.iter();
        if let Some(old) = old.find(|old| old.id == *replaced) {
            return old.disabled_at;
        }
        let mut ended = self.report.times.ended.iter();
        let ended = ended.find(|ended| ended.id == *replaced)?;
        let deleted_at = Some(ended.at).filter(|_| ended.fate == Fate::Deleted);
        ended.disabled_at.or(deleted_at)
    }

    /// Returns the record for people.
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(id) = self.made() {
            let provider = &self.report.provider;
            let id = table::plain(id.as_str());
            parts.push(format!(
                "The new key of {} is {id}, made by {provider}.",
                self.key
            ));
        }
        let mut table = Table::new(&["STEP", "AT", "AFTER"]);
        table.row([
            "asked for".to_owned(),
            precise(self.wanted.at),
            String::new(),
        ]);
        for (_, step, at) in self.steps() {
            let after = at.map(|at| seconds(at - self.wanted.at));
            table.row([
                step.to_owned(),
                at.map_or_else(table::nothing, precise),
                after.unwrap_or_default(),
            ]);
        }
        parts.push(table.to_string());
        let old = self.report.old.iter();
        let mut fates: Vec<_> = old
            .map(|old| format!("Old key {}", rotation::fate(old, self.now)))
            .collect();
        fates.extend(self.report.times.ended.iter().map(|ended| {
            let what = match ended.fate {
                Fate::Deleted => "deleted",
                Fate::Left => "left to you",
            };
            let (id, at) = (table::plain(ended.id.as_str()), rotation::moment(ended.at));
            format!("Old key {id}: {what} at {at}")
        }));
        let is_over = self.report.times.verified_at.is_some();
        if fates.is_empty() && is_over && self.report.times.replaced.is_none() {
            fates.push(
                "The old key is not known here, and is left at the provider: revoke it yourself."
                    .to_owned(),
            );
        }
        if !fates.is_empty() {
            parts.push(fates.join("\n"));
        }
        parts.join("\n\n")
    }

    /// Returns the id of the key that was made.
    fn made(&self) -> Option<&ProviderKeyId> {
        let [_, (_, _, minted_at), ..] = self.steps();
        let made = self.report.next.as_ref().or(self.report.current.as_ref());
        made.filter(|_| minted_at.is_some())
    }

    /// Returns the document of `--json`.
    pub fn document(&self) -> Value {
        let Self {
            key,
            wanted,
            report,
            ..
        } = self;
        let times: serde_json::Map<_, _> = self
            .steps()
            .into_iter()
            .map(|(name, _, at)| {
                let since = |at: DateTime<Utc>| (at - wanted.at).num_milliseconds();
                let entry = at.map(|at| json!({ "at": precise(at), "ms": since(at) }));
                (name.to_owned(), json!(entry))
            })
            .collect();
        let reason = Some(self.reason()).filter(|reason| !reason.is_empty());
        let open = report.old.iter().map(document_of_open);
        let ended = report.times.ended.iter().map(document_of_ended);
        json!({
            "form": FORM,
            "key": key,
            "provider": report.provider,
            "compromised": wanted.compromised,
            "even_if_broken": wanted.even_if_broken,
            "asked_at": precise(wanted.at),
            "asked_by": { "user": user(), "uid": uid(), "host": host() },
            "outcome": self.outcome,
            "reason": reason,
            "stage": report.stage,
            "times": times,
            "new_key": self.made(),
            "live_key": report.current,
            "replaced_key": report.times.replaced,
            "old_keys": open.chain(ended).collect::<Vec<_>>(),
            "recorded_at": precise(self.now),
            "version": env!("CARGO_PKG_VERSION"),
        })
    }
}

fn document_of_open(old: &OldKeyReport) -> Value {
    let fate = match old.disabled_at {
        Some(_) => "disabled",
        None => "active",
    };
    json!({
        "id": old.id,
        "fate": fate,
        "compromised": old.compromised,
        "disabled_at": old.disabled_at.map(precise),
        "deleted_at": null,
        "revoke_after": old.revoke_after.map(precise),
        "delete_after": old.delete_after.map(precise),
        "stuck": old.stuck.as_ref().map(|stuck| &stuck.why),
    })
}

fn document_of_ended(ended: &EndedKey) -> Value {
    let is_deleted = ended.fate == Fate::Deleted;
    json!({
        "id": ended.id,
        "fate": ended.fate,
        "compromised": ended.compromised,
        "disabled_at": ended.disabled_at.map(precise),
        "deleted_at": is_deleted.then(|| precise(ended.at)),
        "revoke_after": null,
        "delete_after": null,
        "stuck": null,
    })
}

fn precise(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Formats the time between two steps in seconds: "0.42 s".
fn seconds(length: TimeDelta) -> String {
    let sign = if length < TimeDelta::zero() { "-" } else { "" };
    let ms = length.num_milliseconds().unsigned_abs();
    format!("{sign}{}.{:03} s", ms / 1_000, ms % 1_000)
}

fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Returns the name of the user who runs this command, if the machine has one for it.
fn user() -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let uid = uid().to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&uid)).then(|| table::plain(name))
    })
}

#[cfg(test)]
mod tests;
