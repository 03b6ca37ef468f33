//! The content of a notification, before it is written in a receiver's format.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::event::{Event, Subject};

/// The most subjects of one notice that are named.
const NAMED: usize = 10;

/// One notification: an event of one subject or of several.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The event.
    pub event: Event,
    /// For [`Event::Recovered`], the event of the state that is over.
    pub was: Option<Event>,
    /// The subjects; never empty.
    pub about: Vec<About>,
    /// The name of this machine or pod.
    pub instance: String,
}

/// One subject of a [`Notice`]. A field that is unknown, or does not apply, is `None`.
#[derive(Clone, Debug)]
pub struct About {
    /// The subject.
    pub subject: Subject,
    /// The time at which it happened, or since which the state has lasted.
    pub at: DateTime<Utc>,
    /// The source.
    pub source: Option<String>,
    /// The key's name in Flashback.
    pub name: Option<String>,
    /// The key's workspace.
    pub workspace_id: Option<String>,
    /// The id of the configuration or stored key that holds the credentials in Flashback.
    pub ai_llm_id: Option<String>,
    /// The version concerned: the one that is live, or the one that is held.
    pub version: Option<String>,
    /// The version before it: the one that was live, or the one that is live in place of a held one.
    pub previous_version: Option<String>,
    /// More details, such as the error, as `status` shows it.
    pub detail: Option<String>,
}

impl About {
    /// Returns a subject without details.
    pub fn of(subject: Subject, at: DateTime<Utc>) -> Self {
        Self {
            subject,
            at,
            source: None,
            name: None,
            workspace_id: None,
            ai_llm_id: None,
            version: None,
            previous_version: None,
            detail: None,
        }
    }

    /// Returns the noun of the subject, such as `key openai`, `source vault` or `Flashback`.
    fn noun(&self) -> String {
        match &self.subject {
            Subject::Key(id) | Subject::Age(id) | Subject::Rotation(id) => format!("key {id}"),
            Subject::Source(id) => format!("source {id}"),
            Subject::Flashback => "Flashback".to_owned(),
            Subject::State => "the state".to_owned(),
            Subject::Configuration => "the configuration".to_owned(),
        }
    }

    /// Returns the id of the subject, such as `openai` or `vault`, or its noun where there is only one of its
    /// kind.
    fn id(&self) -> String {
        match &self.subject {
            Subject::Key(id) | Subject::Age(id) | Subject::Rotation(id) => id.to_string(),
            Subject::Source(id) => id.to_string(),
            _ => self.noun(),
        }
    }
}

