//! The section on the rules of discovery.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::mark::{icon, moment, plural};
use crate::engine::report::State;
use crate::humanize::ago;
use crate::model::RuleReport;

/// Renders the section, if there are rules.
pub fn section(rules: &[RuleReport], now: DateTime<Utc>) -> Markup {
    html! {
        @if !rules.is_empty() {
            section aria-labelledby="discovery" {
                h2 #discovery { "Discovery" }
                ul.services role="list" {
                    @for rule in rules { (one(rule, now)) }
                }
            }
        }
    }
}

fn one(rule: &RuleReport, now: DateTime<Utc>) -> Markup {
    let (state, word) = match (&rule.error, rule.listed_at) {
        (Some(_), _) => (State::Failing, "Not listed"),
        (None, None) => (State::Pending, "Not listed yet"),
        (None, Some(_)) if !rule.problems.is_empty() => (State::Held, "In part"),
        (None, Some(_)) => (State::InSync, "Listed"),
    };
    html! {
        li class=(state.as_str()) {
            h3 { bdi { (rule.rule) } }
            span class={ "badge " (state.as_str()) } { (icon(state)) (word) }
            p.from {
                bdi { (rule.source) } " · " span.count { (plural(rule.keys, "key")) }
                @if let Some(at) = rule.listed_at { " · " (moment(at, &ago(at, now))) }
            }
            @for why in rule.error.iter().chain(&rule.problems) { p.outage { bdi { (why) } } }
        }
    }
}
