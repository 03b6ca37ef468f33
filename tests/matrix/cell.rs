//! What can be true of a rotation, and what the promise says of each combination.

/// The new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum New {
    Good,
    /// It takes a while to work at the provider, and less than the grace.
    Slow,
    Bad,
}

/// The key it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    Works,
    Revoked,
}

/// Flashback's `validate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validate {
    There,
    /// 404.
    Missing,
    /// 500.
    Failing,
}

/// The provider, before the push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `before = "none"`.
    Unasked,
    Answers,
    /// It takes connections and says nothing.
    Silent,
}

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub provider: Provider,
    pub new: New,
    pub old: Old,
    pub validate: Validate,
}

/// One of the two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    New,
    Previous,
}

/// How it stands in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub live: Option<Which>,
    pub state: String,
    pub new_is_held: bool,
    pub verified_by: Option<String>,
}

/// What it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Writes of the new key to Flashback.
    pub new: usize,
    /// Writes of the previous one, after its first.
    pub previous: usize,
    /// These events.
    pub verification_failed: usize,
    pub rolled_back: usize,
    pub version_held: usize,
}

/// A point at which the process dies: its name, and the how manieth time it is passed in the trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    pub point: &'static str,
    pub time: usize,
}

impl Cell {
    /// All of them. The provider is asked in those where that makes a difference.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for validate in [Validate::There, Validate::Missing, Validate::Failing] {
            for new in [New::Good, New::Slow, New::Bad] {
                for old in [Old::Works, Old::Revoked] {
                    all.push(Self {
                        provider: Provider::Unasked,
                        new,
                        old,
                        validate,
                    });
                }
            }
        }
        for provider in [Provider::Answers, Provider::Silent] {
            for new in [New::Good, New::Slow, New::Bad] {
                all.push(Self {
                    provider,
                    new,
                    old: Old::Works,
                    validate: Validate::There,
                });
            }
        }
        all
    }

    /// The new key never gets into Flashback.
    pub fn is_stopped(self) -> bool {
        self.new == New::Bad && self.provider == Provider::Answers
    }

    /// Flashback says that the new key does not work.
    pub fn is_found_out(self) -> bool {
        self.new == New::Bad && self.validate == Validate::There && !self.is_stopped()
    }

    /// The new key goes in, and out again.
    pub fn is_undone(self) -> bool {
        self.is_found_out() && self.old == Old::Works
    }

    /// What the promise says.
    pub fn promise(self) -> (End, Tally) {
        let end = |live, state: &str, verified_by: Option<&str>| End {
            live: Some(live),
            state: state.to_owned(),
            new_is_held: state == "held",
            verified_by: verified_by.map(str::to_owned),
        };
        let pushed = Tally {
            new: 1,
            ..Tally::default()
        };
        if self.is_stopped() {
            let tally = Tally {
                version_held: 1,
                ..Tally::default()
            };
            (end(Which::Previous, "held", Some("flashback")), tally)
        } else if self.is_undone() {
            let tally = Tally {
                previous: 1,
                verification_failed: 1,
                rolled_back: 1,
                ..pushed
            };
            (end(Which::Previous, "held", Some("flashback")), tally)
        } else if self.is_found_out() {
            // One for each of the two keys.
            let tally = Tally {
                new: 2,
                previous: 1,
                verification_failed: 2,
                ..pushed
            };
            (end(Which::New, "failing", None), tally)
        } else {
            let verified_by = (self.validate == Validate::There).then_some("flashback");
            (end(Which::New, "in_sync", verified_by), pushed)
        }
    }

    /// Every step the trial takes, in order.
    pub fn steps(self) -> Vec<Kill> {
        let mut steps: Vec<&str> = vec!["secret_read"];
        if self.provider != Provider::Unasked {
            steps.push("provider_answered");
        }
        if self.provider == Provider::Answers && self.new != New::Good {
            steps.push("probe_recorded");
        }
        if self.is_stopped() {
            steps.push("hold_recorded");
        } else {
            steps.extend(PUSH);
            steps.extend(["validation_answered@after", "verdict_recorded@after"]);
        }
        if self.is_found_out() {
            steps.extend(["older_read", "turn_back_recorded"]);
            steps.extend(PUSH);
            steps.extend(["validation_answered@back", "verdict_recorded@back"]);
        }
        if self.is_found_out() && !self.is_undone() {
            steps.extend(["standing_recorded", "secret_read"]);
            steps.extend(PUSH);
            steps.extend(["validation_answered@forward", "verdict_recorded@forward"]);
        }
        let time = |index: usize| {
            let so_far = steps[..=index].iter();
            so_far.filter(|step| **step == steps[index]).count()
        };
        let kill = |(index, point): (usize, &&'static str)| Kill {
            point,
            time: time(index),
        };
        steps.iter().enumerate().map(kill).collect()
    }

    /// How often the first push of the previous key has passed a point already.
    pub fn passed(self, point: &str) -> usize {
        let asked = self.provider != Provider::Unasked;
        let verified = ["validation_answered@after", "verdict_recorded@after"];
        let by_a_push =
            point == "secret_read" || PUSH.contains(&point) || verified.contains(&point);
        usize::from(by_a_push || (asked && point == "provider_answered"))
    }
}

const PUSH: [&str; 3] = ["intent_recorded", "answer_received", "outcome_recorded"];
