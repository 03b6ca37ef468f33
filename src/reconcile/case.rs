//! One situation, laid before the decision by the tests that walk the tables.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::*;
use crate::config::VerifyConfig;
use crate::document::FieldMap;
use crate::model::{
    Action, AiLlmId, AiType, Appearance, Intent, KeyId, Origin, Record, Refusal, Settings,
    SourceId, Target, WorkspaceId,
};
use crate::secret::Fingerprinter;

const RULES: Rules = Rules {
    resync: Duration::from_secs(24 * 3600),
    refused: Duration::from_secs(15 * 60),
    since: DateTime::<Utc>::MIN_UTC,
};

pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a time")
}

pub fn digest(value: &str) -> Fingerprint {
    Fingerprinter::new([3; 32]).bytes(value.as_bytes())
}

pub fn origin(path: &str) -> Origin {
    Origin {
        source: SourceId::new("s"),
        path: path.into(),
        fields: FieldMap::default(),
    }
}

pub fn stored(version: &str, value: &str) -> Stored {
    Stored {
        version: Version::new(version),
        fingerprint: digest(value),
        origin: origin("a"),
    }
}

pub fn settings(name: &str, workspace: &str) -> Settings {
    Settings {
        workspace_id: WorkspaceId::new(workspace),
        name: name.into(),
        ai_type: AiType::Openai,
        endpoint: "https://api.openai.com/v1".into(),
        target: Target::Configuration,
    }
}

/// How a list shows a configuration with these settings.
pub fn shown(settings: &Settings) -> Appearance {
    Appearance {
        name: settings.name.clone(),
        ai_type: Some(settings.ai_type.as_str().to_owned()),
        endpoint: Some(settings.endpoint.clone()),
        stored_key: None,
    }
}

/// One situation, built up from "version 1 is live and nothing has happened since".
pub struct Case {
    pub settings: Settings,
    pub origin: Origin,
    pub record: Record,
    pub observation: Observation,
    pub reading: Option<Read>,
    pub remote: Remote,
    pub compared: Option<Compared>,
    pub rejection: Option<Rejection>,
    pub command: KeyCommand,
    pub older: Option<Older>,
    pub before: Option<Result<Version, String>>,
    pub cleared: bool,
    pub may_create: bool,
    pub verify: VerifyConfig,
    pub rules: Rules,
    pub now: DateTime<Utc>,
}

impl Case {
    pub fn fresh() -> Self {
        Self {
            settings: settings("n", "w"),
            origin: origin("a"),
            record: Record::new(KeyId::new("k")),
            observation: Observation::Present {
                version: Version::new("1"),
                written_at: None,
            },
            reading: None,
            remote: Remote::Unasked,
            compared: Some(Compared::outdated()),
            rejection: None,
            command: KeyCommand::None,
            older: None,
            before: None,
            cleared: false,
            may_create: false,
            verify: VerifyConfig {
                before_provider: false,
                after_flashback: true,
                grace: Duration::from_secs(60),
                rollback: true,
                settle: Duration::ZERO,
            },
            rules: RULES,
            now: at(60),
        }
    }

