//! A simulation: a store that rotates, providers that take some keys and not others, a Flashback
//! with every fault of the real one, a process that dies between any two steps. [`properties`] has what holds
//! in it in every order, and tries that in random orders.

mod calls;
mod drift;
mod events;
mod foreign;
mod happening;
mod properties;
mod starts;
mod stored_keys;

use self::drift::listed;
use self::happening::Happening;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::document::FieldMap;
use crate::model::{
    AiLlmId, AiType, Appearance, Asked, Edit, KeyConfig, KeyId, Listed, Missing, Origin, Record,
    Repair, Settings, SourceId, Target, Verdict, Verification, VerifyConfig, WorkspaceId,
};
use crate::secret::Fingerprinter;

const RULES: Rules = Rules {
    resync: Duration::from_secs(24 * 3600),
    refused: Duration::from_secs(15 * 60),
    since: DateTime::<Utc>::MIN_UTC,
};

const GRACE: Duration = Duration::from_secs(60);

/// The largest number of steps of a check, with or without faults.
const LONGEST_PASS: usize = 20;

/// The outcome of one call.
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

struct Simulation {
    verify: VerifyConfig,
    versions: Vec<u8>,
    current: Option<usize>,
    /// The version with which the source answers from an older state, and how often it will.
    stale: Option<(usize, u32)>,
    /// The number of answers that the source gave.
    answers: usize,
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
    /// The updates that Flashback has reported and that are not examined yet, and the number of all updates.
    told: Vec<Edit>,
    events: i64,
    rules: Rules,
    now: DateTime<Utc>,
}

/// The end of a check.
#[derive(Debug, PartialEq)]
enum End {
    Rested(Rest),
    Cut,
}

impl Simulation {
    fn new(verify: VerifyConfig) -> Self {
        Self {
            verify,
            versions: vec![1],
            current: Some(0),
            stale: None,
            answers: 0,
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

    /// Makes one check of which no event has told.
    fn look(&mut self, faults: &[Fault], dies_after: Option<usize>, command: KeyCommand) -> End {
        self.check(None, faults, dies_after, command)
    }

    /// Makes one check, as the engine does: each change of the record is durable when its step is
    /// over, and everything else is lost with the process. An event may have told of a version.
    fn check(
        &mut self,
        told: Option<&Version>,
        faults: &[Fault],
        dies_after: Option<usize>,
        command: KeyCommand,
    ) -> End {
        self.hear();
        let mut faults = faults.iter().copied();
        let (observation, newest) = self.observe(told);
        if let Observation::Present { version, .. } = &observation
            && self.record.seen.as_ref() != Some(version)
        {
            self.record = self.record.having_seen(version);
        }
        let mut known = Knowledge {
            command,
            observation,
            newest,
            ..self.knowledge()
        };
        for steps in 0..=LONGEST_PASS {
            if dies_after == Some(steps) {
                self.happen(Happening::Start);
                return End::Cut;
            }
            known.record.clone_from(&self.record);
            let fault = || faults.next().unwrap_or(Fault::Fine);
            if let Some(end) = self.carry_out(decide(&known), &mut known, fault) {
                return end;
            }
        }
        panic!("a pass that does not end: {:?}", self.record);
    }

    fn knowledge(&self) -> Knowledge {
        let config = KeyConfig {
            may_create: true,
            rule: None,
            ..scenario::config(self.settings.clone(), self.origin.clone(), self.verify)
        };
        let (config, record) = (Arc::new(config), self.record.clone());
        Knowledge::new(config, self.rules, record, self.now)
    }

    fn carry_out(
        &mut self,
        step: Step,
        known: &mut Knowledge,
        mut fault: impl FnMut() -> Fault,
    ) -> Option<End> {
        match step {
            Step::Rest(rest) => return Some(End::Rested(rest)),
            Step::Ask(Question::Read(asked)) => {
                self.answers += 1;
                let index = index_of(&asked);
                let secret = self.value(index, &self.origin);
                known.newest = Some(Read::Value(read(asked, &self.origin, secret)));
            }
            Step::Ask(Question::ReadOlder { version, origin }) => {
                let index = index_of(&version);
                let found = match self.pruned.contains(&index) {
                    true => Err("gone".to_owned()),
                    false => Ok(read(version.clone(), &origin, self.value(index, &origin))),
                };
                known.older = Some(Older {
                    version,
                    origin,
                    found,
                });
            }
            Step::Ask(Question::FindOlder(asked)) => {
                let before = index_of(&asked).checked_sub(1);
                let before = before.map(version).ok_or_else(|| "the first".to_owned());
                known.before = Some(before);
            }
            Step::Ask(Question::List) => match fault() {
                Fault::Fine => {
                    let all = listed(&self.list_of_names(known));
                    let all: Vec<&Listed> = all.iter().collect();
                    known.remote = find(&self.settings, &self.record, &all);
                }
                Fault::Refused => known.remote = Remote::Unlistable("403".into()),
                Fault::LostAnswer | Fault::LostRequest => return Some(End::Cut),
            },
            Step::Ask(Question::Compare(age)) => self.compare(known, age, fault),
            Step::Ask(Question::Probe(value)) => self.probe(known, &value.stored, fault()),
            Step::Validate { id, .. } => self.validate(&id, fault()),
            Step::Push(push) => return self.push(known, &push, fault()),
            Step::Conclude(conclusion) => self.record = known.conclude(&conclusion),
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

fn read(version: Version, origin: &Origin, value: u8) -> ReadValue {
    ReadValue {
        stored: Stored {
            version,
            fingerprint: Fingerprinter::new([3; 32]).bytes(&[value]),
            origin: origin.clone(),
        },
        ..scenario::value("", "")
    }
}
