//! A key's last day as a small picture, with a text alternative.
//!
//! The picture has one bar for each half hour. The worse the state, the higher the bar, so that the picture
//! can be read without its colors.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::model::timeline::SLOTS;
use crate::model::{Mark, Timeline};

/// The width of a bar and the gap after it. The style sheet draws the bars as dashes of this length.
const STEP: usize = 4;

/// The most stretches that the text lists one by one; more are only counted.
const MANY: usize = 4;

/// The marks, each with its word, its CSS class and the vertical middle of its bars.
const KINDS: [(Option<Mark>, &str, &str, u32); 6] = [
    (Some(Mark::InSync), "in sync", "in_sync", 15),
    (Some(Mark::Pending), "pending", "pending", 15),
    (Some(Mark::Held), "held", "held", 13),
    (Some(Mark::Missing), "missing in the store", "missing", 10),
    (Some(Mark::Failing), "failing", "failing", 10),
    (None, "not known", "unknown", 19),
];

/// A run of half hours with the same mark, from `from` up to, but not including, `to`.
struct Stretch {
    shown: Option<Mark>,
    from: usize,
    to: usize,
}

/// Renders the picture.
pub fn picture(timeline: &[Option<Mark>; SLOTS], now: DateTime<Utc>) -> Markup {
    let stretches = stretches(timeline);
    html! {
        svg.strip viewBox="0 0 192 20" preserveAspectRatio="none" role="img" {
            title { (words(&stretches, now)) }
            @for (kind, _, class, middle) in KINDS {
                @let path = path(stretches.iter().filter(|stretch| stretch.shown == kind), middle);
                @if !path.is_empty() {
                    path class=(class) d=(path) {}
                }
            }
        }
    }
}

/// Renders the legend of the bars.
pub fn legend() -> Markup {
    html! {
        p.legend {
            "Last 24 hours, a bar for each half hour: "
            @for (_, word, class, middle) in KINDS {
                span {
                    svg.strip viewBox="0 0 4 20" aria-hidden="true" {
                        path class=(class) d=(format!("M0 {middle}H3")) {}
                    }
                    " " (word)
                }
                " "
            }
        }
    }
}

fn stretches(timeline: &[Option<Mark>; SLOTS]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for (index, shown) in timeline.iter().enumerate() {
        match stretches.last_mut() {
            Some(last) if last.shown == *shown => last.to = index + 1,
            _ => stretches.push(Stretch {
                shown: *shown,
                from: index,
                to: index + 1,
            }),
        }
    }
    stretches
}

fn path<'a>(stretches: impl Iterator<Item = &'a Stretch>, middle: u32) -> String {
    let mut path = String::new();
    for Stretch { from, to, .. } in stretches {
        let _ = write!(path, "M{} {middle}H{}", from * STEP, to * STEP - 1);
    }
    path
}

fn word(shown: Option<Mark>) -> &'static str {
    let kind = KINDS.iter().find(|(kind, ..)| *kind == shown);
    kind.map_or("", |(_, word, ..)| word)
}

/// Describes the timeline in a sentence, such as "Last 24 hours: in sync, failing 14:00 to 15:30 UTC".
fn words(stretches: &[Stretch], now: DateTime<Utc>) -> String {
    if let [all] = stretches {
        return format!("Last 24 hours: {}", word(all.shown));
    }
    let mut said = Vec::new();
    if stretches
        .iter()
        .any(|stretch| stretch.shown == Some(Mark::InSync))
    {
        said.push(word(Some(Mark::InSync)).to_owned());
    }
    let rest = || {
        stretches
            .iter()
            .filter(|stretch| stretch.shown != Some(Mark::InSync))
    };
    if rest().count() <= MANY {
        said.extend(rest().map(|stretch| told(stretch, now)));
    } else {
        for (kind, word, ..) in KINDS.into_iter().skip(1) {
            let of_kind = rest().filter(|stretch| stretch.shown == kind);
            let slots: usize = of_kind.map(|stretch| stretch.to - stretch.from).sum();
            if slots > 0 {
                said.push(format!("{word} in {slots} of {SLOTS} half hours"));
            }
        }
    }
    format!("Last 24 hours: {}", said.join(", "))
}

fn told(stretch: &Stretch, now: DateTime<Utc>) -> String {
    let clock = |index| Timeline::begin(index, now).format("%H:%M");
    let word = word(stretch.shown);
    match (stretch.from, stretch.to) {
        (0, to) => format!("{word} until {} UTC", clock(to)),
        (from, SLOTS) => format!("{word} since {} UTC", clock(from)),
        (from, to) => format!("{word} {} to {} UTC", clock(from), clock(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_014_400 + 600, 0).expect("noon and ten minutes")
    }

    fn told(timeline: &[Option<Mark>; SLOTS]) -> String {
        words(&stretches(timeline), now())
    }

    #[test]
    fn describes_the_timeline_in_words() {
        let mut timeline = [Some(Mark::InSync); SLOTS];
        assert_eq!(told(&timeline), "Last 24 hours: in sync");
        timeline[..10].fill(None);
        timeline[20..23].fill(Some(Mark::Failing));
        timeline[47] = Some(Mark::Held);
        assert_eq!(
            told(&timeline),
            "Last 24 hours: in sync, not known until 17:30 UTC, failing 22:30 to 00:00 UTC, \
             held since 12:00 UTC"
        );
        assert_eq!(told(&[None; SLOTS]), "Last 24 hours: not known");
        for index in (11..40).step_by(3) {
            timeline[index] = Some(Mark::Missing);
        }
        assert_eq!(
            told(&timeline),
            "Last 24 hours: in sync, held in 1 of 48 half hours, missing in the store in 10 of 48 \
             half hours, failing in 2 of 48 half hours, not known in 10 of 48 half hours"
        );
    }

    #[test]
    fn draws_the_timeline_as_one_path_per_stretch() {
        let mut timeline = [Some(Mark::InSync); SLOTS];
        timeline[46..].fill(Some(Mark::Failing));
        let picture = picture(&timeline, now()).into_string();
        assert!(
            picture.contains(r#"<path class="in_sync" d="M0 15H183"></path>"#),
            "{picture}"
        );
        assert!(
            picture.contains(r#"<path class="failing" d="M184 10H191"></path>"#),
            "{picture}"
        );
    }
}
