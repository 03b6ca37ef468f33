//! Line charts as SVG, readable on light and on dark pages.

use std::fmt::Write as _;
use std::path::Path;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 56.0;

/// The colors of the lines on light and dark pages, and their dashes, by which they differ without color.
const LINES: [(&str, &str, &str); 4] = [
    ("#0969da", "#58a6ff", "none"),
    ("#bc4c00", "#f0883e", "7 4"),
    ("#8250df", "#bc8cff", "2 4"),
    ("#1a7f37", "#3fb950", "10 4 2 4"),
];

/// The scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Linear, from zero or from the smallest value if that is negative.
    Linear,
    /// Logarithmic.
    Log,
}

pub struct Axis {
    /// The quantity, with its unit.
    pub label: String,
    pub scale: Scale,
}

impl Axis {
    pub fn linear(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
        }
    }

    pub fn log(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            scale: Scale::Log,
        }
    }
}

pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

pub struct Plot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// `true` if each point is marked, which suits a few measurements but not a distribution.
    pub marks: bool,
}

impl Plot {
    /// Writes the chart to a file, and creates its directory if needed.
    pub fn write(&self, path: &Path) {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).expect("a directory");
        }
        std::fs::write(path, self.svg()).expect("written");
    }

    fn svg(&self) -> String {
        let all = || self.series.iter().flat_map(|series| &series.points);
        let x = Span::over(self.x.scale, all().map(|point| point.0));
        let y = Span::over(self.y.scale, all().map(|point| point.1));
        let across = |value| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
        let up = |value| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);

        let mut svg = self.head();
        for tick in x.ticks() {
            let (at, floor) = (across(tick), HEIGHT - BOTTOM);
            // At the right edge half of a centered number would be cut off.
            let anchor = if at < WIDTH - RIGHT { "middle" } else { "end" };
            let _ = writeln!(
                svg,
                r#"<path class="grid" d="M{at:.1} {TOP}V{floor}"/><text x="{at:.1}" y="{:.1}" text-anchor="{anchor}">{}</text>"#,
                floor + 18.0,
                number(tick)
            );
        }
        for tick in y.ticks() {
            let at = up(tick);
            let _ = writeln!(
                svg,
                r#"<path class="grid" d="M{LEFT} {at:.1}H{:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                number(tick)
            );
        }
        for (index, series) in self.series.iter().enumerate() {
            let points = series.points.iter().map(|(x, y)| (across(*x), up(*y)));
            let points: Vec<(f64, f64)> = points.collect();
            let line: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let class = index % LINES.len();
            let _ = writeln!(
                svg,
                r#"<polyline class="line s{class}" points="{}"/>"#,
                line.join(" ")
            );
            for (x, y) in points.iter().filter(|_| self.marks) {
                let _ = writeln!(
                    svg,
                    r#"<circle class="s{class}" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Returns the style, the title, the labels of the axes and the legend.
    fn head(&self) -> String {
        let title = escaped(&self.title);
        let mut svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">
<style>
svg {{ background: #ffffff; font: 13px system-ui, sans-serif; fill: #1f2328 }}
.title {{ font-size: 16px; font-weight: 600 }}
.grid {{ stroke: #d1d9e0; fill: none }}
.line {{ stroke-width: 2; fill: none; stroke-linejoin: round }}
"#
        );
        let mut dark = String::new();
        for (index, (light, night, dashes)) in LINES.iter().enumerate() {
            let _ = writeln!(
                svg,
                ".s{index} {{ stroke: {light} }} .line.s{index} {{ stroke-dasharray: {dashes} }} circle.s{index} {{ fill: {light} }}"
            );
            let _ = writeln!(
                dark,
                ".s{index} {{ stroke: {night} }} circle.s{index} {{ fill: {night} }}"
            );
        }
        let _ = write!(
            svg,
            "@media (prefers-color-scheme: dark) {{\nsvg {{ background: #0d1117; fill: #e6edf3 }}\n.grid {{ stroke: #30363d }}\n{dark}}}\n</style>\n"
        );
        let _ = writeln!(
            svg,
            r#"<text class="title" x="{LEFT}" y="26">{title}</text>"#
        );
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 14.0,
            escaped(&self.x.label)
        );
        let _ = writeln!(
            svg,
            r#"<text transform="translate(18 {middle:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
            escaped(&self.y.label)
        );
        let mut at = LEFT;
        for (index, series) in self.series.iter().enumerate() {
            let class = index % LINES.len();
            let _ = writeln!(
                svg,
                r#"<path class="line s{class}" d="M{at:.1} 54h28"/><text x="{:.1}" y="58">{}</text>"#,
                at + 36.0,
                escaped(&series.name)
            );
            // At a font size of 13 pixels, letters are about seven pixels wide.
            at += 64.0 + 7.0 * series.name.chars().count() as f64;
        }
        svg
    }
}

/// The range of values that an axis shows.
struct Span {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Span {
    fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let shown = values.filter(|value| scale == Scale::Linear || *value > 0.0);
        let (least, most) = shown.fold((f64::MAX, f64::MIN), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        let (from, to) = match scale {
            _ if least > most => (1.0, 10.0),
            Scale::Linear => {
                let step = step(most - least.min(0.0));
                (
                    (least.min(0.0) / step).floor() * step,
                    (most / step).ceil() * step,
                )
            }
            Scale::Log => {
                let from = 10_f64.powf(least.log10().floor());
                (from, (10_f64.powf(most.log10().ceil())).max(from * 10.0))
            }
        };
        Self { scale, from, to }
    }

    /// Returns the position of a value along the axis, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let along = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => {
                (value.max(self.from) / self.from).log10() / (self.to / self.from).log10()
            }
        };
        along.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let step = step(self.to - self.from);
        let next = |tick: &f64| match self.scale {
            Scale::Linear => tick + step,
            Scale::Log => tick * 10.0,
        };
        // Rounding errors add up and must not drop the last tick.
        let end = self.to * (1.0 + 1e-9);
        std::iter::successors(Some(self.from), |tick| Some(next(tick)))
            .take_while(|tick| *tick <= end)
            .collect()
    }
}

/// Returns a round distance between ticks, so that there are about five to ten of them.
fn step(length: f64) -> f64 {
    if length <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf((length / 5.0).log10().floor());
    let fits = |step: &f64| length / step <= 8.0;
    let mut steps = [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power);
    steps.find(fits).unwrap_or(10.0 * power)
}

/// Formats a number without trailing zeros, and with separated thousands.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, _) = short.split_once('.').unwrap_or((short, ""));
    if whole.len() < 5 {
        return short.to_owned();
    }
    let digits = whole.chars().enumerate();
    let apart = digits.flat_map(|(index, digit)| {
        let comma = index > 0 && (whole.len() - index) % 3 == 0;
        comma.then_some(',').into_iter().chain([digit])
    });
    apart.collect()
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('"', "&quot;")
}
