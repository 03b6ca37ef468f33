//! The record of a rotation that a person has asked for: for people, and as a document to keep.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::cli::rotation;
use crate::cli::table::{self, Table};
use crate::daemon::state::host;
use crate::engine::{OldKeyReport, RotationReport};
use crate::model::{EndedKey, Fate, KeyId, ProviderKeyId, RotateCommand};

/// The version of the document's form. Fields may be added without another one.
const FORM: u32 = 1;

/// What has come of the wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The new key is live and verified. A compromised old key is dead, another one will be.
    Done,
    /// The new key is live and verified, and the compromised one is not known here, so that it was not revoked.
    NotRevoked,
    /// The old key is dead, and the new one is not known to work.
    Broken,
    /// It does not get on.
    Stuck,
    /// It is under way.
    Unfinished,
    /// Nobody has taken the wish.
    NotTaken,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotRevoked => "not_revoked",
            Self::Broken => "broken",
            Self::Stuck => "stuck",
            Self::Unfinished => "unfinished",
            Self::NotTaken => "not_taken",
        }
    }

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
            None => Self::Broken,
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
            "outcome": self.outcome.as_str(),
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
mod tests {
    use super::*;
    use crate::model::{ProviderId, Stuck, Times};
    use crate::rotation::Stage;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(ms)
    }

    fn wanted(compromised: bool) -> RotateCommand {
        RotateCommand {
            compromised,
            even_if_broken: false,
            at: at(0),
        }
    }

    /// A rotation that is over, of a key that was disabled after it.
    fn over(compromised: bool) -> RotationReport {
        let old = OldKeyReport {
            id: ProviderKeyId::new("key_1"),
            since: at(900),
            disabled_at: Some(at(1_000)),
            compromised,
            revoke_after: None,
            delete_after: Some(at(3_600_000)),
            stuck: None,
        };
        RotationReport {
            provider: ProviderId::new("openai"),
            stage: Stage::Disabled,
            due_at: None,
            waiting: None,
            stuck: None,
            asked: None,
            current: Some(ProviderKeyId::new("key_2")),
            next: None,
            old: vec![old],
            times: Times {
                asked: Some(wanted(compromised)),
                replaced: Some(ProviderKeyId::new("key_1")),
                started_at: Some(at(50)),
                minted_at: Some(at(100)),
                stored_at: Some(at(200)),
                live_at: Some(at(500)),
                verified_at: Some(at(900)),
                revoked_at: Some(at(1_000)),
                ended: Vec::new(),
            },
        }
    }

    fn record(report: RotationReport, wanted: RotateCommand) -> RotationRecord {
        let key = KeyId::new("k");
        RotationRecord::new(&key, wanted, report, None, at(2_000))
    }

    fn shown(record: &RotationRecord) -> String {
        anstream::adapter::strip_str(&record.text()).to_string()
    }

    #[test]
    fn the_record_has_each_time_and_what_becomes_of_the_old_key() {
        let record = record(over(true), wanted(true));
        assert_eq!(record.outcome, Outcome::Done);
        assert_eq!(
            shown(&record),
            "The new key of k is key_2, made by openai.\n\n\
             STEP          AT                        AFTER\n\
             asked for     2024-10-04T00:00:00.000Z\n\
             begun         2024-10-04T00:00:00.050Z  0.050 s\n\
             minted        2024-10-04T00:00:00.100Z  0.100 s\n\
             stored        2024-10-04T00:00:00.200Z  0.200 s\n\
             live          2024-10-04T00:00:00.500Z  0.500 s\n\
             verified      2024-10-04T00:00:00.900Z  0.900 s\n\
             old key dead  2024-10-04T00:00:01.000Z  1.000 s\n\n\
             Old key key_1: disabled at 2024-10-04T00:00:01Z; deleted at 2024-10-04T01:00:00Z at the earliest (in 59 min)"
        );
        let document = record.document();
        assert_eq!(document["outcome"], "done");
        assert_eq!(document["reason"], Value::Null);
        assert_eq!(
            document["times"]["old_key_dead"],
            json!({ "at": "2024-10-04T00:00:01.000Z", "ms": 1_000 })
        );
        assert_eq!(document["old_keys"][0]["fate"], "disabled");
        assert_eq!(document["new_key"], "key_2");
    }

    #[test]
    fn a_deleted_key_is_dead_since_it_was_deleted() {
        let mut report = over(true);
        report.old.clear();
        report.times.ended.push(EndedKey {
            id: ProviderKeyId::new("key_1"),
            fate: Fate::Deleted,
            compromised: true,
            disabled_at: None,
            at: at(950),
        });
        let document = record(report, wanted(true)).document();
        assert_eq!(document["times"]["old_key_dead"]["ms"], 950);
        assert_eq!(document["old_keys"][0]["fate"], "deleted");
        assert_eq!(
            document["old_keys"][0]["deleted_at"],
            "2024-10-04T00:00:00.950Z"
        );
    }

    #[test]
    fn a_compromised_key_that_is_not_known_is_not_said_to_be_dead() {
        let mut report = over(true);
        report.old.clear();
        report.times.replaced = None;
        let record = record(report, wanted(true));
        assert_eq!(record.outcome, Outcome::NotRevoked);
        assert!(record.reason().contains("NOT revoked"));
        assert_eq!(record.document()["times"]["old_key_dead"], Value::Null);
    }

    #[test]
    fn what_is_stuck_broken_or_not_taken_says_so() {
        let stuck = RotationReport {
            asked: Some(wanted(true)),
            stuck: Some(Stuck {
                why: "access denied".to_owned(),
                since: at(0),
                tries: 4,
                next_at: at(0),
            }),
            waiting: Some("access denied".to_owned()),
            ..over(true)
        };
        let stuck = record(stuck, wanted(true));
        assert_eq!(stuck.outcome, Outcome::Stuck);
        assert!(
            stuck.reason().ends_with("access denied"),
            "{}",
            stuck.reason()
        );

        let mut broken = over(true);
        broken.times.verified_at = None;
        assert_eq!(record(broken, wanted(true)).outcome, Outcome::Broken);

        let later = RotateCommand {
            at: at(10_000),
            ..wanted(false)
        };
        let not_taken = record(over(false), later);
        assert_eq!(not_taken.outcome, Outcome::NotTaken);
        // The times of a rotation of before are not those of this one.
        assert_eq!(not_taken.document()["times"]["minted"], Value::Null);
    }
}
