//! The table of keys: failing ones first, with a filter by state, split into pages when there are many.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::mark::{icon, moment};
use super::overview::{Key, Overview};
use super::query::{ORDER, Query};
use super::{rotation, timeline};
use crate::engine::report::{Standing, State};
use crate::humanize::{ago, ahead, duration};
use crate::rotation::Stage;

/// The number of keys on one page.
const PAGE: usize = 100;

/// The number of keys from which the search field is shown.
const SEARCHED: usize = 12;

/// The delay from which an overdue check is pointed out.
const OVERDUE: TimeDelta = TimeDelta::minutes(1);

/// The column titles: above the table and, on a narrow screen, beside each value.
const COLUMNS: [&str; 6] = [
    "Key",
    "State",
    "Live version",
    "Last push",
    "Next look",
    "Last 24 hours",
];

/// Returns the word shown for a state.
pub fn word(state: State) -> &'static str {
    match state {
        State::InSync => "In sync",
        State::Pending => "Pending",
        State::Failing => "Failing",
        State::Held => "Held",
        State::Missing => "Missing",
        State::Disabled => "Disabled",
    }
}

/// Returns the state of a key.
pub fn state(key: &Key) -> State {
    key.row.state()
}

/// Counts the keys in a state.
pub fn count(overview: &Overview, of: State) -> usize {
    overview.keys.iter().filter(|key| state(key) == of).count()
}

/// Renders the section.
pub fn section(overview: &Overview, query: &Query) -> Markup {
    let found = select(&overview.keys, query);
    let pages = found.len().div_ceil(PAGE).max(1);
    let page = query.page.min(pages);
    let shown = found.iter().skip((page - 1) * PAGE).take(PAGE);
    html! {
        section aria-labelledby="keys" {
            div.head {
                h2 #keys { "Keys" }
                @if !overview.keys.is_empty() { (filters(overview, query)) }
            }
            @if overview.keys.is_empty() {
                p.empty { "No keys are configured." }
            } @else if found.is_empty() {
                p.empty { "No key is like that. " a href=(Query::parse("").link()) { "Show all" } }
            } @else {
                div.sheet {
                    table.keys role="table" aria-labelledby="keys" {
                        thead role="rowgroup" {
                            tr role="row" {
                                @for column in COLUMNS {
                                    th scope="col" role="columnheader" { (column) }
                                }
                            }
                        }
                        @for key in shown { (group(key, overview.at)) }
                    }
                }
                @if pages > 1 { (paging(query, page, pages, found.len())) }
                (timeline::legend())
            }
        }
    }
}

/// Returns the keys that match the query, in the order of [`ORDER`].
fn select<'a>(keys: &'a [Key], query: &Query) -> Vec<&'a Key> {
    let wanted = query.search.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let mut found: Vec<_> = keys
        .iter()
        .filter(|key| query.state.is_none_or(|wanted| state(key) == wanted))
        .filter(|key| {
            let row = &key.row;
            has(row.key.as_str()) || has(&row.name) || has(row.source.as_str()) || has(&key.path)
        })
        .collect();
    let rank = |key: &Key| ORDER.iter().position(|of| *of == state(key));
    found.sort_by(|a, b| (rank(a), &a.row.key).cmp(&(rank(b), &b.row.key)));
    found
}

fn filters(overview: &Overview, query: &Query) -> Markup {
    let link = |to: Option<State>, word: &str, count: usize| {
        let current = (query.state == to).then_some("true");
        html! {
            a href=(query.in_state(to).link()) aria-current=[current] {
                (word) " " b { (count) }
            }
        }
    };
    html! {
        nav.filters aria-label="Keys by state" {
            (link(None, "All", overview.keys.len()))
            @for of in ORDER {
                @let count = count(overview, of);
                @if count > 0 || query.state == Some(of) { (link(Some(of), word(of), count)) }
            }
        }
        @if overview.keys.len() >= SEARCHED || !query.search.is_empty() {
            form.search role="search" {
                @if let Some(of) = query.state { input type="hidden" name="state" value=(of.as_str()); }
                @if !query.refresh { input type="hidden" name="refresh" value="off"; }
                input type="search" name="q" aria-label="Find keys" placeholder="Find keys"
                    value=(query.search) autocomplete="off" spellcheck="false";
                button { "Find" }
            }
        }
    }
}

