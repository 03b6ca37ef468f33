//! `[flashback]`, `[state]`, `[schedule]`, `[retry]`, `[http]` and `[log]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::{Form, Need, Setting, Settings, Shape, settings};
use crate::config::setting::list;
use crate::config::value_types::state::{STATE_URL, StateUrl};
use crate::config::value_types::time::{self, INTERVAL, RHYTHM, Rhythm, TIMEZONE, WATCH};
use crate::config::value_types::{self, Choice, SHORT, place, secret};
use crate::config::{FlashbackAuth, LogConfig, LogFormat, SecretRef, StateConfig, ValueRef, hints};
use crate::retry::Limits;

/// `[flashback]`.
pub(in crate::config) struct Flashback {
    pub(in crate::config) base_url: Option<String>,
    pub(in crate::config) workspace_id: Option<String>,
    /// Whether there is a `workspace_id`, right or wrong.
    pub(in crate::config) names_workspace: bool,
    pub(in crate::config) auth: Option<FlashbackAuth>,
    pub(in crate::config) watch_edits: Option<Option<Duration>>,
}

pub(in crate::config) mod flashback {
    use super::*;
    settings! {
        /// Where Flashback's API is.
        BASE_URL: String = "base_url", Default, place::BASE_URL;
        /// The workspace of every key that names none.
        WORKSPACE_ID: String = "workspace_id", Optional, SHORT;
        /// How to sign in: `token`, or `email` and `password`, or `refresh_token`.
        AUTH: FlashbackAuth = "auth", Required, super::AUTH;
        /// How often Flashback is asked whether somebody else has changed credentials; "off" to not do it.
        WATCH_EDITS: Option<Duration> = "watch_edits", Default, WATCH;
    }
}

pub(in crate::config) const FLASHBACK: Form<Flashback> = Form {
    shape: Shape::Table(flashback::ALL),
    read: |look| {
        let mut table = look.table("`[flashback]` and its settings below it")?;
        table.only(flashback::ALL);
        let base_url = table.get(&flashback::BASE_URL);
        if let (Some(url), Some(span)) = (&base_url, table.written(&flashback::BASE_URL))
            && let Some(hint) = hints::base_url(url)
        {
            table.diagnostics.warn(Some(span), hint.text);
        }
        Some(Flashback {
            base_url,
            names_workspace: table.written(&flashback::WORKSPACE_ID).is_some(),
            workspace_id: table.get(&flashback::WORKSPACE_ID),
            auth: table.get(&flashback::AUTH),
            watch_edits: table.get(&flashback::WATCH_EDITS),
        })
    },
};

mod auth {
    use super::*;
    settings! {
        /// A bearer token. It is read again when its file changes, and on a 401.
        TOKEN: SecretRef = "token", Required, secret::SECRET;
        /// The e-mail address to log in with. Not secret: a plain text or a reference.
        EMAIL: ValueRef = "email", Required, secret::VALUE;
        /// The password that belongs to `email`.
        PASSWORD: SecretRef = "password", Required, secret::SECRET;
        /// The base32 seed of the account's second factor (TOTP), where it has one. Only beside `email` and `password`.
        TOTP: SecretRef = "totp", Optional, secret::SECRET;
        /// A refresh token in a file. Each works once: the next one is written back, so the file must be writable. A process killed at that moment loses it; `email` and `password` cannot be lost.
        REFRESH_TOKEN: PathBuf = "refresh_token", Required, secret::SECRET_FILE;
    }
}

/// What is said of a sign-in that can end by itself.
const ONE_USE: &str = "a refresh token works once, and each start and renewal uses one: a process that is killed between Flashback's answer and the write to the disk leaves a token that is used up, and somebody has to make a new one. `email` and `password` have no such moment";

