//! What makes the sandbox misbehave. Nothing here is random: the same requests in the same order
//! meet the same faults.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::DOCUMENTED_LIFE;

/// The API's operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `GET /ai/llm`.
    List,
    /// `GET /ai/llm/available`.
    Available,
    /// `POST /ai/llm`.
    Create,
    /// `PUT /ai/llm/{id}`.
    Update,
    /// `DELETE /ai/llm/{id}`.
    Delete,
    /// `POST /ai/llm/{id}/validate`.
    Validate,
    /// `POST /user/login`.
    Login,
    /// `POST /user/refresh`.
    Refresh,
}

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is answered with [`Rule::status`] and an error body, and not carried out.
    Status,
    /// It is answered 200 with a page of HTML, and not carried out.
    Html,
    /// It is answered 200 with `{"success": false}`, and not carried out.
    Unsuccessful,
    /// The connection is cut, and it is not carried out.
    Close,
    /// It is carried out, and the connection is cut before the answer.
    LoseAnswer,
    /// It is never answered, and not carried out.
    Hang,
}

/// Which requests meet a fault. The first rule that says yes counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// The status of [`Fault::Status`]; 503 where left out.
    #[serde(default = "unavailable")]
    pub status: u16,
    /// Its `Retry-After`, word for word: seconds or an HTTP date.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// Its `message`, where another than the usual one is wanted.
    #[serde(default)]
    pub message: Option<String>,
    /// To these operations; to all where empty.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// To requests whose body has this `name`; to all where left out.
    #[serde(default)]
    pub name: Option<String>,
    /// To this share of them, 0 to 1.
    #[serde(default = "whole")]
    pub share: f64,
    /// To so many and then no more; without end where left out.
    #[serde(default)]
    pub next: Option<u64>,
    /// How many requests it was asked about since it was set.
    #[serde(skip)]
    pub seen: u64,
}

fn unavailable() -> u16 {
    503
}

fn whole() -> f64 {
    1.0
}

impl Rule {
    /// Every request meets `fault`.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            status: unavailable(),
            retry_after: None,
            message: None,
            operations: Vec::new(),
            name: None,
            share: whole(),
            next: None,
            seen: 0,
        }
    }

    /// Every request is answered with `status`.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::new(Fault::Status)
        }
    }

    /// Only this operation (and others named so).
    pub fn on(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Only the next `count`.
    pub fn times(mut self, count: u64) -> Self {
        self.next = Some(count);
        self
    }

    /// Whether this request meets the fault; counts it if it is one of the rule's.
    fn meets(&mut self, operation: Operation, name: Option<&str>, seed: u64) -> bool {
        let about = (self.operations.is_empty() || self.operations.contains(&operation))
            && (self.name.is_none() || self.name.as_deref() == name);
        if !about || self.next == Some(0) {
            return false;
        }
        self.seen += 1;
        // The top 53 bits make a number in [0, 1) that a share can be compared with.
        let drawn = (scatter(seed ^ self.seen) >> 11) as f64 / (1u64 << 53) as f64;
        let meets = drawn < self.share;
        if meets && let Some(left) = &mut self.next {
            *left -= 1;
        }
        meets
    }
}

/// SplitMix64's finaliser: neighbours in, unrelated numbers out.
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How the switches stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switches {
    /// Each request waits so long, in milliseconds, before anything else.
    pub latency_ms: u64,
    /// The life of access tokens given from now on, in milliseconds.
    pub token_life_ms: u64,
    /// Requests a second; more are answered 429 with `Retry-After: 1`. `null` for no limit.
    pub max_rps: Option<f64>,
    /// The faults.
    pub faults: Vec<Rule>,
    /// The SHA-256, in hexadecimal digits, of secrets that the provider does not take: `validate`
    /// says `success: false`.
    pub refused_secrets: BTreeSet<String>,
    /// Fresh keys that take a while to work: the SHA-256 of a secret, and how many milliseconds
    /// after its first write `validate` takes it.
    pub slow_secrets: BTreeMap<String, u64>,
    /// Whether a write of a refused secret is a 400, too.
    pub refuse_writes: bool,
    /// Which requests a share of them hits.
    pub seed: u64,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            token_life_ms: DOCUMENTED_LIFE.as_secs() * 1000,
            max_rps: None,
            faults: Vec::new(),
            refused_secrets: BTreeSet::new(),
            slow_secrets: BTreeMap::new(),
            refuse_writes: false,
            seed: 0,
        }
    }
}

impl Switches {
    /// The rule that a request meets.
    pub(super) fn pick(&mut self, operation: Operation, name: Option<&str>) -> Option<Rule> {
        let seed = self.seed;
        let mut rules = self.faults.iter_mut();
        rules.find_map(|rule| rule.meets(operation, name, seed).then(|| rule.clone()))
    }

    /// What cannot be.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        if self
            .max_rps
            .is_some_and(|rps| !(rps.is_finite() && rps > 0.0))
        {
            return Some("max_rps must be above 0, or null");
        }
        for rule in &self.faults {
            if !(0.0..=1.0).contains(&rule.share) {
                return Some("share must be from 0 to 1");
            }
            if !(200..=599).contains(&rule.status) {
                return Some("status must be from 200 to 599");
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_about_kept_and_the_same_every_time() {
        let run = |seed| {
            let mut switches = Switches {
                seed,
                faults: vec![Rule {
                    share: 0.3,
                    ..Rule::status(500)
                }],
                ..Switches::default()
            };
            (0..1000)
                .map(|_| switches.pick(Operation::Update, None).is_some())
                .collect::<Vec<_>>()
        };
        let hits = run(1).iter().filter(|hit| **hit).count();
        assert!((250..350).contains(&hits), "{hits}");
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn rules_are_aimed_and_counted() {
        let mut switches = Switches {
            faults: vec![
                Rule::new(Fault::Close).on(Operation::Create).times(1),
                Rule {
                    name: Some("a".into()),
                    ..Rule::new(Fault::Hang)
                },
            ],
            ..Switches::default()
        };
        let mut pick = |operation, name| switches.pick(operation, name).map(|rule| rule.fault);
        assert_eq!(pick(Operation::List, None), None);
        assert_eq!(pick(Operation::Create, Some("b")), Some(Fault::Close));
        assert_eq!(pick(Operation::Create, Some("b")), None);
        assert_eq!(pick(Operation::Update, Some("a")), Some(Fault::Hang));
    }

    #[test]
    fn switches_survive_their_json() {
        let rule = r#"{"faults":[{"fault":"status","status":429,"retry_after":"2","share":0.5}]}"#;
        let switches: Switches = serde_json::from_str(rule).expect("switches");
        let text = serde_json::to_string(&switches).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Switches>(&text).expect("again"),
            switches
        );
        assert!(switches.mistake().is_none());
        assert!(serde_json::from_str::<Switches>(r#"{"latency":1}"#).is_err());
    }
}
