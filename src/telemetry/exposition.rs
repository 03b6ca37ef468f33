//! The format of `/metrics`: Prometheus's text format 0.0.4, which every collector reads
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! The metrics library writes OpenMetrics. For the metrics of this program the formats differ in two
//! respects: the `_total` of a counter belongs to its name here, and there is no end marker.

use std::fmt::Write as _;

/// Converts a whole OpenMetrics exposition of counters, gauges and histograms, without units and exemplars,
/// to the text format.
pub fn plain(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    // `# HELP` comes before `# TYPE`, which says whether the metric is a counter.
    let mut help = None;
    for line in open.lines().filter(|line| *line != "# EOF") {
        if let Some(named) = line.strip_prefix("# HELP ") {
            help = named.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|named| named.split_once(' '))
        {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                let _ = writeln!(text, "# HELP {name}{total} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{total} {kind}");
        } else {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn counters_get_their_whole_name() {
        let open = "# HELP a_b Why.\n# TYPE a_b counter\na_b_total{x=\"# EOF\"} 1\n\
                    # HELP c How much.\n# TYPE c gauge\nc 2\n# EOF\n";
        let text = "# HELP a_b_total Why.\n# TYPE a_b_total counter\na_b_total{x=\"# EOF\"} 1\n\
                    # HELP c How much.\n# TYPE c gauge\nc 2\n";
        assert_eq!(plain(open), text);
    }
}