const AUTH: Form<FlashbackAuth> = Form {
    shape: Shape::OneOf(&[
        &[&auth::TOKEN],
        &[&auth::EMAIL, &auth::PASSWORD, &auth::TOTP],
        &[&auth::REFRESH_TOKEN],
    ]),
    read: |look| {
        const WAYS: &str = "write `token`, or `email` and `password`, or `refresh_token`";
        let mut table = look.table("`[flashback.auth]` and its settings below it")?;
        table.only(auth::ALL);
        let token = table.written(&auth::TOKEN);
        let login = table
            .written(&auth::EMAIL)
            .or(table.written(&auth::PASSWORD));
        let refresh = table.written(&auth::REFRESH_TOKEN);
        let totp = table.get(&auth::TOTP);
        if let (Some(span), None) = (table.written(&auth::TOTP), login) {
            table
                .diagnostics
                .mistake(span, "`totp` belongs to `email` and `password`")
                .help("take it out: it answers the second factor of a login");
            return None;
        }
        match (token, login, refresh) {
            (Some(_), None, None) => table.get(&auth::TOKEN).map(FlashbackAuth::Token),
            (None, Some(_), None) => {
                let (email, password) = (table.get(&auth::EMAIL), table.get(&auth::PASSWORD));
                Some(FlashbackAuth::Login {
                    email: email?,
                    password: password?,
                    totp,
                })
            }
            (None, None, Some(span)) => {
                table.diagnostics.warn(Some(span), ONE_USE);
                table
                    .get(&auth::REFRESH_TOKEN)
                    .map(FlashbackAuth::RefreshToken)
            }
            (None, None, None) => {
                let span = table.span;
                table
                    .diagnostics
                    .missing(span, "this does not say how to sign in to Flashback")
                    .help(WAYS);
                None
            }
            _ => {
                let written: Vec<_> = auth::ALL
                    .iter()
                    .map(|setting| setting.name())
                    .filter(|name| table.tree.get(name).is_some())
                    .collect();
                let message = format!(
                    "{} are different ways to sign in",
                    list(written.iter().copied()).replace(" or ", " and ")
                );
                let span = table.span;
                table
                    .diagnostics
                    .mistake(span, message)
                    .help(format!("keep one: {WAYS}"));
                // Each is read all the same, so that its own mistakes are reported too.
                let password = table.written(&auth::PASSWORD);
                token.and_then(|_| table.get(&auth::TOKEN));
                password.and_then(|_| table.get(&auth::PASSWORD));
                refresh.and_then(|_| table.get(&auth::REFRESH_TOKEN));
                None
            }
        }
    },
};

pub(in crate::config) mod state {
    use super::*;
    settings! {
        /// The SQLite file, as `sqlite://` and its path, or a PostgreSQL database that several replicas share, as `postgres://user@host/database`. Default: `state.db` in $STATE_DIRECTORY (systemd's StateDirectory=), else in the working directory.
        URL: StateUrl = "url", Optional, STATE_URL;
        /// The password of the user in a PostgreSQL `url`. Default: what $PGPASSFILE or ~/.pgpass has for it.
        PASSWORD: SecretRef = "password", Optional, secret::OUTSIDE;
        /// With PostgreSQL: how long the keys of a replica that died wait until others take them over; 3s or longer.
        LEASE: Duration = "lease", Default, time::LEASE;
    }
}

/// `[state]`: `Some(None)` where it does not say where the state is.
pub(in crate::config) const STATE: Form<Option<StateConfig>> = Form {
    shape: Shape::Table(state::ALL),
    read: |look| {
        let mut table = look.table("`[state]` and its settings below it")?;
        table.only(state::ALL);
        let names_one = table.written(&state::URL).is_some();
        let url = table.get(&state::URL);
        let written = table.written(&state::PASSWORD);
        let (password, lease) = (table.get(&state::PASSWORD), table.get(&state::LEASE)?);
        if let (Some(span), None | Some(StateUrl::Sqlite(_))) = (written, &url)
            && (url.is_some() || !names_one)
        {
            table
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
                postgres.password = password;
                Some(Some(StateConfig::Postgres(postgres)))
            }
        }
    },
};

/// `[schedule]`.
pub(in crate::config) struct Schedule {
    pub(in crate::config) check: Option<Rhythm>,
    pub(in crate::config) timezone: Option<Tz>,
    pub(in crate::config) resync: Option<Duration>,
}

pub(in crate::config) mod schedule {
    use super::*;
    settings! {
        /// When each key is looked at: an interval of at least 1s, or a cron line of five fields, or six with seconds first. A key may have its own.
        CHECK: Rhythm = "check", Default, RHYTHM;
        /// The time zone of cron lines; daylight saving is honoured.
        TIMEZONE: Tz = "timezone", Default, super::TIMEZONE;
        /// After how long a key is pushed again even when unchanged: it repairs edits made in Flashback.
        RESYNC: Duration = "resync", Default, INTERVAL;
    }
}

