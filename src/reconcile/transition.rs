//! How a record changes with what was done: the same for the engine and for the tests that walk
//! it through every order of events.

use chrono::{DateTime, Utc};

use crate::model::{Action, AiLlmId, Intent, Live, Origin, Record, Refusal, Settings, Version};
use crate::secret::Fingerprint;

impl Record {
    /// Before a push leaves: what is about to be written, and where.
    pub fn begun(&self, intent: Intent, id: Option<&AiLlmId>) -> Self {
        let mut next = self.clone();
        if intent.action != Action::Update {
            // Another configuration than the one on record, if there was one: what that holds
            // says nothing about this.
            next.live = None;
        }
        next.ai_llm_id = id.cloned();
        next.intent = Some(intent);
        next
    }

    /// Flashback has it.
    pub fn pushed(
        &self,
        id: AiLlmId,
        version: Version,
        fingerprint: Fingerprint,
        origin: Origin,
        settings: Settings,
        now: DateTime<Utc>,
    ) -> Self {
        let held = self.held.clone().filter(|held| held.version == version);
        Self {
            ai_llm_id: Some(id),
            live: Some(Live {
                version,
                fingerprint,
                origin,
                settings,
                pushed_at: now,
            }),
            intent: None,
            refusal: None,
            held,
            ..self.clone()
        }
    }

    /// The configuration on record is gone from Flashback.
    pub fn gone(&self) -> Self {
        Self {
            ai_llm_id: None,
            live: None,
            intent: None,
            ..self.clone()
        }
    }

    /// The live value goes by another version now, or comes from elsewhere.
    pub fn noted(&self, version: Version, origin: Origin) -> Self {
        let live = self.live.clone().map(|live| Live {
            version,
            origin,
            ..live
        });
        Self {
            live,
            refusal: None,
            ..self.clone()
        }
    }

    /// Flashback refused it.
    pub fn refused(
        &self,
        version: Version,
        origin: Origin,
        settings: Settings,
        error: String,
        now: DateTime<Utc>,
    ) -> Self {
        let refusal = Some(Refusal {
            version,
            origin,
            settings,
            at: now,
            error,
        });
        Self {
            refusal,
            ..self.clone()
        }
    }

    /// The store was seen to hold this version.
    pub fn having_seen(&self, version: &Version) -> Self {
        Self {
            seen: Some(version.clone()),
            ..self.clone()
        }
    }
}
