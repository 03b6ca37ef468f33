use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tracing::{debug, error, info, info_span, trace, warn};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock())).expect("text")
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, level: &str, talk: impl FnOnce(&Handle)) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let filter = parse_level(level).expect("a level");
    let (subscriber, handle) = build(format, false, filter, move || writer.clone());
    tracing::subscriber::with_default(subscriber, || talk(&handle));
    lines.take()
}

#[test]
fn a_line_is_one_flat_object() {
    let text = logged(LogFormat::Json, "info", |_| {
        let _span = info_span!("outer", noise = 1).entered();
        info!(
            event = "started",
            key = "a",
            elapsed_ms = 12,
            "up\nand well"
        );
    });
    let line: Value = serde_json::from_str(&text).expect("one object");
    assert_eq!(text.lines().count(), 1, "{text}");
    let mut fields: Vec<_> = line.as_object().expect("an object").keys().collect();
    fields.sort();
    let expected = [
        "elapsed_ms",
        "event",
        "key",
        "level",
        "message",
        "target",
        "timestamp",
    ];
    assert_eq!(fields, expected);
    assert_eq!(line["elapsed_ms"], 12);
    assert_eq!(line["message"], "up\nand well");
    let time = line["timestamp"].as_str().expect("text");
    assert!(time.ends_with('Z'), "{time}");
    chrono::DateTime::parse_from_rfc3339(time).expect("a time");
}

#[test]
fn control_characters_are_escaped_in_every_log_format() {
    let odd = "a\u{202e}b\u{2028}c\u{200b}d\u{9b}e\u{1b}[2Jf\u{e0041}g\r\nh";
    for format in [LogFormat::Json, LogFormat::Pretty] {
        let text = logged(format, "info", |_| {
            info!(shown = %odd, debugged = ?odd, plain = odd, "{odd}");
        });
        let line = text.strip_suffix('\n').expect("a line");
        assert!(!line.contains(is_invisible), "{line:?}");
        if format == LogFormat::Json {
            let line: Value = serde_json::from_str(line).expect("one object");
            for field in ["shown", "plain", "message"] {
                assert_eq!(line[field], odd, "{field}");
            }
        } else {
            assert!(line.contains("shown=a\\u{202e}b"), "{line}");
        }
    }
}

#[test]
fn no_level_lifts_the_floor() {
    for level in ["trace", "hyper=trace,aws_config=trace,vaultrs=trace,trace"] {
        let text = logged(LogFormat::Json, level, |_| {
            trace!(target: "hyper::proto", "canary");
            debug!(target: "reqwest::connect", "canary");
            info!(target: "tokio_postgres", "canary");
            error!(target: "rustify::client", "canary");
            error!(target: "vaultrs::api", "canary");
            warn!(target: "aws_config::sts", "canary");
            warn!(target: "tokio_cron_scheduler", "a dependency's warning");
            trace!("our own");
        });
        assert!(!text.contains("canary"), "{level}: {text}");
        assert!(text.contains("a dependency's warning"), "{level}: {text}");
        assert!(text.contains("our own"), "{level}: {text}");
    }
}

#[test]
fn the_level_can_be_changed() {
    let text = logged(
        LogFormat::Pretty,
        "flashback_rotator::other=debug",
        |handle| {
            info!("one");
            debug!("hidden");
            handle.set_level("debug").expect("a level");
            debug!("two");
            handle.set_level("verbose").expect_err("no level");
            debug!("three");
            handle.set_level("off").expect("a level");
            error!("hidden");
        },
    );
    let words: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(words, ["one", "two", "three"], "{text}");
}

#[test]
fn malformed_log_levels_are_refused() {
    for level in [
        "",
        " ",
        "verbose",
        "info,debug",
        "info,engine",
        "a=b=c",
        "a=loud",
    ] {
        let refused = parse_level(level).expect_err(level).to_string();
        assert!(refused.contains("[log] level"), "{refused}");
    }
    for level in [
        "INFO",
        " warn ",
        "info,flashback_rotator::engine=debug",
        "off",
    ] {
        parse_level(level).expect(level);
    }
}

#[test]
fn a_panic_is_a_line_without_its_message_and_counted() {
    let look = panics::within_now(panics::Task::Reconcile, || {
        logged(LogFormat::Json, "info", |_| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(panics::report));
            let panicked = std::panic::catch_unwind(|| panic!("canary"));
            std::panic::set_hook(before);
            panicked.expect_err("it panicked");
        })
    });
    let line: Value = serde_json::from_str(&look).expect("one object");
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["task"], "look");
    let location = line["location"].as_str().expect("a place");
    assert!(location.contains("log/tests.rs"), "{location}");
    assert!(!look.contains("canary"), "{look}");
    let metrics = crate::telemetry::metrics::Metrics::new().render();
    let counted = "flashback_rotator_panics_total{task=\"look\"} ";
    let counted = metrics.lines().find_map(|line| line.strip_prefix(counted));
    let counted: u64 = counted.expect(&metrics).parse().expect("a count");
    assert!(counted >= 1, "{counted}");
}