pub(in crate::config) const SCHEDULE: Form<Schedule> = Form {
    shape: Shape::Table(schedule::ALL),
    read: |look| {
        let mut table = look.table("`[schedule]` and its settings below it")?;
        table.only(schedule::ALL);
        Some(Schedule {
            check: table.get(&schedule::CHECK),
            timezone: table.get(&schedule::TIMEZONE),
            resync: table.get(&schedule::RESYNC),
        })
    },
};

/// `[retry]`.
pub(in crate::config) struct Retry {
    pub(in crate::config) limits: Option<Limits>,
    pub(in crate::config) refused: Option<Duration>,
}

pub(in crate::config) mod retry {
    use super::*;
    settings! {
        /// The first wait after a failure. Each further one doubles, with jitter.
        INITIAL: Duration = "initial", Default, INTERVAL;
        /// No wait is longer than this.
        MAX: Duration = "max", Default, INTERVAL;
        /// When one round of tries ends; the next begins with the key's next check.
        GIVE_UP_AFTER: Duration = "give_up_after", Default, INTERVAL;
        /// After how long a write that Flashback refused (400, 403) is tried again.
        REFUSED: Duration = "refused", Default, INTERVAL;
    }
}

pub(in crate::config) const RETRY: Form<Retry> = Form {
    shape: Shape::Table(retry::ALL),
    read: |look| {
        let mut table = look.table("`[retry]` and its settings below it")?;
        table.only(retry::ALL);
        let (initial, max) = (table.get(&retry::INITIAL), table.get(&retry::MAX));
        if let (Some(initial), Some(max)) = (initial, max)
            && initial > max
            && let Some(span) = table
                .written(&retry::MAX)
                .or(table.written(&retry::INITIAL))
        {
            table
                .diagnostics
                .mistake(span, "`max` is shorter than `initial`")
                .help("`initial` is the first wait, and waits grow up to `max`");
        }
        let give_up_after = table.get(&retry::GIVE_UP_AFTER);
        let refused = table.get(&retry::REFUSED);
        let limits = match (initial, max, give_up_after) {
            (Some(initial), Some(max), Some(give_up_after)) => Some(Limits {
                initial,
                max,
                give_up_after,
            }),
            _ => None,
        };
        Some(Retry { limits, refused })
    },
};

/// `[http]`.
pub(in crate::config) struct Http {
    pub(in crate::config) listen: Option<SocketAddr>,
}

pub(in crate::config) mod http {
    use super::*;
    settings! {
        /// Where /livez, /readyz, /metrics, /status and the status page are served: an IP address and a port.
        LISTEN: SocketAddr = "listen", Default, place::LISTEN;
    }
}

pub(in crate::config) const HTTP: Form<Http> = Form {
    shape: Shape::Table(http::ALL),
    read: |look| {
        let mut table = look.table("`[http]` and its settings below it")?;
        table.only(http::ALL);
        Some(Http {
            listen: table.get(&http::LISTEN),
        })
    },
};

const LOG_FORMATS: Choice<LogFormat> = &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];

const LOG_FORMAT: Form<LogFormat> = Form {
    shape: Shape::Text(|| value_types::words(LOG_FORMATS)),
    read: |look| look.choice(LOG_FORMATS),
};

const LOG_LEVEL: Form<String> = Form {
    shape: Shape::Text(
        || json!({ "type": "string", "examples": ["error", "warn", "info", "debug", "trace"] }),
    ),
    read: |look| {
        const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
        let text = look.text("info")?;
        // A bare word that is no level is taken for a module's name there, and logs everything.
        let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
        let has_directives = text.contains('=') && EnvFilter::builder().parse(text).is_ok();
        if is_level || has_directives {
            return Some(text.to_owned());
        }
        look.wrong("is no level").help(format!(
            "write {}, or directives such as `info,flashback_rotator=debug`",
            list(LEVELS.iter().copied())
        ));
        None
    },
};

pub(in crate::config) mod log {
    use super::*;
    settings! {
        /// One JSON object a line, or lines for people. Default: pretty on a terminal, json elsewhere.
        FORMAT: LogFormat = "format", Optional, LOG_FORMAT;
        /// A level, or directives such as `info,flashback_rotator=debug`.
        LEVEL: String = "level", Default, LOG_LEVEL;
    }
}

pub(in crate::config) const LOG: Form<LogConfig> = Form {
    shape: Shape::Table(log::ALL),
    read: |look| {
        let mut table = look.table("`[log]` and its settings below it")?;
        table.only(log::ALL);
        let format = table.get(&log::FORMAT);
        let level = table.get(&log::LEVEL)?;
        Some(LogConfig { format, level })
    },
};
