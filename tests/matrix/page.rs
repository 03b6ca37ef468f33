//! What happened in each cell, as docs/verification.md shows it.

use std::path::Path;

use super::cell::{Cell, End, Kill, New, Old, Provider, Tally, Validate, Which};
use super::scene::Run;

type Runs = [(Option<Kill>, Run)];

/// Whether a cell ended as promised, and took no more than it may.
pub fn judge(kill: Option<Kill>, run: &Run) {
    let (end, tally) = run.cell.promise();
    assert_eq!(run.end, end, "{:?} {kill:?}", run.cell);
    if kill.is_none() {
        assert_eq!(run.tally, tally, "{:?}", run.cell);
        return;
    }
    // A write whose outcome is not known is made again, and nothing else is.
    let once_more = |took: usize, promised: usize| (promised..=promised + 1).contains(&took);
    let writes =
        once_more(run.tally.new, tally.new) && once_more(run.tally.previous, tally.previous);
    assert!(writes, "{:?} {kill:?} {:?}", run.cell, run.tally);
    let told = |tally: Tally| {
        (
            tally.verification_failed,
            tally.rolled_back,
            tally.version_held,
        )
    };
    assert_eq!(told(run.tally), told(tally), "{:?} {kill:?}", run.cell);
}

/// Prints both tables, and holds the page against them.
pub fn compare(runs: &Runs) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verification.md");
    let mut page = std::fs::read_to_string(&path).expect("a page");
    for (name, table) in [("outcomes", outcomes(runs)), ("kills", kills(runs))] {
        println!("{table}");
        let begin = format!("<!-- {name}: written by tests/matrix -->\n");
        let start = page.find(&begin).expect(name) + begin.len();
        let end = start + page[start..].find("\n<!-- end -->").expect(name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            page.replace_range(start..end, &format!("\n{table}"));
            std::fs::write(&path, &page).expect("written");
        } else {
            let shown = page[start..end].trim();
            assert_eq!(
                shown,
                table.trim(),
                "docs/verification.md is out of step: run this test once with UPDATE_DOCS=1"
            );
        }
    }
}

fn outcomes(runs: &Runs) -> String {
    let mut table = "| provider asked first | new key | previous key | `validate` | live in the end | `state` | `verified_by` | writes: new, previous | events | killed at |\n\
                     |---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for cell in Cell::all() {
        let of_it = |kill: bool| {
            let mine =
                move |(at, run): &&(Option<Kill>, Run)| run.cell == cell && at.is_some() == kill;
            runs.iter().filter(mine)
        };
        let (_, run) = of_it(false).next().expect("a run of each cell");
        let End {
            live,
            state,
            verified_by,
            ..
        } = &run.end;
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} | `{state}` | {} | {}, {} | {} | {} steps |\n",
            match cell.provider {
                Provider::Unasked => "no",
                Provider::Answers => "answers",
                Provider::Silent => "is silent",
            },
            match cell.new {
                New::Good => "works",
                New::Slow => "works after a while",
                New::Bad => "does not work",
            },
            match cell.old {
                Old::Works => "works",
                Old::Revoked => "revoked",
            },
            match cell.validate {
                Validate::There => "answers",
                Validate::Missing => "missing (404)",
                Validate::Failing => "fails (500)",
            },
            match live {
                Some(Which::New) => "new",
                Some(Which::Previous) => "**previous**",
                None => "neither",
            },
            verified_by
                .as_ref()
                .map_or("–".to_owned(), |by| format!("`{by}`")),
            run.tally.new,
            run.tally.previous,
            events(&run.tally),
            of_it(true).count(),
        ));
    }
    table
}

fn events(tally: &Tally) -> String {
    let all = [
        ("verification_failed", tally.verification_failed),
        ("rolled_back", tally.rolled_back),
        ("version_held", tally.version_held),
    ];
    let told: Vec<String> = all
        .into_iter()
        .filter(|(_, times)| *times > 0)
        .map(|(event, times)| match times {
            1 => format!("`{event}`"),
            _ => format!("`{event}` {times}×"),
        })
        .collect();
    match told.is_empty() {
        true => "–".to_owned(),
        false => told.join(", "),
    }
}

/// The two longest trials, step by step.
fn kills(runs: &Runs) -> String {
    let found_out = |old| Cell {
        provider: Provider::Unasked,
        new: New::Bad,
        old,
        validate: Validate::There,
    };
    let took = |old, kill: Kill| {
        let of_it =
            |(at, run): &&(Option<Kill>, Run)| run.cell == found_out(old) && *at == Some(kill);
        runs.iter().find(of_it).map_or("–".to_owned(), |(_, run)| {
            let tally = run.tally;
            format!("{}, {}; {}", tally.new, tally.previous, events(&tally))
        })
    };
    let mut table = "| the process dies when | previous key works: writes (new, previous); events | previous key revoked: writes (new, previous); events |\n|---|---|---|\n".to_owned();
    for kill in found_out(Old::Revoked).steps() {
        table.push_str(&format!(
            "| {} | {} | {} |\n",
            in_words(kill),
            took(Old::Works, kill),
            took(Old::Revoked, kill)
        ));
    }
    table
}

fn in_words(kill: Kill) -> String {
    let written = ["the new key", "the previous key", "the new key"][kill.time.min(3) - 1];
    let last = if kill.point == "secret_read" { 2 } else { 3 };
    let again = if kill.time == last { " again" } else { "" };
    match kill.point {
        "secret_read" => format!("the new key was read{again}"),
        "intent_recorded" => format!("{written} is about to be written{again}"),
        "answer_received" => format!("Flashback has taken {written}{again}"),
        "outcome_recorded" => "that was written down".to_owned(),
        "validation_answered@after" => "the new key was rejected".to_owned(),
        "verdict_recorded@after" => "that was written down".to_owned(),
        "older_read" => "the previous key was read, the grace being over".to_owned(),
        "turn_back_recorded" => "that it goes back in was written down".to_owned(),
        "validation_answered@back" => "Flashback has said how the previous key works".to_owned(),
        "verdict_recorded@back" => "that was written down".to_owned(),
        "standing_recorded" => "that the new key is the better guess was written down".to_owned(),
        "validation_answered@forward" => "the new key was rejected once more".to_owned(),
        "verdict_recorded@forward" => "that was written down".to_owned(),
        other => unreachable!("{other} is no step of these trials"),
    }
}
