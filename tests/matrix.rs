//! Every combination of what can be true of a rotation: the new key works, comes to work or does
//! not; the previous one works or was revoked; Flashback validates, cannot or fails; the provider
//! is asked, is silent or is not asked; and the process dies at each step of it.

#[path = "matrix/cell.rs"]
mod cell;
#[path = "matrix/page.rs"]
mod page;
#[path = "matrix/provider.rs"]
mod provider;
#[path = "matrix/scene.rs"]
mod scene;
#[path = "matrix/trial_run.rs"]
mod trial_run;

use futures_util::StreamExt as _;
use futures_util::stream;

use self::cell::{Cell, Kill, New, Validate};
use self::scene::{Holder, Run, Scene, Stage};

/// So many processes at a time: most of them wait for the end of a grace.
const AT_A_TIME: usize = 16;

/// One rotator: its cells, and where it dies.
struct Plan {
    cells: Vec<Cell>,
    kill: Option<Kill>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_promise_holds_in_each_cell_whatever_step_the_process_dies_at() {
    let stage = Stage::set("matrix").await;
    let mut plans = Vec::new();
    for cell in Cell::all() {
        for kill in cell.steps() {
            plans.push(Plan {
                cells: vec![cell],
                kill: Some(kill),
            });
        }
    }
    for validate in [Validate::There, Validate::Missing, Validate::Failing] {
        let alike = |cell: &Cell| cell.validate == validate;
        plans.push(Plan {
            cells: Cell::all().into_iter().filter(alike).collect(),
            kill: None,
        });
    }
    let runs = stream::iter(plans.into_iter().enumerate())
        .map(|(number, plan)| carry_out(&stage, number, plan))
        .buffer_unordered(AT_A_TIME);
    let runs: Vec<(Option<Kill>, Run)> = runs.flat_map(stream::iter).collect().await;
    for (kill, run) in &runs {
        page::judge(*kill, run);
    }
    page::compare(&runs);
}

async fn carry_out(stage: &Stage, number: usize, plan: Plan) -> Vec<(Option<Kill>, Run)> {
    let mut scene = Scene::set(
        stage,
        format!("scene-{number}"),
        plan.cells,
        Holder::Configuration,
    )
    .await;
    scene.begin(plan.kill).await;
    scene.rotate().await;
    if let Some(kill) = plan.kill {
        scene.dies(kill).await;
        scene.again(None);
    }
    let runs = scene.end().await;
    if plan.kill.is_none() {
        scene.rests().await;
    }
    let runs = runs.into_iter();
    runs.map(|run| (plan.kill, run)).collect()
}

/// Each process gets one step further than the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn converges_when_each_process_dies_one_step_later() {
    die_in_turn(&Stage::set("matrix-in-turn").await, Holder::Configuration).await;
}

/// The same of a stored key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_key_converges_when_each_process_dies_one_step_later() {
    die_in_turn(&Stage::set("matrix-stored").await, Holder::StoredKey).await;
}

async fn die_in_turn(stage: &Stage, holder: Holder) {
    let runs = stream::iter(Cell::all().into_iter().enumerate())
        .map(async |(number, cell)| {
            let mut scene = Scene::set(stage, format!("turn-{number}"), vec![cell], holder).await;
            scene.begin(None).await;
            scene.stop().await;
            scene.rotate().await;
            // By the time the second process asks, a slow key may work, and nothing is left to record.
            let sure = |kill: &Kill| cell.new != New::Slow || kill.point != "probe_recorded";
            for kill in cell.steps().into_iter().filter(sure) {
                scene.again(Some(kill));
                scene.dies(kill).await;
            }
            scene.again(None);
            let runs = scene.end().await;
            scene.rests().await;
            runs
        })
        .buffer_unordered(AT_A_TIME);
    let runs: Vec<Run> = runs.flat_map(stream::iter).collect().await;
    assert_eq!(runs.len(), Cell::all().len());
}
