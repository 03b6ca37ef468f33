//! One way's figures, and how they are printed.

use std::time::Duration;

use crate::common::report::{Report, Spread};

/// The latencies of rotations.
pub struct Latency {
    pub times: Vec<Duration>,
    /// How many did not arrive.
    pub lost: usize,
}

impl Latency {
    pub fn median(&self) -> Option<Duration> {
        (!self.times.is_empty()).then(|| Spread::of(self.times.clone()).median())
    }

    /// Returns the median, the tail and what did not arrive.
    pub fn shown(&self) -> String {
        if self.times.is_empty() {
            return "none arrived".to_owned();
        }
        let spread = Spread::of(self.times.clone());
        let [median, most, max] = [50, 99, 100].map(|percent| tenths(spread.at(percent)));
        let lost = match self.lost {
            0 => String::new(),
            lost => format!(", {lost} never"),
        };
        format!("median {median}, p99 {most}, max {max}{lost}")
    }
}

/// The figures of one way.
pub struct Row {
    pub name: String,
    pub latency: Latency,
    /// The calls to OpenBao, per key and minute; `None` if the source is another.
    pub calls: Option<f64>,
    /// The CPU of the daemons, in cores.
    pub cpu: f64,
    /// The expected median, and the expected 99th percentile, if there is one.
    pub expected: Option<(Duration, Option<Duration>)>,
}

impl Row {
    /// Prints the row; `unit` is the latency that all are compared with.
    pub fn print(&self, report: &mut Report, unit: Option<Duration>) {
        let median = self.latency.median();
        let ratio = median.zip(unit);
        let ratio = ratio.map(|(one, other)| one.as_secs_f64() / other.as_secs_f64());
        let expected = self.expected.map(|(median, most)| {
            let met = self.latency.lost == 0 && !self.latency.times.is_empty() && {
                let spread = Spread::of(self.latency.times.clone());
                spread.median() <= median && most.is_none_or(|most| spread.at(99) <= most)
            };
            let mut text = format!("median up to {} ms", median.as_millis());
            if let Some(most) = most {
                text += &format!(", p99 up to {} ms", most.as_millis());
            }
            (text, met)
        });
        let cells = [
            self.latency.shown(),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.1}")),
            self.calls
                .map_or_else(String::new, |calls| format!("{calls:.2}")),
            format!("{:.1} %", 100.0 * self.cpu),
        ];
        let text = expected.as_ref().map_or("", |(text, _)| text);
        let met = expected.as_ref().map(|(_, met)| *met);
        report.row(&self.name, &cells, text, met);
    }
}

/// Returns a latency in milliseconds, to a tenth.
pub fn tenths(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}