impl Notice {
    /// Returns the notice's id. It is the same for the same event whichever replica sends it and however
    /// often, so that receivers can drop duplicates.
    pub fn id(&self) -> String {
        let mut digest = Sha256::new();
        let mut add = |text: &str| {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        add(self.event.as_str());
        add(self.was.map_or("", Event::as_str));
        for about in &self.about {
            add(&about.subject.to_string());
            add(&about.at.timestamp_micros().to_string());
            if !about.subject.is_kept() {
                add(&self.instance);
            }
        }
        let digest = digest.finalize();
        let hex = digest.iter().take(16).map(|byte| format!("{byte:02x}"));
        format!("msg_{}", hex.collect::<String>())
    }

    /// Returns when it happened, or since which the state has lasted.
    pub fn at(&self) -> DateTime<Utc> {
        let at = self.about.iter().map(|about| about.at).min();
        at.unwrap_or_default()
    }

    /// Returns the notice as one sentence for people.
    pub fn summary(&self) -> String {
        match &self.about[..] {
            [one] => self.sentence(one),
            all => self.of_several(all),
        }
    }

    fn sentence(&self, about: &About) -> String {
        let noun = about.noun();
        let version = about.version.as_deref().unwrap_or("unknown");
        let before = about.previous_version.as_deref();
        let said = match self.event {
            Event::Failing => format!("{noun} cannot be kept current"),
            Event::Held if before == Some(version) => {
                format!("version {version} of {noun} does not work, and is live")
            }
            Event::Held => format!("version {version} of {noun} is held, and is not pushed"),
            Event::Missing => format!("the source has nothing to push for {noun}"),
            Event::Old => noun,
            Event::RotationStuck => format!("the rotation of {noun} does not get on"),
            Event::SourceDown | Event::FlashbackDown => format!("{noun} does not answer"),
            Event::StateFailing => "the state cannot be used".to_owned(),
            Event::ConfigRejected => {
                "the changed configuration is refused; the earlier one is in force".to_owned()
            }
            Event::Rotated => match before {
                Some(before) => format!("{noun} was rotated from version {before} to {version}"),
                None => format!("{noun} was rotated to version {version}"),
            },
            Event::RolledBack => match before {
                Some(before) => {
                    format!("{noun} was rolled back to version {version}; {before} is held")
                }
                None => format!("{noun} was rolled back to version {version}"),
            },
            Event::DriftRepaired => {
                format!("{noun} had been changed in Flashback, and was put right")
            }
            Event::OldKeyRevoked => format!("an old key of {noun} does not work any more"),
            Event::Recovered => match (self.was, &about.subject) {
                (_, Subject::Rotation(_)) => {
                    format!("the rotation of {noun} is not stuck any more")
                }
                (_, Subject::Age(_)) => {
                    format!("the live version of {noun} is no longer too old")
                }
                (_, Subject::Source(_) | Subject::Flashback) => format!("{noun} answers again"),
                (_, Subject::State) => "the state can be used again".to_owned(),
                (_, Subject::Configuration) => "a valid configuration is in force".to_owned(),
                (Some(was), Subject::Key(_)) => {
                    format!("{noun} is well again; it was {was}", was = was.as_str())
                }
                (None, Subject::Key(_)) => format!("{noun} is well again"),
            },
        };
        match about.detail.as_deref() {
            Some(detail) => format!("{said}: {detail}"),
            None => said,
        }
    }

    fn of_several(&self, all: &[About]) -> String {
        let are = match self.event {
            Event::Failing => "cannot be kept current",
            Event::Held => "have a version that is held",
            Event::Missing => "have nothing to push in their source",
            Event::Old => "have a live version that is too old",
            Event::RotationStuck => "have a rotation that does not get on",
            Event::SourceDown | Event::FlashbackDown => "do not answer",
            Event::StateFailing => "cannot be used",
            Event::ConfigRejected => "are refused",
            Event::Rotated => "were rotated",
            Event::RolledBack => "were rolled back",
            Event::DriftRepaired => "had been changed in Flashback, and were put right",
            Event::OldKeyRevoked => "have an old key that does not work any more",
            Event::Recovered => "are well again",
        };
        let what = match all.first().map(|about| &about.subject) {
            Some(Subject::Source(_)) => "sources",
            _ => "keys",
        };
        let named = all.iter().take(NAMED).map(About::id);
        let mut named = named.collect::<Vec<_>>().join(", ");
        if all.len() > NAMED {
            named = format!("{named} and {} more", all.len() - NAMED);
        }
        let detail = all.iter().find_map(|about| about.detail.as_deref());
        let detail = detail.map_or_else(String::new, |detail| format!(". One of them: {detail}"));
        format!("{} {what} {are}: {named}{detail}", all.len())
    }

    /// Returns what to do about it, if anything is to be done.
    pub fn remedy(&self) -> Option<&'static str> {
        match self.event {
            Event::Failing => Some(
                "Revoke no older version before this is over. `flashback-rotator status` has the details.",
            ),
            Event::Held => Some(
                "Revoke no older version. Rotate the key once more, or push the held version with `flashback-rotator sync KEY --force`.",
            ),
            Event::Missing => Some(
                "Write the secret again, or take the key out of the configuration. Flashback keeps the version it has.",
            ),
            Event::Old => Some("Rotate the key in its source."),
            Event::RotationStuck => {
                Some("What works stays, and no old key is revoked. It is tried again by itself.")
            }
            Event::SourceDown => Some(
                "Flashback keeps the keys it has; rotations are noticed when the source answers. `flashback-rotator check --connect` says what is wrong.",
            ),
            Event::FlashbackDown => {
                Some("Nothing is lost: what is rotated meanwhile is pushed when it answers.")
            }
            Event::StateFailing => Some(
                "Nothing is pushed before it can be used again: make room on its disk, or see to the database.",
            ),
            Event::ConfigRejected => Some(
                "`flashback-rotator check` says what is wrong with it. The process will not start with it.",
            ),
            Event::RolledBack => Some(
                "Revoke no older version. See why the newer one does not work, and rotate the key once more.",
            ),
            Event::DriftRepaired => Some("See who changes keys in Flashback by hand."),
            Event::Rotated | Event::OldKeyRevoked | Event::Recovered => None,
        }
    }

    /// Returns the section of the documentation that describes the event.
    pub fn runbook(&self) -> Option<&'static str> {
        match self.event {
            Event::Failing | Event::Missing => {
                Some("docs/operations.md#flashbackrotatorkeyoutofsync")
            }
            Event::Held | Event::RolledBack => Some("docs/operations.md#flashbackrotatorkeyheld"),
            Event::Old => Some("docs/operations.md#flashbackrotatorkeyold"),
            Event::RotationStuck => Some("docs/operations.md#flashbackrotatorrotationstuck"),
            Event::SourceDown => Some("docs/operations.md#flashbackrotatorsourcedown"),
            Event::FlashbackDown => Some("docs/operations.md#flashbackrotatorflashbackdown"),
            Event::StateFailing => Some("docs/operations.md#flashbackrotatorstatedown"),
            Event::ConfigRejected => Some("docs/operations.md#flashbackrotatorconfigrejected"),
            Event::Rotated | Event::DriftRepaired | Event::OldKeyRevoked | Event::Recovered => None,
        }
    }
}
