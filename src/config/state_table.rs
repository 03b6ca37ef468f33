//! `[state]`.

use std::time::Duration;

use serde_json::json;

use super::state::StateConfig;
use super::state_url::{STATE_URL, StateUrl};
use crate::credential::SecretRef;
use crate::model::LONGEST_LEASE;
use crate::setting::value_types::secret::OUTSIDE;
use crate::setting::value_types::time::{not_an_interval, within};
use crate::setting::{Shape, ValueType, settings};

/// The shortest lease. Leases are renewed every second, and a renewal takes time.
const SHORTEST_LEASE: Duration = Duration::from_secs(3);

settings! {
    /// `[state]`, as it is written.
    pub table State {
        /// The SQLite file, as `sqlite://` and its path, or a PostgreSQL database that several replicas share, as `postgres://user@host/database`. Default: `state.db` in $STATE_DIRECTORY (systemd's StateDirectory=), else in the working directory.
        url: StateUrl = STATE_URL, Optional;
        /// The password of the user in a PostgreSQL `url`. Default: what $PGPASSFILE or ~/.pgpass has for it.
        password: SecretRef = OUTSIDE, Optional;
        /// With PostgreSQL: how long the keys of a replica that died wait until others take them over; 3s or longer.
        lease: Duration = LEASE, Default;
    }
}

/// `[state]`; `Some(None)` where it does not say where the state is.
pub const STATE: ValueType<Option<StateConfig>> = ValueType {
    shape: Shape::Table(State::ALL),
    read: |input| {
        let read = State::of(input)?;
        let (names_one, url) = (read.url.span.is_some(), read.url.value);
        let lease = read.lease.value?;
        if let (Some(span), None | Some(StateUrl::Sqlite(_))) = (read.password.span, &url)
            && (url.is_some() || !names_one)
        {
            input
                .diagnostics
                .mistake(span, "a SQLite file has no password")
                .help("take it out, or write `url = \"postgres://user@host/database\"`");
            return None;
        }
        match url {
            None if names_one => None,
            None => Some(None),
            Some(StateUrl::Sqlite(path)) => Some(Some(StateConfig::Sqlite { path })),
            Some(StateUrl::Postgres(mut postgres)) => {
                postgres.lease = lease;
                postgres.password = read.password.value;
                Some(Some(StateConfig::Postgres(postgres)))
            }
        }
    },
};

/// The length of a lease.
const LEASE: ValueType<Duration> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["15s", "30s"] })),
    read: |input| {
        let text = input.text("15s")?;
        let Ok(lease) = humantime::parse_duration(text) else {
            not_an_interval(input);
            return None;
        };
        if lease > LONGEST_LEASE {
            input.wrong("must be 5m or shorter").help(
                "write a lease such as `15s`: that long the keys of a replica that died wait for another",
            );
            return None;
        }
        within(input, lease, SHORTEST_LEASE, "must be 3s or longer")
    },
};
