//! Helpers for all sections of the page: state icons, times and plurals.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

use crate::engine::report::State;

/// Formats a number with its noun.
pub fn plural(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// Renders a time as text, with the exact time as its tooltip.
pub fn moment(at: DateTime<Utc>, words: &str) -> Markup {
    let exact = rfc3339(at);
    html! { time datetime=(exact) title=(exact) { (words) } }
}

/// Formats a time as RFC 3339, to the second.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Renders the icon of a state. Each state has a shape of its own, so that color is not needed to tell them
/// apart.
pub fn icon(state: State) -> Markup {
    html! {
        svg.icon viewBox="0 0 16 16" aria-hidden="true" { use href={ "#" (shape(state)) } {} }
    }
}

fn shape(state: State) -> &'static str {
    match state {
        State::InSync => "tick",
        State::Pending => "dots",
        State::Failing => "cross",
        State::Held => "pause",
        State::Missing => "query",
        State::Disabled => "dash",
    }
}

/// The definitions of the icons, to which each use refers.
pub const SYMBOLS: &str = concat!(
    r#"<svg class="symbols" aria-hidden="true">"#,
    r#"<symbol id="tick" viewBox="0 0 16 16"><path d="M4.2 8.4l2.6 2.6 5-5.6"/></symbol>"#,
    r#"<symbol id="dots" viewBox="0 0 16 16"><path d="M4.5 8h.01M8 8h.01M11.5 8h.01"/></symbol>"#,
    r#"<symbol id="cross" viewBox="0 0 16 16"><path d="M5 5l6 6M11 5l-6 6"/></symbol>"#,
    r#"<symbol id="pause" viewBox="0 0 16 16"><path d="M6 4.8v6.4M10 4.8v6.4"/></symbol>"#,
    r#"<symbol id="query" viewBox="0 0 16 16"><path d="M8 4.2v4.6M8 11.8h.01"/></symbol>"#,
    r#"<symbol id="dash" viewBox="0 0 16 16"><path d="M4.8 8h6.4"/></symbol>"#,
    "</svg>",
);
