//! The names of what is logged: one event for one fact, in the field `event`.

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*

        /// Every name there is.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

events! {
    /// The daemon is up.
    STARTED = "started";
    /// It was told to stop and finishes what is in flight.
    STOPPING = "stopping";
    /// It is about to exit.
    STOPPED = "stopped";
    /// A new configuration is in force.
    CONFIG_RELOADED = "config_reloaded";
    /// A new configuration is broken; the old one goes on.
    CONFIG_REJECTED = "config_rejected";
    /// The store holds another version than before.
    ROTATION_DETECTED = "rotation_detected";
    /// A write to Flashback begins.
    PUSH_STARTED = "push_started";
    /// Flashback has it.
    PUSH_SUCCEEDED = "push_succeeded";
    /// Others may work on what this replica held, or on a key that was being written.
    LEASE_LOST = "lease_lost";
    /// It failed and will be tried again.
    PUSH_RETRYING = "push_retrying";
    /// It failed and is given up for now.
    PUSH_FAILED = "push_failed";
    /// A configuration was made.
    CONFIG_CREATED = "config_created";
    /// A configuration of the key's name was there and is now the key's.
    CONFIG_ADOPTED = "config_adopted";
    /// The configuration on record is gone from Flashback.
    CONFIG_MISSING = "config_missing";
    /// The configuration was edited or deleted in Flashback, and is as it should be again.
    DRIFT_REPAIRED = "drift_repaired";
    /// Flashback does not list a workspace, or lists what cannot be read.
    LISTING_INCOMPLETE = "listing_incomplete";
    /// What Flashback holds does not work, and the grace is over.
    VERIFICATION_FAILED = "verification_failed";
    /// The previous version is back in Flashback.
    ROLLED_BACK = "rolled_back";
    /// A version is not pushed by itself any more.
    VERSION_HELD = "version_held";
    /// The store was told which version is live and verified.
    ACKNOWLEDGED = "acknowledged";
    /// A source, or Flashback, does not answer.
    SOURCE_UNAVAILABLE = "source_unavailable";
    /// It answers again.
    SOURCE_RECOVERED = "source_recovered";
    /// The store has nothing to push.
    SECRET_MISSING = "secret_missing";
    /// The store does not give it: whether there is one is not known.
    SECRET_UNREADABLE = "secret_unreadable";
    /// What the store holds cannot be a key.
    SECRET_MALFORMED = "secret_malformed";
    /// The rotator signed in somewhere.
    SIGNED_IN = "signed_in";
    /// The rotator could not sign in.
    SIGN_IN_FAILED = "sign_in_failed";
    /// Keys that were nobody's are this replica's.
    KEYS_CLAIMED = "keys_claimed";
    /// This replica gave keys back for others to claim.
    KEYS_RELEASED = "keys_released";
    /// The shared state does not answer.
    STATE_UNAVAILABLE = "state_unavailable";
    /// It answers again.
    STATE_RECOVERED = "state_recovered";
    /// A receiver was told of something.
    NOTIFICATION_SENT = "notification_sent";
    /// A receiver could not be told, and is told again.
    NOTIFICATION_RETRYING = "notification_retrying";
    /// A receiver does not take what it is told.
    NOTIFICATION_FAILED = "notification_failed";
    /// A receiver is not told of everything.
    NOTIFICATION_DROPPED = "notification_dropped";
}
