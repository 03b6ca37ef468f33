//! Properties, in a small world: a store that rotates, a Flashback with every fault of the real
//! one, a process that dies between any two steps. Whatever the order, once the faults end the
//! newest pushable value is in exactly one configuration, and then nothing more is done.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::document::FieldMap;
use crate::model::{AiType, Intent, KeyId, Missing, Origin, SourceId, WorkspaceId};
use crate::secret::Fingerprinter;

const RULES: Rules = Rules {
    resync: Duration::from_secs(24 * 3600),
    refused: Duration::from_secs(15 * 60),
};

/// No pass takes more steps than this, with or without faults.
const LONGEST_PASS: usize = 9;

/// What happens between two looks.
#[derive(Clone, Debug)]
enum Happening {
    Rotate {
        value: u8,
    },
    RollBack {
        to: usize,
    },
    DeleteSecret,
    DeleteConfiguration,
    Rename {
        name: u8,
    },
    /// The configuration names another field of the same secret.
    OtherField {
        field: u8,
    },
    Wait {
        minutes: u16,
    },
    Look {
        faults: Vec<Fault>,
        dies_after: Option<usize>,
        force: bool,
    },
}

/// How one call to Flashback goes.
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
}

struct World {
    versions: Vec<u8>,
    current: Option<usize>,
    settings: Settings,
    origin: Origin,
    record: Record,
    configurations: Vec<Configuration>,
    made: u32,
    pushes: usize,
    now: DateTime<Utc>,
}

/// How a pass ended.
enum End {
    Rested(Rest),
    Cut,
}

impl World {
    fn new() -> Self {
        Self {
            versions: vec![1],
            current: Some(0),
            settings: named(0),
            origin: field(0),
            record: Record::new(KeyId::new("k")),
            configurations: Vec::new(),
            made: 0,
            pushes: 0,
            now: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Rotate { value } => {
                self.versions.push(value);
                self.current = Some(self.versions.len() - 1);
            }
            Happening::RollBack { to } => self.current = Some(to % self.versions.len()),
            Happening::DeleteSecret => self.current = None,
            Happening::DeleteConfiguration => self.configurations.clear(),
            Happening::Rename { name } => self.settings = named(name),
            Happening::OtherField { field: number } => self.origin = field(number),
            Happening::Wait { minutes } => self.now += TimeDelta::minutes(minutes.into()),
            Happening::Look {
                faults,
                dies_after,
                force,
            } => {
                let _ = self.look(&faults, dies_after, force);
            }
        }
    }

    /// One pass, as the engine makes it: each change of the record is durable when its step is
    /// over, and everything else is lost with the process.
    fn look(&mut self, faults: &[Fault], dies_after: Option<usize>, mut force: bool) -> End {
        let mut faults = faults.iter().copied();
        let mut next_fault = || faults.next().unwrap_or(Fault::Fine);
        let observation = match self.current {
            None => Observation::Missing(Missing::Deleted),
            Some(index) => Observation::Present {
                version: version(index),
                written_at: None,
            },
        };
        let (mut reading, mut remote, mut rejection) = (None, Remote::Unasked, None);
        for steps in 0..=LONGEST_PASS {
            if dies_after == Some(steps) {
                return End::Cut;
            }
            let step = decide(&Facts {
                settings: &self.settings,
                origin: &self.origin,
                record: &self.record,
                observation: &observation,
                reading: reading.as_ref(),
                remote: &remote,
                rejection: rejection.as_ref(),
                force,
                rules: RULES,
                now: self.now,
            });
            match step {
                Step::Rest(rest) => return End::Rested(rest),
                Step::Read(asked) => {
                    let index = self.current.expect("something was observed");
                    let fingerprint = digest(self.value(index));
                    reading = Some(Read::Value {
                        version: asked,
                        fingerprint,
                    });
                }
                Step::List => {
                    remote = match next_fault() {
                        Fault::Fine => {
                            let all = self
                                .configurations
                                .iter()
                                .map(|c| (&c.id, &c.settings))
                                .collect::<Vec<_>>();
                            find(&self.settings, &self.record, &all)
                        }
                        Fault::Refused => Remote::Unlistable("403".into()),
                        Fault::LostAnswer | Fault::LostRequest => return End::Cut,
                    };
                }
                Step::Note(version) => {
                    self.record = self.record.noted(version, self.origin.clone());
                }
                Step::Refuse { version, error } => {
                    force = false;
                    self.record = self.record.refused(
                        version,
                        self.origin.clone(),
                        self.settings.clone(),
                        error,
                        self.now,
                    );
                }
                Step::Push { action, id, .. } => {
                    let Some(Read::Value {
                        version,
                        fingerprint,
                    }) = &reading
                    else {
                        panic!("a push without a value");
                    };
                    let before = self.record.clone();
                    self.record = before.begun(
                        Intent {
                            version: version.clone(),
                            fingerprint: *fingerprint,
                            settings: self.settings.clone(),
                            action,
                            at: self.now,
                        },
                        id.as_ref(),
                    );
                    let fault = next_fault();
                    if fault == Fault::LostRequest {
                        return End::Cut;
                    }
                    let answer = match fault {
                        Fault::Refused => Err(Rejection::Refused {
                            action,
                            error: "400".into(),
                        }),
                        _ => self.write(action, id.as_ref()),
                    };
                    if fault == Fault::LostAnswer {
                        return End::Cut;
                    }
                    match answer {
                        Ok(id) => {
                            force = false;
                            self.record = self.record.pushed(
                                id,
                                version.clone(),
                                *fingerprint,
                                self.origin.clone(),
                                self.settings.clone(),
                                self.now,
                            );
                        }
                        Err(refused) => {
                            self.record = match refused {
                                Rejection::Gone(_) => before.gone(),
                                Rejection::Refused { .. } => before,
                            };
                            remote = remote.after(&refused, rejection.as_ref());
                            rejection = Some(refused);
                        }
                    }
                }
            }
        }
        panic!("a pass that does not end");
    }

