//! `[schedule]`, `[retry]`, `[http]` and `[log]`.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::credential::SecretRef;
use crate::setting::suggest::list;
use crate::setting::value_types::place::LISTEN;
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::text::words;
use crate::setting::value_types::time::{INTERVAL, RHYTHM, Rhythm, TIMEZONE};
use crate::setting::{Choice, Shape, ValueType, settings};

settings! {
    /// `[schedule]`, as it is written.
    pub table Schedule {
        /// When each key is looked at: an interval of at least 1s, or a cron line of five fields, or six with seconds first. A key may have its own.
        check: Rhythm = RHYTHM, Default;
        /// The interval instead of `check` while each change in a key's source is heard of: for keys without a `check` of their own.
        check_with_events: Duration = INTERVAL, Default;
        /// The time zone of cron lines; daylight saving is honoured.
        timezone: String = TIMEZONE, Default;
        /// After how long a key is pushed again even when unchanged: it repairs edits made in Flashback.
        resync: Duration = INTERVAL, Default;
    }
}

/// `[schedule]`.
pub const SCHEDULE: ValueType<Schedule> = ValueType {
    shape: Shape::Table(Schedule::ALL),
    read: Schedule::of,
};

settings! {
    /// `[retry]`, as it is written.
    pub table Retry {
        /// The first wait after a failure. Each further one doubles, with jitter.
        initial: Duration = INTERVAL, Default;
        /// No wait is longer than this.
        max: Duration = INTERVAL, Default;
        /// When one round of tries ends; the next begins with the key's next check.
        give_up_after: Duration = INTERVAL, Default;
        /// After how long a write that Flashback refused (400, 403) is tried again.
        refused: Duration = INTERVAL, Default;
    }
}

/// `[retry]`.
pub const RETRY: ValueType<Retry> = ValueType {
    shape: Shape::Table(Retry::ALL),
    read: |input| {
        let read = Retry::of(input)?;
        if let (Some(initial), Some(max)) = (read.initial.value, read.max.value)
            && initial > max
            && let Some(span) = read.max.span.or(read.initial.span)
        {
            input
                .diagnostics
                .mistake(span, "`max` is shorter than `initial`")
                .help("`initial` is the first wait, and waits grow up to `max`");
        }
        Some(read)
    },
};

settings! {
    /// `[http]`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HttpConfig, read by HttpTable {
        /// Where /livez, /readyz, /metrics, /status and the status page are served: an IP address and a port.
        listen: SocketAddr = LISTEN, Default;
        /// The token that whoever sends `POST /notify` must present. Without it there is no such request.
        notify_token: SecretRef = SECRET, Optional;
    }
}

/// `[http]`.
pub const HTTP: ValueType<HttpConfig> = ValueType {
    shape: Shape::Table(HttpTable::ALL),
    read: |input| HttpTable::of(input)?.finish(),
};

settings! {
    /// `[log]`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LogConfig, read by LogTable {
        /// One JSON object a line, or lines for people. Default: pretty on a terminal, json elsewhere.
        format: LogFormat = LOG_FORMAT, Optional;
        /// A level, or directives such as `info,flashback_rotator=debug`.
        level: String = LOG_LEVEL, Default;
    }
}

/// `[log]`.
pub const LOG: ValueType<LogConfig> = ValueType {
    shape: Shape::Table(LogTable::ALL),
    read: |input| LogTable::of(input)?.finish(),
};

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// Text for people.
    Pretty,
}

const LOG_FORMATS: Choice<LogFormat> = &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];

const LOG_FORMAT: ValueType<LogFormat> = ValueType {
    shape: Shape::Text(|| words(LOG_FORMATS)),
    read: |input| input.choice(LOG_FORMATS),
};

const LOG_LEVEL: ValueType<String> = ValueType {
    shape: Shape::Text(
        || json!({ "type": "string", "examples": ["error", "warn", "info", "debug", "trace"] }),
    ),
    read: |input| {
        const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
        let text = input.text("info")?;
        // A bare word that is no level is taken for a module's name there, and logs everything.
        let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
        let has_directives = text.contains('=') && EnvFilter::builder().parse(text).is_ok();
        if is_level || has_directives {
            return Some(text.to_owned());
        }
        input.wrong("is no level").help(format!(
            "write {}, or directives such as `info,flashback_rotator=debug`",
            list(LEVELS.iter().copied())
        ));
        None
    },
};