    pub fn live() -> Self {
        let mut case = Self::fresh();
        case.record = case.record.pushed(Pushed {
            id: AiLlmId::new("id-1"),
            value: stored("1", "one"),
            settings: settings("n", "w"),
            what: What::Newest,
            validate: false,
            anew: false,
            verified_by: None,
            shown: None,
            created_at: None,
            at: at(0),
        });
        case
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn seen(self, version: &str) -> Self {
        let observation = Observation::Present {
            version: Version::new(version),
            written_at: None,
        };
        self.with(|case| case.observation = observation)
    }

    pub fn read(self, version: &str, value: &str) -> Self {
        let read = Read::Value {
            version: Version::new(version),
            fingerprint: digest(value),
        };
        self.with(|case| case.reading = Some(read))
    }

    pub fn unfinished(self, action: Action, version: &str) -> Self {
        self.with(|case| {
            case.record.intent = Some(Intent {
                version: Version::new(version),
                fingerprint: digest("two"),
                settings: case.settings.clone(),
                action,
                at: at(10),
                drift: None,
            });
        })
    }

    pub fn refused(self, version: &str, after: i64) -> Self {
        self.with(|case| {
            case.record.refusal = Some(Refusal {
                version: Version::new(version),
                origin: origin("a"),
                settings: settings("n", "w"),
                at: at(60 - after),
                early: 0,
                error: "no".into(),
            });
        })
    }

    /// The process was started just now, after so many starts that have brought a try forward.
    pub fn started(self, early: u32) -> Self {
        self.with(|case| {
            case.rules.since = case.now;
            if let Some(refusal) = &mut case.record.refusal {
                refusal.early = early;
            }
        })
    }

    pub fn rejected(self, action: Action) -> Self {
        self.with(|case| {
            case.rejection = Some(Rejection::Refused {
                action,
                error: "no".into(),
            });
        })
    }

    pub fn gone(self, id: &str) -> Self {
        self.with(|case| case.rejection = Some(Rejection::Gone(AiLlmId::new(id))))
    }

    pub fn remote(self, remote: Remote) -> Self {
        self.with(|case| case.remote = remote)
    }

    pub fn forced(self) -> Self {
        self.with(|case| case.command = KeyCommand::Force)
    }

    /// The step, in few words.
    pub fn step(&self) -> String {
        let step = decide(&Facts {
            settings: &self.settings,
            origin: &self.origin,
            record: &self.record,
            observation: &self.observation,
            reading: self.reading.as_ref(),
            remote: &self.remote,
            compared: self.compared.as_ref(),
            may_create: self.may_create,
            rejection: self.rejection.as_ref(),
            older: self.older.as_ref(),
            before: self.before.as_ref(),
            cleared: self.cleared,
            command: self.command,
            rules: self.rules,
            verify: &self.verify,
            now: self.now,
        });
        match step {
            Step::Read(version) => format!("read {version}"),
            Step::List => "list".into(),
            Step::Compare(ListAge::Minutes) => "compare".into(),
            Step::Compare(ListAge::Seconds) => "compare to write".into(),
            Step::Compare(ListAge::Zero) => "compare afresh".into(),
            Step::Push {
                action,
                id,
                reason,
                what,
            } => {
                let id = id.map_or_else(String::new, |id| format!(" {id}"));
                let older = match what {
                    What::Newest => "",
                    What::Older => " with the older one",
                };
                format!("{}{id}{older}: {reason}", action.as_str())
            }
            Step::ReadOlder { version, .. } => format!("read older {version}"),
            Step::FindOlder(version) => format!("find what is before {version}"),
            Step::Probe => "probe".into(),
            Step::Validate(id) => format!("validate {id}"),
            Step::Hold { version, reason } => format!("hold {version}: {reason}"),
            Step::TurnBack { to, from, .. } => format!("from {from} back to {}", to.version),
            Step::LetStand { stand, .. } => match stand {
                Stand::Best => "let stand".into(),
                Stand::Held => "let stand, held".into(),
                Stand::ForNow => "let stand for now".into(),
            },
            Step::Keep => "keep".into(),
            Step::EndTrial => "end the trial".into(),
            Step::Leave(_) => "leave".into(),
            Step::Note(version) => format!("note {version}"),
            Step::Refuse { version, .. } => format!("refuse {version}"),
            Step::Rest(Rest::InSync) => "in sync".into(),
            Step::Rest(Rest::Missing(why)) => format!("missing: {why:?}"),
            Step::Rest(Rest::Malformed(_)) => "malformed".into(),
            Step::Rest(Rest::Held(_)) => "held".into(),
            Step::Rest(Rest::Refused { until, .. }) => {
                format!("refused for {} s", (until - self.now).num_seconds())
            }
            Step::Rest(Rest::Contradiction(_)) => "contradiction".into(),
            Step::Rest(Rest::Probing(_)) => "probing".into(),
            Step::Rest(Rest::Unproven(_)) => "unproven".into(),
            Step::Rest(Rest::NoWayBack(_)) => "no way back".into(),
        }
    }
}
