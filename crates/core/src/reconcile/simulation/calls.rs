//! Simulates the answers of Flashback and the providers to the calls of a check.

use super::*;
use crate::model::Action;

impl Simulation {
    pub(super) fn push(&mut self, known: &mut Knowledge, push: &Push, fault: Fault) -> Option<End> {
        let (action, id, value) = (push.action, push.id.as_ref(), &push.value.stored);
        self.nothing_held_is_pushed(value, known.command);
        let before = self.record.clone();
        self.record = known.begin(push);
        known.record.clone_from(&self.record);
        let answer = match fault {
            Fault::LostRequest => return Some(End::Cut),
            Fault::Refused => {
                self.refusals += 1;
                Err(Rejection::Refused {
                    action,
                    error: "400".into(),
                })
            }
            Fault::Fine | Fault::LostAnswer => {
                let secret = self.value(index_of(&value.version), &value.origin);
                self.write(action, id, secret)
            }
        };
        if fault == Fault::LostAnswer {
            return Some(End::Cut);
        }
        match answer {
            Ok(id) => self.record = known.pushed(push, id, None),
            Err(refused) => {
                self.record = match refused {
                    Rejection::Gone(_) => before.gone(),
                    Rejection::Refused { .. } => before,
                };
                known.turned_down(refused);
            }
        }
        None
    }

    pub(super) fn nothing_held_is_pushed(&self, value: &Stored, command: KeyCommand) {
        let Some(held) = &self.record.held else {
            return;
        };
        let there = self.record.live.as_ref().map(Live::stored);
        // A person has forced it, and it was live when it was held.
        let forced = held.instead.as_ref() == Some(value);
        assert!(
            command == KeyCommand::Force
                || !held.is(&value.version, &value.origin)
                || there.as_ref() == Some(value)
                || forced,
            "{value:?} is held: {:?}",
            self.record
        );
    }

    pub(super) fn probe(&mut self, known: &mut Knowledge, value: &Stored, fault: Fault) {
        self.questions += 1;
        let secret = self.value(index_of(&value.version), &self.origin);
        let verdict = match fault {
            Fault::Fine => self.verdict(secret),
            _ => Verdict::Inconclusive("503".into()),
        };
        let asked = self.asked(self.record.candidate_for(value));
        self.record = self.record.probed(value, &verdict, asked);
        let cleared = self.record.candidate.is_none();
        known.clearance = cleared.then_some(Clearance::Unknown);
    }

    pub(super) fn validate(&mut self, id: &AiLlmId, fault: Fault) {
        self.questions += 1;
        let there = self.configurations.iter().find(|other| other.id == *id);
        let verdict = match (fault, there) {
            (Fault::Fine, Some(there)) => self.verdict(there.value),
            (Fault::Fine, None) => Verdict::Unsupported("404".into()),
            _ => Verdict::Inconclusive("503".into()),
        };
        let asked = self.asked(self.record.verification.as_ref());
        self.record = self.record.validated(&verdict, asked);
    }

    pub(super) fn verdict(&self, value: u8) -> Verdict {
        match self.works(value) {
            true => Verdict::Works,
            false => Verdict::Rejected("401".into()),
        }
    }

    pub(super) fn works(&self, value: u8) -> bool {
        !self.revoked.contains(&(value / 10))
    }

    pub(super) fn asked(&self, verification: Option<&Verification>) -> Asked {
        let calm = verification.is_some_and(|verification| verification.pace(GRACE, self.now).1);
        Asked {
            at: self.now,
            wait: Duration::from_secs(if calm { 300 } else { 7 }),
            grace: GRACE,
        }
    }

    /// Returns the value of a field of a version.
    pub(super) fn value(&self, index: usize, origin: &Origin) -> u8 {
        let field: u8 = origin.path.parse().expect("a number");
        self.versions[index] * 10 + field
    }

    /// Simulates a write that reaches Flashback.
    pub(super) fn write(
        &mut self,
        action: Action,
        id: Option<&AiLlmId>,
        value: u8,
    ) -> Result<AiLlmId, Rejection> {
        self.pushes += 1;
        if !self.settings.target.is_configuration() {
            return self.write_stored_key(id, value);
        }
        let taken = |other: &Configuration| {
            other.settings.name == self.settings.name && Some(&other.id) != id
        };
        if self.configurations.iter().any(taken) {
            return Err(Rejection::Refused {
                action,
                error: "the name exists".into(),
            });
        }
        let settings = self.settings.clone();
        let Some(id) = id else {
            self.made += 1;
            let id = AiLlmId::new(format!("id-{}", self.made));
            self.configurations.push(Configuration {
                id: id.clone(),
                settings,
                value,
                stored_key: None,
            });
            return Ok(id);
        };
        let there = self.configurations.iter_mut().find(|other| other.id == *id);
        let there = there.ok_or_else(|| Rejection::Gone(id.clone()))?;
        there.settings = settings;
        there.value = value;
        let shared = there.stored_key.is_some();
        assert!(
            !shared || !self.is_known_to_be_shared(id),
            "{id} is not ours"
        );
        self.tells("me", true);
        Ok(id.clone())
    }
}
