//! The log: its format, and the limits of its levels.
//!
//! Two filters apply to every event. The user's filter decides how much this program logs. The other one is
//! fixed and limits the dependencies: their events can contain what they were given, such as a request's body
//! or a parsed answer, so no level that a user sets lets these through.

use std::fmt::{Debug, Write as _};
use std::io::IsTerminal as _;

use chrono::Local;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;

use super::panics;
pub use super::writer::LastLines;
use super::writer::LogWriter;
use crate::config::LogFormat;
use crate::failpoint;
use crate::terminal::Wrapped;
use crate::words::is_invisible;

/// The target that may log in more detail than warnings.
const OWN: &str = "flashback_rotator";

/// The targets that may not log at all: their errors were seen to contain the body of an answer, and the
/// source that made the call reports them anyway. These are prefixes: `aws_` stands for the whole SDK.
const SILENT: [&str; 3] = ["aws_", "rustify", "vaultrs"];

/// The error of a log that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is invalid.
    #[error(
        "[log] level is neither off, error, warn, info, debug or trace, nor directives such as `info,flashback_rotator::engine=debug`"
    )]
    Level,
    /// The log was set up before.
    #[error("the log is set up already")]
    Already,
    /// The thread that writes the log could not be started.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(std::io::Error),
}

/// Changes the level of the log while it is in use.
#[derive(Clone)]
pub struct Handle(reload::Handle<EnvFilter, Registry>);

impl Handle {
    /// Sets another level.
    ///
    /// # Errors
    /// Returns [`LogError::Level`] if the level is invalid. The old one then stays in force.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let filter = parse_level(level)?;
        // This fails only if the subscriber is gone, and then there is no log.
        let _ = self.0.reload(filter);
        Ok(())
    }
}

/// Sends the log of this process to standard error (standard output is for documents), and panics to the log.
/// Without a `format` the log is pretty on a terminal and JSON elsewhere.
///
/// # Errors
/// Returns [`LogError`] if the level is invalid or the log was set up before.
pub fn init(format: Option<LogFormat>, level: &str) -> Result<Handle, LogError> {
    set(format, level, std::io::stderr)
}

/// Does the same as [`init`] for a process that must go on whatever happens to its standard error: logging
/// never waits for it. The caller must keep the second value to the end and log nothing after it is dropped.
///
/// # Errors
/// Returns [`LogError`] if the level is invalid, the log was set up before, or its thread cannot be started.
pub fn init_unblocked(
    format: Option<LogFormat>,
    level: &str,
) -> Result<(Handle, LastLines), LogError> {
    let writer = LogWriter::to_stderr().map_err(LogError::Thread)?;
    let last = LastLines(writer.clone());
    let dying = writer.clone();
    failpoint::before_kill(move || drop(LastLines(dying.clone())));
    set(format, level, move || writer.clone()).map(|handle| (handle, last))
}

fn set<W>(format: Option<LogFormat>, level: &str, writer: W) -> Result<Handle, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(match terminal {
        true => LogFormat::Pretty,
        false => LogFormat::Json,
    });
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let writer = match (format, terminal) {
        (LogFormat::Pretty, true) => BoxMakeWriter::new(Wrapped(writer)),
        _ => BoxMakeWriter::new(writer),
    };
    let (subscriber, handle) = build(format, colours, parse_level(level)?, writer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Already)?;
    std::panic::set_hook(Box::new(panics::report));
    Ok(handle)
}

/// Parses a level, or directives in the form of tracing-subscriber's `EnvFilter`. If no level stands alone
/// among the directives, what none of them names is logged at `info`.
///
/// # Errors
/// Returns [`LogError::Level`] if the text is neither.
pub fn parse_level(level: &str) -> Result<EnvFilter, LogError> {
    let mut directives = level.split(',').map(str::trim);
    // `EnvFilter` takes a bare word that is no level for the name of a module and silences everything else,
    // so a typing error would end the log.
    let (levels, others): (Vec<_>, Vec<_>) = directives
        .by_ref()
        .partition(|directive| directive.parse::<LevelFilter>().is_ok());
    let well_formed = |directive: &&str| directive.contains(['=', '[', ']', '}']);
    if level.trim().is_empty() || levels.len() > 1 || !others.iter().all(well_formed) {
        return Err(LogError::Level);
    }
    let base = levels.first().copied().unwrap_or("info");
    let base = base.parse::<LevelFilter>().map_err(|_| LogError::Level)?;
    EnvFilter::builder()
        .with_default_directive(base.into())
        .parse(others.join(","))
        .map(|filter| filter.add_directive(base.into()))
        .map_err(|_| LogError::Level)
}

fn build<W>(
    format: LogFormat,
    colours: bool,
    filter: EnvFilter,
    writer: W,
) -> (impl Subscriber + Send + Sync, Handle)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter);
    // A log that cannot be written is no reason to stop, and standard error cannot report it.
    let lines = tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .with_ansi(colours)
        .with_writer(writer);
    let lines = match format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .map_event_format(VisibleJson)
            .boxed(),
        LogFormat::Pretty => lines
            .compact()
            .with_target(false)
            .with_timer(TimeOfDay)
            .fmt_fields(debug_fn(visible_field).delimited(" "))
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(floor())
        .with(lines);
    (subscriber, Handle(handle))
}

fn floor() -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target(OWN, LevelFilter::TRACE)
        .with_targets(SILENT.map(|target| (target, LevelFilter::OFF)))
}

/// Writes a text, with a number in place of each invisible control character. A text from outside must not move the
/// cursor, reverse the direction of a line or imitate another line.
struct Visible<'w, 'a> {
    writer: &'w mut Writer<'a>,
    number: fn(&mut Writer<'a>, char) -> std::fmt::Result,
}

impl std::fmt::Write for Visible<'_, '_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_invisible) {
            let (plain, from) = rest.split_at(at);
            self.writer.write_str(plain)?;
            let mut chars = from.chars();
            if let Some(c) = chars.next() {
                (self.number)(self.writer, c)?;
            }
            rest = chars.as_str();
        }
        self.writer.write_str(rest)
    }
}

/// Formats an event as a line of JSON, with such characters as `\u` escapes.
struct VisibleJson<F>(F);

impl<S, N, F> FormatEvent<S, N> for VisibleJson<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let number = |writer: &mut Writer<'_>, c: char| {
            // This is the end of the line; within it there is no line break.
            if c == '\n' {
                return writer.write_char(c);
            }
            let mut units = [0; 2];
            let mut units = c.encode_utf16(&mut units).iter();
            units.try_for_each(|unit| write!(writer, "\\u{unit:04x}"))
        };
        let mut visible = Visible {
            writer: &mut writer,
            number,
        };
        self.0
            .format_event(context, Writer::new(&mut visible), event)
    }
}

/// Writes a field of a line for people.
fn visible_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match (field.name(), writer.has_ansi_escapes()) {
        ("message", _) => {}
        (name, true) => write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
        (name, false) => write!(writer, "{name}=")?,
    }
    let number = |writer: &mut Writer<'_>, c: char| write!(writer, "{}", c.escape_default());
    write!(Visible { writer, number }, "{value:?}")
}

/// The local time of day, without the date, for people who watch the log.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        write!(line, "{}", Local::now().format("%H:%M:%S%.3f"))
    }
}

#[cfg(test)]
mod tests;
