//! Switches that make the sandbox misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::contract::Operation;
use super::faults::Rule;
use super::odd::OddEntry;
use flashback_rotator_core::secret::Secret;
use flashback_rotator_core::totp;

/// The documented life of an access token, in milliseconds.
const DOCUMENTED_LIFE_MS: u64 = 3_600_000;

/// The effect of a `secret` or `key` in a write on a configuration that takes its credentials from a stored
/// key. Which of these the platform does is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InlineOnStored {
    /// The credentials are ignored.
    Ignore,
    /// The configuration has its own credentials from then on.
    Detach,
    /// The stored key changes for every configuration that uses it: the most harmful effect, and so the
    /// default.
    #[default]
    Change,
}

/// The seed of a second factor, in base32.
#[derive(Clone)]
pub struct Seed(pub Secret);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl PartialEq for Seed {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seed = Secret::new(String::deserialize(deserializer)?);
        match totp::code(seed.expose(), 0) {
            Ok(_) => Ok(Self(seed)),
            Err(error) => Err(serde::de::Error::custom(error)),
        }
    }
}

/// The switches, with their present values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switches {
    /// The delay of each request, in milliseconds, before anything else.
    pub latency_ms: u64,
    /// The lifetime of access tokens issued from now on, in milliseconds.
    pub token_life_ms: u64,
    /// The most requests a second; more are answered 429 with `Retry-After: 1`. `null` for no limit.
    pub max_rps: Option<f64>,
    /// The faults.
    pub faults: Vec<Rule>,
    /// The SHA-256, in hexadecimal digits, of secrets that the provider refuses: `validate` answers `success:
    /// false`.
    pub refused_secrets: BTreeSet<String>,
    /// The ids of configurations whose validation fails whatever their credentials.
    pub refused_configurations: BTreeSet<String>,
    /// New keys that do not work at once: the SHA-256 of a secret, and the time in milliseconds from its
    /// first write until `validate` accepts it.
    pub slow_secrets: BTreeMap<String, u64>,
    /// `true` if a write of a refused secret is also answered 400.
    pub refuse_writes: bool,
    /// The effect of credentials in a write on a configuration that uses a stored key.
    pub inline_on_stored: InlineOnStored,
    /// The violations of the contract in list entries, applied in this order.
    pub odd_entries: Vec<OddEntry>,
    /// The account's role in its organization; from 254 on it sees what other users did.
    pub org_role: u8,
    /// `true` if a login gives a limited token, with which only its second factor can be verified.
    pub enforce_mfa: bool,
    /// The seed of the account's second factor; without one, no code is valid. It is never shown.
    #[serde(skip_serializing)]
    pub totp: Option<Seed>,
    /// `true` if system events come oldest first; newest first is the usual order.
    pub events_oldest_first: bool,
    /// The seed that decides which requests a rule with a [`share`](Rule::share) hits.
    pub seed: u64,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            token_life_ms: DOCUMENTED_LIFE_MS,
            max_rps: None,
            faults: Vec::new(),
            refused_secrets: BTreeSet::new(),
            refused_configurations: BTreeSet::new(),
            slow_secrets: BTreeMap::new(),
            refuse_writes: false,
            inline_on_stored: InlineOnStored::default(),
            odd_entries: Vec::new(),
            org_role: u8::MAX,
            enforce_mfa: false,
            totp: None,
            events_oldest_first: false,
            seed: 0,
        }
    }
}

impl Switches {
    /// Returns the switches with those in `wanted` changed and the others as they are.
    ///
    /// # Errors
    /// A sentence that names the first invalid switch.
    pub(super) fn turned(&self, wanted: Map<String, Value>) -> Result<Self, String> {
        let keeps_seed = !wanted.contains_key("totp");
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        if let Value::Object(all) = &mut all {
            all.extend(wanted);
        }
        let mut turned: Self = serde_json::from_value(all).map_err(|error| error.to_string())?;
        if keeps_seed {
            turned.totp.clone_from(&self.totp);
        }
        match turned.mistake() {
            Some(mistake) => Err(mistake.to_owned()),
            None => Ok(turned),
        }
    }

    /// Returns the rule whose fault a request meets.
    pub(super) fn pick(&mut self, operation: Operation, name: Option<&str>) -> Option<Rule> {
        let seed = self.seed;
        let mut rules = self.faults.iter_mut();
        rules.find_map(|rule| rule.meets(operation, name, seed).then(|| rule.clone()))
    }

    /// Returns the first setting that is invalid.
    fn mistake(&self) -> Option<&'static str> {
        if self
            .max_rps
            .is_some_and(|rps| !(rps.is_finite() && rps > 0.0))
        {
            return Some("max_rps must be above 0, or null");
        }
        self.faults.iter().find_map(Rule::mistake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;

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

    #[test]
    fn a_seed_is_kept_and_never_shown() {
        let turn = |switches: &Switches, wanted: Value| {
            switches.turned(wanted.as_object().expect("an object").clone())
        };
        let seeded = turn(
            &Switches::default(),
            serde_json::json!({"totp": "JBSWY3DPEHPK3PXP"}),
        );
        let seeded = seeded.expect("switches");
        let shown = format!(
            "{}{seeded:?}",
            serde_json::to_string(&seeded).expect("JSON")
        );
        assert!(!shown.contains("JBSW"), "{shown}");
        let later = turn(&seeded, serde_json::json!({"enforce_mfa": true})).expect("switches");
        assert_eq!(later.totp, seeded.totp);
        let gone = turn(&seeded, serde_json::json!({"totp": null})).expect("switches");
        assert_eq!(gone.totp, None);
        let refused = turn(&seeded, serde_json::json!({"totp": "0189"})).expect_err("no seed");
        assert!(!refused.contains("0189"), "{refused}");
    }
}
