//! A small world: a store that rotates, providers that take some keys and not others, a Flashback
//! with every fault of the real one, a process that dies between any two steps. What holds in it
//! whatever the order is in [`properties`].

mod calls;
mod drift;
mod foreign;
mod happening;
mod properties;
mod starts;
mod stored_keys;

use self::drift::listed;
use self::happening::Happening;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::config::VerifyConfig;
use crate::document::FieldMap;
use crate::model::{
    AiLlmId, AiType, Appearance, Asked, Edit, Intent, KeyId, Listed, Missing, Origin, Record,
    Repair, Settings, SourceId, Target, Verdict, Verification, WorkspaceId,
};
use crate::secret::Fingerprinter;

const RULES: Rules = Rules {
    resync: Duration::from_secs(24 * 3600),
    refused: Duration::from_secs(15 * 60),
    since: DateTime::<Utc>::MIN_UTC,
};

const GRACE: Duration = Duration::from_secs(60);

/// No pass takes more steps than this, with or without faults.
const LONGEST_PASS: usize = 20;

/// How one call goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Fine,
    /// Carried out, and the answer lost.
    LostAnswer,
    /// Not carried out, and no answer.
    LostRequest,
    Refused,
}

#[derive(Clone, Debug)]
struct Configuration {
    id: AiLlmId,
    settings: Settings,
    value: u8,
    /// It takes its credentials from this stored key.
    stored_key: Option<AiLlmId>,
}

struct World {
    verify: VerifyConfig,
    versions: Vec<u8>,
    current: Option<usize>,
    pruned: BTreeSet<usize>,
    /// The values that do not work.
    revoked: BTreeSet<u8>,
    settings: Settings,
    origin: Origin,
    record: Record,
    configurations: Vec<Configuration>,
    made: u32,
    pushes: usize,
    refusals: usize,
    questions: usize,
    lists: usize,
    /// The last list, when it was asked for and after how many pushes.
    listed: Option<(Vec<Configuration>, DateTime<Utc>, usize)>,
    /// Flashback shows no list, or not what it holds.
    unlisted: bool,
    /// Updates that Flashback has told of and nobody has heard of yet, and how many there were.
    told: Vec<Edit>,
    events: i64,
    rules: Rules,
    now: DateTime<Utc>,
}

/// How a pass ended.
#[derive(Debug, PartialEq)]
enum End {
    Rested(Rest),
    Cut,
}

/// What a pass has brought to light.
#[derive(Default)]
struct Light {
    reading: Option<Read>,
    older: Option<Older>,
    before: Option<Result<Version, String>>,
    cleared: bool,
    remote: Option<Remote>,
    compared: Option<Compared>,
    rejection: Option<Rejection>,
}

impl World {
    fn new(verify: VerifyConfig) -> Self {
        Self {
            verify,
            versions: vec![1],
            current: Some(0),
            pruned: BTreeSet::new(),
            revoked: BTreeSet::new(),
            settings: named(0),
            origin: field(0),
            record: Record::new(KeyId::new("k")),
            configurations: Vec::new(),
            made: 0,
            pushes: 0,
            refusals: 0,
            questions: 0,
            lists: 0,
            listed: None,
            unlisted: false,
            told: Vec::new(),
            events: 0,
            rules: RULES,
            now: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
        }
    }

    /// One pass, as the engine makes it: each change of the record is durable when its step is
    /// over, and everything else is lost with the process.
    fn look(
        &mut self,
        faults: &[Fault],
        dies_after: Option<usize>,
        mut command: KeyCommand,
    ) -> End {
        self.hear();
        let mut faults = faults.iter().copied();
        let observation = match self.current {
            None => Observation::Missing(Missing::Deleted),
            Some(index) => Observation::Present {
                version: version(index),
                written_at: None,
            },
        };
        if let Observation::Present { version, .. } = &observation
            && self.record.seen.as_ref() != Some(version)
        {
            self.record = self.record.having_seen(version);
        }
        let mut light = Light::default();
        for steps in 0..=LONGEST_PASS {
            if dies_after == Some(steps) {
                self.happen(Happening::Start);
                return End::Cut;
            }
            let step = decide(&Facts {
                settings: &self.settings,
                origin: &self.origin,
                record: &self.record,
                observation: &observation,
                reading: light.reading.as_ref(),
                older: light.older.as_ref(),
                before: light.before.as_ref(),
                cleared: light.cleared,
                remote: light.remote.as_ref().unwrap_or(&Remote::Unasked),
                compared: light.compared.as_ref(),
                may_create: true,
                rejection: light.rejection.as_ref(),
                command,
                rules: self.rules,
                verify: &self.verify,
                now: self.now,
            });
            let fault = || faults.next().unwrap_or(Fault::Fine);
            if let Some(end) = self.carry_out(step, &mut light, &mut command, fault) {
                return end;
            }
        }
        panic!("a pass that does not end: {:?}", self.record);
    }