    /// What the configured field of a version holds.
    fn value(&self, index: usize) -> u8 {
        let field: u8 = self.origin.path.parse().expect("a number");
        self.versions[index] * 10 + field
    }

    /// What Flashback does with a write that reaches it.
    fn write(&mut self, action: Action, id: Option<&AiLlmId>) -> Result<AiLlmId, Rejection> {
        self.pushes += 1;
        let value = self.value(self.current.expect("something was observed"));
        let taken = |other: &Configuration| {
            other.settings.name == self.settings.name && Some(&other.id) != id
        };
        if self.configurations.iter().any(taken) {
            return Err(Rejection::Refused {
                action,
                error: "the name exists".into(),
            });
        }
        match id {
            None => {
                self.made += 1;
                let id = AiLlmId::new(format!("id-{}", self.made));
                let settings = self.settings.clone();
                self.configurations.push(Configuration {
                    id: id.clone(),
                    settings,
                    value,
                });
                Ok(id)
            }
            Some(id) => {
                let there = self.configurations.iter_mut().find(|other| other.id == *id);
                let there = there.ok_or_else(|| Rejection::Gone(id.clone()))?;
                there.settings = self.settings.clone();
                there.value = value;
                Ok(id.clone())
            }
        }
    }
}

fn named(name: u8) -> Settings {
    Settings {
        workspace_id: WorkspaceId::new("w"),
        name: format!("name-{name}"),
        ai_type: AiType::Openai,
        endpoint: "https://api.openai.com/v1".into(),
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

fn digest(value: u8) -> Fingerprint {
    Fingerprinter::new([3; 32]).bytes(&[value])
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::Fine),
        2 => Just(Fault::LostAnswer),
        2 => Just(Fault::LostRequest),
        1 => Just(Fault::Refused),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let look = (
        prop::collection::vec(fault(), 0..5),
        prop::option::of(0..LONGEST_PASS),
        prop::bool::weighted(0.1),
    );
    prop_oneof![
        4 => (0..6_u8).prop_map(|value| Happening::Rotate { value }),
        2 => (0..8_usize).prop_map(|to| Happening::RollBack { to }),
        1 => Just(Happening::DeleteSecret),
        1 => Just(Happening::DeleteConfiguration),
        1 => (0..3_u8).prop_map(|name| Happening::Rename { name }),
        1 => (0..3_u8).prop_map(|field| Happening::OtherField { field }),
        2 => (0..2_000_u16).prop_map(|minutes| Happening::Wait { minutes }),
        8 => look.prop_map(|(faults, dies_after, force)| Happening::Look { faults, dies_after, force }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_with_the_newest_value_in_one_configuration(
        happenings in prop::collection::vec(happening(), 0..40),
        last in 0..6_u8,
    ) {
        let mut world = World::new();
        for happening in happenings {
            world.happen(happening);
            prop_assert!(world.configurations.len() <= 1, "{:?}", world.configurations);
        }

        world.happen(Happening::Rotate { value: last });
        world.now += TimeDelta::hours(25);
        let end = world.look(&[], None, false);
        prop_assert!(matches!(end, End::Rested(Rest::InSync)));
        prop_assert_eq!(world.configurations.len(), 1);
        let one = &world.configurations[0];
        prop_assert_eq!(one.value, world.value(world.versions.len() - 1));
        prop_assert_eq!(&one.settings, &world.settings);
        prop_assert_eq!(Some(&one.id), world.record.ai_llm_id.as_ref());

        let pushes = world.pushes;
        for _ in 0..3 {
            world.now += TimeDelta::minutes(1);
            let end = world.look(&[], None, false);
            prop_assert!(matches!(end, End::Rested(Rest::InSync)));
        }
        prop_assert_eq!(world.pushes, pushes, "pushed without a cause");

        world.happen(Happening::OtherField { field: 3 });
        let end = world.look(&[], None, false);
        prop_assert!(matches!(end, End::Rested(Rest::InSync)));
        prop_assert_eq!(world.configurations[0].value, last * 10 + 3);
    }
}