/// Renders one key: a row, and below it what is wrong, and the rotation that is under way.
fn group(key: &Key, now: DateTime<Utc>) -> Markup {
    let state = state(key);
    let row = &key.row;
    html! {
        tbody role="rowgroup" class=(state.as_str()) {
            tr role="row" {
                th scope="row" role="rowheader" {
                    bdi.id { (row.key) }
                    @if row.name != row.key.as_str() { bdi.name { (row.name) } }
                    span.from {
                        bdi { (row.source) } " · " bdi { (key.path) }
                        @if let Some(rule) = &row.rule { " · by " bdi { (rule) } }
                    }
                }
                td.state role="cell" { (badge(state)) }
                td role="cell" data-label=(COLUMNS[2]) { (version(key, now)) }
                (times(row.standing.as_ref(), state, now))
                td.day role="cell" { (timeline::picture(&key.timeline, now)) }
            }
            @if let Some(error) = problem(key) {
                tr.problem role="row" {
                    td colspan=(COLUMNS.len()) role="cell" aria-colspan=(COLUMNS.len()) {
                        (error)
                    }
                }
            }
            @if let Some((stuck, words)) = under_way(key, now) {
                tr.rotation.stuck[stuck] role="row" {
                    td colspan=(COLUMNS.len()) role="cell" aria-colspan=(COLUMNS.len()) {
                        (words)
                    }
                }
            }
        }
    }
}

/// Renders a state as a mark and a word.
pub fn badge(state: State) -> Markup {
    html! {
        span class={ "badge " (state.as_str()) } { (icon(state)) (word(state)) }
    }
}

/// Renders the rotation of a key that is under way, and returns whether it is stuck.
fn under_way(key: &Key, now: DateTime<Utc>) -> Option<(bool, Markup)> {
    let rotation = key.row.standing.as_ref()?.rotation.as_ref()?;
    let words = rotation::under_way(rotation, key.row.remark(), now)?;
    Some((rotation.stage == Stage::Stuck, words))
}

fn version(key: &Key, now: DateTime<Utc>) -> Markup {
    let standing = key.row.standing.as_ref();
    let rotation = standing.and_then(|standing| standing.rotation.as_ref());
    let live = key.row.version.as_deref();
    html! {
        @match live {
            Some(live) => bdi.version { (live) },
            None => span.none { "none yet" },
        }
        @if let Some(seen) = key.seen.as_deref().filter(|seen| Some(*seen) != live) {
            span.from { "store has " bdi.version { (seen) } }
        }
        @if let Some(rotation) = rotation { (rotation::due(rotation, now)) }
    }
}

fn times(standing: Option<&Standing>, state: State, now: DateTime<Utc>) -> Markup {
    let pushed = standing.and_then(|standing| standing.pushed_at);
    let next = standing.and_then(|standing| standing.next_check);
    html! {
        td role="cell" data-label=(COLUMNS[3]) {
            @match pushed {
                Some(at) => (moment(at, &ago(at, now))),
                None => span.none { "never" },
            }
        }
        td role="cell" data-label=(COLUMNS[4]) {
            @match next {
                _ if state == State::Disabled => span.none { "switched off" },
                Some(at) if at + OVERDUE < now => {
                    span.late { (moment(at, &format!("{} late", duration(now - at)))) }
                }
                Some(at) => (moment(at, &ahead(at, now))),
                None => span.none { "not planned yet" },
            }
        }
    }
}

/// Renders what is wrong with a key, or why a version is held.
fn problem(key: &Key) -> Option<Markup> {
    let error = key.row.remark();
    let held = key.held.as_deref();
    let seen = key.seen.as_deref().unwrap_or_default();
    match (held, error) {
        (Some(reason), error) => Some(html! {
            "Version " bdi.version { (seen) } " is held: " bdi { (reason) }
            @if let Some(error) = error.filter(|error| *error != reason) {
                br; bdi { (error) }
            }
        }),
        (None, Some(error)) => Some(html! { bdi { (error) } }),
        (None, None) => None,
    }
}

fn paging(query: &Query, page: usize, pages: usize, found: usize) -> Markup {
    let first = (page - 1) * PAGE + 1;
    let last = (page * PAGE).min(found);
    html! {
        nav.paging aria-label="Pages of keys" {
            @if page > 1 {
                a href=(query.on_page(page - 1).link()) rel="prev" { "Previous" }
            }
            span { (first) " to " (last) " of " (found) }
            @if page < pages {
                a href=(query.on_page(page + 1).link()) rel="next" { "Next" }
            }
        }
    }
}