    fn carry_out(
        &mut self,
        step: Step,
        light: &mut Light,
        command: &mut KeyCommand,
        mut fault: impl FnMut() -> Fault,
    ) -> Option<End> {
        let now = self.now;
        match step {
            Step::Rest(rest) => return Some(End::Rested(rest)),
            Step::Read(asked) => {
                let index = self.current.expect("something was observed");
                light.reading = Some(Read::Value {
                    version: asked,
                    fingerprint: digest(self.value(index, &self.origin)),
                });
            }
            Step::ReadOlder { version, origin } => {
                let index = index_of(&version);
                let found = match self.pruned.contains(&index) {
                    true => Err("gone".to_owned()),
                    false => Ok(digest(self.value(index, &origin))),
                };
                light.older = Some(Older {
                    version,
                    origin,
                    found,
                });
            }
            Step::FindOlder(asked) => {
                let before = index_of(&asked).checked_sub(1);
                let before = before.map(version).ok_or_else(|| "the first".to_owned());
                light.before = Some(before);
            }
            Step::List => match fault() {
                Fault::Fine => {
                    let all = listed(&self.list_of_names(light));
                    let all: Vec<&Listed> = all.iter().collect();
                    light.remote = Some(find(&self.settings, &self.record, &all));
                }
                Fault::Refused => light.remote = Some(Remote::Unlistable("403".into())),
                Fault::LostAnswer | Fault::LostRequest => return Some(End::Cut),
            },
            Step::Compare(age) => self.compare(light, age, fault),
            Step::Probe => self.probe(light, fault()),
            Step::Validate(id) => self.validate(&id, fault()),
            Step::Note(version) => self.record = self.record.noted(&version, &self.origin),
            Step::Refuse { version, error } => {
                *command = KeyCommand::None;
                let (origin, settings) = (self.origin.clone(), self.settings.clone());
                let rules = &self.rules;
                self.record = self
                    .record
                    .refused(version, origin, settings, error, rules, now);
            }
            Step::Hold { version, reason } => {
                light.rejection = None;
                if reason == HoldReason::ByHand {
                    *command = KeyCommand::None;
                }
                let origin = self.origin.clone();
                self.record = self.record.holding(version, origin, &reason, now);
            }
            Step::TurnBack { to, from, reason } => {
                light.rejection = None;
                if reason == HoldReason::ByHand {
                    *command = KeyCommand::None;
                }
                let origin = self.origin.clone();
                self.record = self.record.turning_back(to, from, origin, &reason, now);
            }
            Step::LetStand { stand, .. } => {
                light.rejection = None;
                self.record = self.record.letting_stand(stand, now);
            }
            Step::Keep => self.record = self.record.keeping(now),
            Step::EndTrial => {
                let verdict = Verdict::Unsupported(String::new());
                self.record = self.record.validated(&verdict, self.asked(None));
            }
            Step::Leave(_) => {
                light.rejection = None;
                self.record = self.record.leaving_older(now);
            }
            Step::Push {
                action,
                id,
                reason,
                what,
            } => return self.push(light, command, (action, id, reason, what), fault()),
        }
        None
    }
}

fn named(name: u8) -> Settings {
    Settings {
        workspace_id: WorkspaceId::new("w"),
        name: format!("name-{name}"),
        ai_type: AiType::Openai,
        endpoint: "https://api.openai.com/v1".into(),
        target: Target::Configuration,
    }
}

fn field(number: u8) -> Origin {
    Origin {
        source: SourceId::new("s"),
        path: number.to_string(),
        fields: FieldMap::default(),
    }
}

fn version(index: usize) -> Version {
    Version::numbered(index as u64 + 1, "then")
}

fn index_of(version: &Version) -> usize {
    let number = version.number().expect("a number");
    usize::try_from(number).expect("small") - 1
}

fn digest(value: u8) -> Fingerprint {
    Fingerprinter::new([3; 32]).bytes(&[value])
}
