//! One situation, laid before the decision by the tests that walk the tables.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::*;
use crate::document::FieldMap;
use crate::model::{
    Action, AiLlmId, AiType, Appearance, Check, Intent, KeyConfig, KeyId, Origin, Record, Refusal,
    Settings, SourceId, Target, VerifyConfig, WorkspaceId,
};
use crate::secret::{Credentials, Fingerprinter, Secret};

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

/// Returns the appearance in a list of a configuration with these settings.
pub fn shown(settings: &Settings) -> Appearance {
    Appearance {
        name: settings.name.clone(),
        ai_type: Some(settings.ai_type.as_str().to_owned()),
        endpoint: Some(settings.endpoint.clone()),
        stored_key: None,
    }
}

/// Returns a value that was read, whose secret is its name.
pub fn value(version: &str, value: &str) -> ReadValue {
    ReadValue {
        stored: stored(version, value),
        credentials: Arc::new(Credentials {
            key: None,
            secret: Secret::new(value.to_owned()),
        }),
    }
}

/// Returns the configuration of a key with these settings.
pub fn config(settings: Settings, origin: Origin, verify: VerifyConfig) -> KeyConfig {
    KeyConfig {
        settings,
        origin,
        check: Check::Every(Duration::from_secs(30)),
        check_with_events: None,
        verify,
        max_age: None,
        rotate: None,
        enabled: true,
        may_create: false,
        rule: None,
    }
}

/// One situation, built up from "version 1 is live and nothing has happened since".
pub struct Scenario(Knowledge);

impl Deref for Scenario {
    type Target = Knowledge;

    fn deref(&self) -> &Knowledge {
        &self.0
    }
}

impl DerefMut for Scenario {
    fn deref_mut(&mut self) -> &mut Knowledge {
        &mut self.0
    }
}

impl Scenario {
    pub fn fresh() -> Self {
        let verify = VerifyConfig {
            before_provider: false,
            after_flashback: true,
            grace: Duration::from_secs(60),
            rollback: true,
            settle: Duration::ZERO,
        };
        let config = config(settings("n", "w"), origin("a"), verify);
        let record = Record::new(KeyId::new("k"));
        Self(Knowledge {
            observation: Observation::Present {
                version: Version::new("1"),
                written_at: None,
            },
            compared: Some(Compared::outdated()),
            ..Knowledge::new(Arc::new(config), RULES, record, at(60))
        })
    }

    pub fn config(&mut self) -> &mut KeyConfig {
        Arc::make_mut(&mut self.0.config)
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
        let read = Read::Value(self::value(version, value));
        self.with(|case| case.newest = Some(read))
    }

    pub fn unfinished(self, action: Action, version: &str) -> Self {
        self.with(|case| {
            case.record.intent = Some(Intent {
                version: Version::new(version),
                fingerprint: digest("two"),
                settings: case.config.settings.clone(),
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

    /// Starts the process now, after `early` starts that have brought a try forward.
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

    /// Returns the step in a few words.
    pub fn step(&self) -> String {
        match decide(self) {
            Step::Ask(Question::Read(version)) => format!("read {version}"),
            Step::Ask(Question::List) => "list".into(),
            Step::Ask(Question::Compare(ListAge::Minutes)) => "compare".into(),
            Step::Ask(Question::Compare(ListAge::Seconds)) => "compare to write".into(),
            Step::Ask(Question::Compare(ListAge::Zero)) => "compare afresh".into(),
            Step::Push(push) => {
                let Push {
                    action,
                    id,
                    reason,
                    what,
                    ..
                } = *push;
                let id = id.map_or_else(String::new, |id| format!(" {id}"));
                let older = match what {
                    What::Newest => "",
                    What::Older => " with the older one",
                };
                format!("{}{id}{older}: {reason}", action.as_str())
            }
            Step::Ask(Question::ReadOlder { version, .. }) => format!("read older {version}"),
            Step::Ask(Question::FindOlder(version)) => format!("find what is before {version}"),
            Step::Ask(Question::Probe(_)) => "probe".into(),
            Step::Validate { id, .. } => format!("validate {id}"),
            Step::Conclude(Conclusion::Hold { version, reason }) => {
                format!("hold {version}: {reason}")
            }
            Step::Conclude(Conclusion::TurnBack { to, from, .. }) => {
                format!("from {from} back to {}", to.version)
            }
            Step::Conclude(Conclusion::LetStand { stand, .. }) => match stand {
                Stand::Best => "let stand".into(),
                Stand::Held => "let stand, held".into(),
                Stand::ForNow => "let stand for now".into(),
            },
            Step::Conclude(Conclusion::Keep) => "keep".into(),
            Step::Conclude(Conclusion::EndVerification) => "end the verification".into(),
            Step::Conclude(Conclusion::Leave(_)) => "leave".into(),
            Step::Conclude(Conclusion::Note(version)) => format!("note {version}"),
            Step::Conclude(Conclusion::Refuse { version, .. }) => format!("refuse {version}"),
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
