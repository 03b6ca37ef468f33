//! Reports to the receivers of notifications that an old key was revoked.

use crate::engine::context::Engine;
use crate::engine::managed_key::ManagedKey;
use crate::model::{ChangeKind, OldKey, ProviderKeyId, Record, Rotation};
use crate::rotation::Change;

/// Reports that the old key `id` does not work any more, unless it did not before. `how` is what became of it.
pub(super) fn report(
    engine: &Engine,
    managed: &ManagedKey,
    before: &Rotation,
    record: &Record,
    id: &ProviderKeyId,
    how: &str,
) {
    let Some(reason) = reason(before, id, how) else {
        return;
    };
    let (changes, kind) = (&engine.changes, ChangeKind::OldKeyRevoked);
    changes.leave(managed, kind, record, None, Some(reason));
}

/// Reports it where the provider's list has shown it: the answer of the call that revoked the key was lost, or
/// somebody else has revoked it.
pub(super) fn report_change(
    engine: &Engine,
    managed: &ManagedKey,
    before: &Rotation,
    record: &Record,
    change: &Change,
) {
    match change {
        Change::Disabled(id) => report(engine, managed, before, record, id, "disabled"),
        Change::Gone(id) => report(engine, managed, before, record, id, "deleted"),
        _ => {}
    }
}

/// Returns what is said of the old key `id`; `None` if it did not work before.
fn reason(before: &Rotation, id: &ProviderKeyId, how: &str) -> Option<String> {
    let worked = |old: &&OldKey| old.key.id == *id && old.disabled_since().is_none();
    let old = before.old.iter().find(worked)?;
    let (id, provider) = (&old.key.id, &before.provider);
    Some(format!(
        "the key {id} of the provider `{provider}` is {how}"
    ))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::model::{OwnKey, ProviderId};
    use crate::secret::Fingerprinter;

    #[test]
    fn a_key_is_reported_when_it_ceases_to_work_and_not_when_it_is_removed_after() {
        let id = ProviderKeyId::new("key_old");
        let key = OwnKey {
            id: id.clone(),
            fingerprint: Fingerprinter::ephemeral().bytes(b"value"),
            minted: true,
        };
        let mut rotation = Rotation::new(ProviderId::new("openai"));
        rotation.old.push(OldKey {
            key,
            since: Utc::now(),
            disabled_at: None,
            disabling: None,
            compromised: false,
            even_if_broken: false,
            stuck: None,
        });
        assert_eq!(
            reason(&rotation, &id, "disabled").as_deref(),
            Some("the key key_old of the provider `openai` is disabled")
        );
        let disabled = rotation.disabled(&id, Utc::now());
        assert_eq!(reason(&disabled, &id, "deleted"), None);
        assert_eq!(
            reason(&rotation, &ProviderKeyId::new("another"), "deleted"),
            None
        );
    }
}
