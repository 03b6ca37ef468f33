//! The names of log events. Each event reports one fact, and its name is in the field `event`.

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*

        /// All event names.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

events! {
    /// The daemon has started.
    STARTED = "started";
    /// The daemon was asked to stop and finishes what is in progress.
    STOPPING = "stopping";
    /// The daemon is about to exit.
    STOPPED = "stopped";
    /// A new configuration is in force.
    CONFIG_RELOADED = "config_reloaded";
    /// A new configuration is invalid; the old one stays in force.
    CONFIG_REJECTED = "config_rejected";
    /// Changes in a source are heard of as they happen.
    EVENTS_UP = "events_up";
    /// Changes in a source are not heard of; it is polled instead.
    EVENTS_DOWN = "events_down";
    /// The source has a different version than before.
    ROTATION_DETECTED = "rotation_detected";
    /// A write to Flashback begins.
    PUSH_STARTED = "push_started";
    /// A write to Flashback has succeeded.
    PUSH_SUCCEEDED = "push_succeeded";
    /// Other replicas may work on the keys that this replica had leased, or on a key that was being written.
    LEASE_LOST = "lease_lost";
    /// A write to Flashback has failed and will be tried again.
    PUSH_RETRYING = "push_retrying";
    /// A write to Flashback has failed and is given up for now.
    PUSH_FAILED = "push_failed";
    /// A configuration was created in Flashback.
    CONFIG_CREATED = "config_created";
    /// A configuration with the key's name existed in Flashback and now belongs to the key.
    CONFIG_ADOPTED = "config_adopted";
    /// The configuration on record does not exist in Flashback any more.
    CONFIG_MISSING = "config_missing";
    /// A configuration that was edited or deleted in Flashback was restored.
    DRIFT_REPAIRED = "drift_repaired";
    /// Flashback does not list a workspace, or its list has entries that cannot be read.
    LISTING_INCOMPLETE = "listing_incomplete";
    /// The value in Flashback does not work, and the grace period is over.
    VERIFICATION_FAILED = "verification_failed";
    /// The previous version is back in Flashback.
    ROLLED_BACK = "rolled_back";
    /// A version is held: it is no longer pushed automatically.
    VERSION_HELD = "version_held";
    /// The source was told which version is live and verified.
    ACKNOWLEDGED = "acknowledged";
    /// A key is being rotated: a new one is made at its provider.
    ROTATION_STARTED = "rotation_started";
    /// The provider has made a new key.
    KEY_MINTED = "key_minted";
    /// The source has the new key.
    KEY_STORED = "key_stored";
    /// A key that was made and not stored was removed at the provider.
    KEY_DISCARDED = "key_discarded";
    /// The new key is live and verified in every key that reads the secret.
    ROTATION_VERIFIED = "rotation_verified";
    /// Another version was written during a rotation, and has become live.
    ROTATION_SUPERSEDED = "rotation_superseded";
    /// It is known which of the provider's keys is live, or that none is known to be.
    KEY_ADOPTED = "key_adopted";
    /// The old key's overlap is over, and nobody is seen to use it.
    OLD_KEY_IDLE = "old_key_idle";
    /// The old key is disabled at its provider.
    OLD_KEY_DISABLED = "old_key_disabled";
    /// A disabled key is enabled again, because its value is wanted.
    OLD_KEY_ENABLED = "old_key_enabled";
    /// The old key is deleted at its provider.
    OLD_KEY_DELETED = "old_key_deleted";
    /// An old key is left as it is.
    OLD_KEY_LEFT = "old_key_left";
    /// A rotation does not get on.
    ROTATION_STUCK = "rotation_stuck";
    /// A key is not rotated any more.
    ROTATION_ENDED = "rotation_ended";
    /// A source or Flashback does not answer.
    SOURCE_UNAVAILABLE = "source_unavailable";
    /// A source or Flashback answers again.
    SOURCE_RECOVERED = "source_recovered";
    /// The source has no secret to push.
    SECRET_MISSING = "secret_missing";
    /// The source does not return the secret, and whether it exists is not known.
    SECRET_UNREADABLE = "secret_unreadable";
    /// The secret in the source cannot be a key.
    SECRET_MALFORMED = "secret_malformed";
    /// Keys were made of what a source has, or are gone with it.
    KEYS_DISCOVERED = "keys_discovered";
    /// A secret that a rule has found is not the key that it should be.
    DISCOVERY_PROBLEM = "discovery_problem";
    /// A source cannot be listed, or nothing can be made of the list.
    DISCOVERY_FAILED = "discovery_failed";
    /// A source is listed again.
    DISCOVERY_RECOVERED = "discovery_recovered";
    /// A configuration that discovery has created was deleted in Flashback: its secret is gone.
    CONFIG_DELETED = "config_deleted";
    /// The rotator signed in to a service.
    SIGNED_IN = "signed_in";
    /// The rotator could not sign in to a service.
    SIGN_IN_FAILED = "sign_in_failed";
    /// This replica claimed keys that were free.
    KEYS_CLAIMED = "keys_claimed";
    /// This replica released keys for others to claim.
    KEYS_RELEASED = "keys_released";
    /// The shared state does not answer.
    STATE_UNAVAILABLE = "state_unavailable";
    /// The shared state answers again.
    STATE_RECOVERED = "state_recovered";
    /// A notification was delivered to a receiver.
    NOTIFICATION_SENT = "notification_sent";
    /// A notification could not be delivered and will be sent again.
    NOTIFICATION_RETRYING = "notification_retrying";
    /// A receiver has refused a notification, or it was given up.
    NOTIFICATION_FAILED = "notification_failed";
    /// Too many notifications wait for a receiver: it does not learn of every change.
    NOTIFICATION_DROPPED = "notification_dropped";
}
