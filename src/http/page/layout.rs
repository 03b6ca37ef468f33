//! The HTML document around the sections, and the overall verdict.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets::{BUILD, SCRIPT, STYLE};
use super::mark::{SYMBOLS, icon, plural, rfc3339};
use super::overview::Overview;
use super::query::{ORDER, Query};
use super::{events, keys, rules, services};
use crate::engine::report::State;
use crate::humanize::duration;
use crate::model::ServiceStatus;

/// The interval, in seconds, at which the browser reloads the page when scripts are off. A reload interrupts
/// reading, so it is longer than the script's.
const RELOAD: u32 = 30;

/// The overall condition of the service.
struct Verdict {
    /// The state whose mark is shown.
    state: State,
    /// One line of text.
    words: String,
}

/// Renders the page.
pub fn page(overview: &Overview, query: &Query) -> Markup {
    let verdict = verdict(overview);
    let body = html! {
        div class={ "verdict " (verdict.state.as_str()) } aria-live="polite" {
            (icon(verdict.state))
            h1 { (verdict.words) }
        }
        @for missing in &overview.missing { p.note { "Starting: " (missing) "." } }
        @if let Some(reason) = &overview.state {
            p.note.bad { "The state cannot be used, and nothing is pushed before it can: " bdi { (reason) } }
        }
        @if overview.refused {
            p.note.bad {
                "The newest configuration is refused, and the one before goes on. The log says what \
                 is wrong with it; " code { "flashback-rotator check" } " does too."
            }
        }
        (services::section(&overview.services, overview.at))
        (services::replicas(&overview.replicas))
        (rules::section(&overview.rules, overview.at))
        (keys::section(overview, query))
        (events::section(&overview.events))
    };
    let up = html! { " · up " (duration(overview.at - overview.started_at)) };
    document(&verdict, query, &up, overview.at, &body)
}

/// Renders the page that is shown when the data is not available.
pub fn unavailable(query: &Query, reason: &str) -> Markup {
    let verdict = Verdict {
        state: State::Failing,
        words: "The state cannot be read".to_owned(),
    };
    let body = html! {
        div.verdict.failing aria-live="polite" {
            (icon(State::Failing))
            h1 { (verdict.words) }
        }
        p.note { bdi { (reason) } }
        p.note { "Until it can be read again nothing is pushed. The log of the process says more." }
    };
    document(&verdict, query, &html! {}, Utc::now(), &body)
}

fn document(
    verdict: &Verdict,
    query: &Query,
    up: &Markup,
    at: DateTime<Utc>,
    body: &Markup,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-build=(*BUILD) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (verdict.words) " · flashback-rotator" }
                link rel="icon" href=(favicon(verdict.state));
                style { (PreEscaped(STYLE)) }
                @if query.refresh {
                    noscript { meta http-equiv="refresh" content=(RELOAD); }
                }
            }
            body {
                (PreEscaped(SYMBOLS))
                header {
                    p.brand { "flashback-rotator" }
                    p { (env!("CARGO_PKG_VERSION")) (up) }
                    (clock(query, at))
                }
                p #silence role="alert" hidden {
                    "flashback-rotator does not answer. What is below is old."
                }
                main { (body) }
                footer {
                    p {
                        "For programs: "
                        a href="status" { "status" } ", " a href="metrics" { "metrics" } ", "
                        a href="livez" { "livez" } ", " a href="readyz" { "readyz" }
                    }
                }
                @if query.refresh { script { (PreEscaped(SCRIPT)) } }
            }
        }
    }
}

/// Renders the time at which the page was made, and the link that turns refreshing on or off.
fn clock(query: &Query, at: DateTime<Utc>) -> Markup {
    let other = Query {
        refresh: !query.refresh,
        ..query.clone()
    };
    html! {
        p.clock {
            span {
                "As of " time datetime=(rfc3339(at)) { (at.format("%Y-%m-%d %H:%M:%S")) " UTC" }
            }
            " "
            a href=(other.link()) {
                @if query.refresh { "Stop refreshing" } @else { "Refresh by itself" }
            }
        }
    }
}

/// Returns the most serious condition, in one line.
fn verdict(overview: &Overview) -> Verdict {
    let count = |state| keys::count(overview, state);
    let enabled = overview.keys.len() - count(State::Disabled);
    let wrong = ORDER.into_iter().filter(|state| state.is_wrong());
    let down = overview
        .services
        .iter()
        .find(|service| service.health.status == ServiceStatus::Down);
    let (state, words) = if !overview.live {
        (State::Failing, "The engine makes no progress".to_owned())
    } else if let Some(worst) = wrong.clone().find(|state| count(*state) > 0) {
        let each = wrong.filter(|state| count(*state) > 0);
        let told =
            each.map(|state| format!("{} {}", count(state), keys::word(state).to_lowercase()));
        let told: Vec<_> = told.collect();
        (
            worst,
            format!("{} of {}", told.join(", "), plural(enabled, "key")),
        )
    } else if let Some(service) = down {
        (State::Failing, format!("{} does not answer", service.name))
    } else if let pending @ 1.. = count(State::Pending) {
        (
            State::Pending,
            format!("{pending} pending of {}", plural(enabled, "key")),
        )
    } else if enabled == 0 {
        (
            State::Disabled,
            "There are no keys to keep in sync".to_owned(),
        )
    } else {
        (State::InSync, format!("{} in sync", plural(enabled, "key")))
    };
    Verdict { state, words }
}

/// Returns the verdict as an icon for the browser's tab, with a color and a shape.
fn favicon(state: State) -> String {
    let (colour, path) = match state {
        State::InSync => ("15803d", "M4.2 8.4l2.6 2.6 5-5.6"),
        State::Failing | State::Missing => ("c81e1e", "M5 5l6 6M11 5l-6 6"),
        State::Held => ("b45309", "M6 4.8v6.4M10 4.8v6.4"),
        State::Pending | State::Disabled => ("64748b", "M4.5 8h.01M8 8h.01M11.5 8h.01"),
    };
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
         %3Ccircle cx='8' cy='8' r='8' fill='%23{colour}'/%3E%3Cpath d='{path}' fill='none' \
         stroke='white' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E"
    )
}
