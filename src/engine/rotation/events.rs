//! The log lines of a rotation.

use crate::engine::managed_key::ManagedKey;
use crate::model::{OldKey, ProviderKeyId, RotateConfig, Rotation, Version};
use crate::rotation::{Change, Leaving};
use crate::telemetry::event;

/// Logs the fields that the lines of a rotation have in common, further fields and a message.
macro_rules! log {
    ($level:ident, $managed:expr, $event:expr $(, $field:ident = $value:expr)* ; $($message:tt)+) => {
        tracing::$level!(
            event = $event,
            key = %$managed.key,
            source = %$managed.source.id(),
            $($field = $value,)*
            $($message)+
        )
    };
}

pub(super) fn started(managed: &ManagedKey, config: &RotateConfig, name: &str) {
    log!(info, managed, event::ROTATION_STARTED, provider = config.provider.as_str(), name = name;
        "a new key is made");
}

pub(super) fn minted(managed: &ManagedKey, id: &ProviderKeyId, name: &str) {
    log!(info, managed, event::KEY_MINTED, provider_key = id.as_str(), name = name;
        "the provider has made a new key");
}

pub(super) fn stored(managed: &ManagedKey, id: &ProviderKeyId, version: &Version) {
    log!(info, managed, event::KEY_STORED, provider_key = id.as_str(), version = version.label();
        "the source has the new key");
}

pub(super) fn discarded(managed: &ManagedKey, id: &ProviderKeyId) {
    log!(warn, managed, event::KEY_DISCARDED, provider_key = id.as_str();
        "a key that was made and not stored was removed");
}

pub(super) fn idle(managed: &ManagedKey, old: &OldKey, config: &RotateConfig) {
    log!(info, managed, event::OLD_KEY_IDLE, provider_key = old.key.id.as_str(), provider = config.provider.as_str();
        "the old key's overlap is over, and nobody is seen to use it");
}

pub(super) fn disabled(managed: &ManagedKey, id: &ProviderKeyId) {
    log!(info, managed, event::OLD_KEY_DISABLED, provider_key = id.as_str();
        "the old key is disabled");
}

pub(super) fn enabled(managed: &ManagedKey, id: &ProviderKeyId) {
    log!(warn, managed, event::OLD_KEY_ENABLED, provider_key = id.as_str();
        "a disabled key is enabled again: its value is live, or is to be");
}

pub(super) fn deleted(managed: &ManagedKey, id: &ProviderKeyId) {
    log!(info, managed, event::OLD_KEY_DELETED, provider_key = id.as_str();
        "the old key is deleted");
}

/// Logs that a key is not rotated any more, and which of its keys are left at the provider.
pub(super) fn ended(managed: &ManagedKey, rotation: &Rotation) {
    let current = rotation.current.iter().map(|key| &key.id);
    let old = rotation.old.iter().map(|old| &old.key.id);
    let next = rotation.next.iter().filter_map(|next| next.id());
    let left: Vec<&str> = current
        .chain(old)
        .chain(next)
        .map(ProviderKeyId::as_str)
        .collect();
    log!(warn, managed, event::ROTATION_ENDED, provider = rotation.provider.as_str(), provider_keys = left.join(" ");
        "the key is not rotated by this provider any more; nothing is revoked, and its keys are left to you");
}

/// Logs why a rotation does not get on, if it says something else than before.
pub(super) fn stuck(managed: &ManagedKey, before: &Rotation, now: &Rotation) {
    let known: Vec<&str> = before.reasons().collect();
    for why in now.reasons().filter(|why| !known.contains(why)) {
        log!(warn, managed, event::ROTATION_STUCK, error = why;
            "the rotation does not get on; what works stays");
    }
}

/// Logs a change on record.
pub(super) fn changed(managed: &ManagedKey, before: &Rotation, now: &Rotation, change: &Change) {
    match change {
        Change::Verified => {
            let id = now.current.as_ref().map(|key| key.id.as_str());
            log!(info, managed, event::ROTATION_VERIFIED, provider_key = id;
                "the new key is live and verified in every key that reads the secret");
        }
        Change::Adopted(Some(id)) => {
            log!(info, managed, event::KEY_ADOPTED, provider_key = id.as_str();
                "the live key is this one of the provider");
        }
        Change::Adopted(None) => {
            log!(info, managed, event::KEY_ADOPTED;
                "the live key is none that the provider shows: it is not revoked after the next rotation, unless `adopt` names it");
        }
        Change::Reinstated(id) => {
            log!(warn, managed, event::KEY_ADOPTED, provider_key = id.as_str();
                "an old key is live again, and stays");
        }
        Change::Superseded(id) => {
            log!(warn, managed, event::ROTATION_SUPERSEDED, provider_key = id.as_str();
                "another version was written meanwhile and is live; the key that was made is an old one");
        }
        Change::Forced(id) => {
            log!(warn, managed, event::OLD_KEY_IDLE, provider_key = id.as_str();
                "the old key is revoked although the new one does not work, as was asked for");
        }
        Change::Left(id, why) => {
            let why: &Leaving = why;
            log!(info, managed, event::OLD_KEY_LEFT, provider_key = id.as_str(), reason = why.to_string();
                "an old key is left as it is");
        }
        Change::Disabled(id) => disabled(managed, id),
        Change::Gone(id) => {
            log!(info, managed, event::OLD_KEY_DELETED, provider_key = id.as_str();
                "the old key is not there any more");
        }
        Change::Refused(why) => {
            log!(warn, managed, event::ROTATION_STUCK, error = why.as_str();
                "the rotation that was asked for is not possible");
        }
        Change::Stuck => stuck(managed, before, now),
        Change::Stored
        | Change::NotMade
        | Change::Done
        | Change::Recovered
        | Change::Restarted
        | Change::Begun => {}
    }
}
